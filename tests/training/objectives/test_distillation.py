"""Distillation against the formulas, with a teacher at hand and one from a checkpoint."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from lightning_tune.cli import main
from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.training.objectives import Distillation, FitContext, Plain
from lightning_tune.training.objectives.distillation import recorded

KINDS = ["binary", "multiclass", "multilabel", "regression"]


def with_teacher(setting, objective):
    """Let a setting's classifier learn from a changed copy of itself; return that copy."""
    teacher = copy.deepcopy(setting.classifier)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    setting.prepared(objective.learn_from(teacher))
    return teacher


def formula(kind, logits, wanted, temperature):
    if kind == "regression":
        return functional.mse_loss(logits, wanted)
    if kind == "multilabel":
        p, q = (torch.sigmoid(each / temperature) for each in (wanted, logits))
        both = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
        return temperature**2 * both.mean()
    p, q = (torch.softmax(each / temperature, 1) for each in (wanted, logits))
    return temperature**2 * (p * (p / q).log()).sum(1).mean()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_answers_are_compared_as_the_formula_says(arrange, kind, temperature):
    setting = arrange(kind)
    objective = Distillation(temperature=temperature, hidden=0.0)
    teacher = with_teacher(setting, objective)
    value, logits = objective(setting.classifier, setting.batch, setting.loss)
    expected = formula(kind, logits, teacher(setting.batch), temperature)
    torch.testing.assert_close(value.detach(), expected, atol=1e-6, rtol=1e-4)
    assert value > 1e-4


def test_hidden_states_are_compared_on_real_tokens_layer_by_layer(arrange):
    setting = arrange()
    objective = Distillation(hidden=1.0)
    teacher = with_teacher(setting, objective)
    objective(setting.classifier, setting.batch, setting.loss)
    mask = setting.batch["attention_mask"].bool()
    inputs = {name: setting.batch[name] for name in ("input_ids", "attention_mask")}
    own, theirs = (
        each.encoder(**inputs, output_hidden_states=True).hidden_states[1:]
        for each in (setting.classifier, teacher)
    )
    shares = [
        (a[mask] - b[mask]).square().sum() / b[mask].square().sum()
        for a, b in zip(own, theirs, strict=True)
    ]
    torch.testing.assert_close(objective.parts["hidden"], torch.stack(shares).mean().detach())


def test_the_whole_is_the_weighted_sum_of_its_parts(arrange):
    setting = arrange()
    objective = Distillation(hidden=0.5, labels=0.25)
    with_teacher(setting, objective)
    value, logits = objective(setting.classifier, setting.batch, setting.loss)
    parts = objective.parts
    torch.testing.assert_close(parts["labels"], setting.loss(logits, setting.batch))
    expected = 0.75 * parts["answers"] + 0.25 * parts["labels"] + 0.5 * parts["hidden"]
    torch.testing.assert_close(value.detach(), expected)


def test_examples_of_weight_zero_teach_nothing(arrange):
    setting = arrange()
    objective = Distillation(hidden=0.0)
    with_teacher(setting, objective)
    half = {name: value[:2] for name, value in setting.batch.items()}
    weighted = setting.batch | {"weights": torch.tensor([1.0, 1.0, 0.0, 0.0])}
    few, _ = objective(setting.classifier, half, setting.loss)
    all_of_them, _ = objective(setting.classifier, weighted, setting.loss)
    torch.testing.assert_close(all_of_them, few)


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet", "albert", "modernbert"])
def test_training_brings_a_student_to_its_teacher(arrange, family):
    setting = arrange(family=family)
    objective = Distillation()
    with_teacher(setting, objective)
    optimizer = torch.optim.Adam(setting.classifier.parameters(), lr=2e-3)
    told = []
    for _ in range(25):
        optimizer.zero_grad()
        value, _ = objective(setting.classifier, setting.batch, setting.loss)
        value.backward()
        optimizer.step()
        told.append(float(value.detach()))
    assert told[-1] < 0.3 * told[0]


def test_the_teacher_stays_as_it_is(arrange):
    setting = arrange()
    objective = Distillation()
    teacher = with_teacher(setting, objective)
    before = copy.deepcopy(teacher.state_dict())
    setting.gradients(objective)
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_under_autocast_the_teacher_computes_in_its_type_and_says_nearly_the_same(arrange):
    setting = arrange()
    objective = Distillation()
    teacher = with_teacher(setting, objective)
    exact, _ = objective(setting.classifier, setting.batch, setting.loss)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = objective(setting.classifier, setting.batch, setting.loss)
    assert next(teacher.parameters()).dtype == torch.bfloat16
    torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0.02)


def test_fewer_layers_are_compared_with_those_that_are_named(arrange):
    setting = arrange()
    objective = Distillation(layers=[1])
    teacher = with_teacher(setting, objective_of_two := Distillation())
    assert objective_of_two is not objective
    stack = setting.classifier.encoder.bert.encoder.layer
    del stack[0]
    setting.prepared(objective.learn_from(teacher))
    objective(setting.classifier, setting.batch, setting.loss)
    with recorded([stack[0], teacher.encoder.bert.encoder.layer[1]]) as states:
        setting.classifier(setting.batch), teacher(setting.batch)
    mask = setting.batch["attention_mask"].bool()
    own, theirs = (each[mask] for each in states)
    expected = (own - theirs).square().sum() / theirs.square().sum()
    torch.testing.assert_close(objective.parts["hidden"], expected.detach())


@pytest.mark.parametrize("layers", [[0], [0, 2], [-1, 0]])
def test_layers_that_do_not_pair_are_refused(arrange, layers):
    setting = arrange()
    objective = Distillation(layers=layers).learn_from(copy.deepcopy(setting.classifier))
    with pytest.raises(ConfigError, match="each of the student's 2"):
        setting.prepared(objective)


def test_a_teacher_of_other_labels_or_tokens_is_refused(arrange):
    setting = arrange("multiclass")
    with pytest.raises(ConfigError, match="the teacher answers"):
        setting.prepared(Distillation().learn_from(arrange("binary").classifier))
    other = copy.deepcopy(setting.classifier)
    other.encoder.config.vocab_size = 5
    with pytest.raises(ConfigError, match="the teacher reads 5 tokens"):
        setting.prepared(Distillation().learn_from(other))
    other = copy.deepcopy(setting.classifier)
    other.encoder.config.hidden_size = 7
    with pytest.raises(ConfigError, match=r"set objective\.hidden to 0"):
        setting.prepared(Distillation().learn_from(other))


def test_a_missing_teacher_is_told(arrange):
    setting = arrange()
    with pytest.raises(ConfigError, match=r"objective.teacher is missing"):
        Distillation().prepare(FitContext(setting.classifier))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"labels": 1.5}, "labels"),
        ({"hidden": -1}, "hidden"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, name):
    with pytest.raises(ConfigError, match=rf"objective\.{name}="):
        Distillation(**settings)


def test_without_hidden_states_it_costs_a_plain_step_and_the_teachers_pass(arrange):
    setting = arrange()
    objective = Distillation(hidden=0.0)
    with_teacher(setting, objective)
    plain, both = setting.products(Plain()), setting.products(objective)
    assert plain < both <= 1.4 * plain


def test_a_fit_learns_from_a_checkpoint_and_its_own_is_tested_without_it(work, tiny_fit):
    assert main(tiny_fit) == 0
    (run,) = Path("runs").iterdir()
    teacher = run / "checkpoints" / "best.ckpt"
    flags = ["--model.objective=Distillation", f"--model.objective.teacher={teacher}"]
    assert main([*tiny_fit, *flags, "--trainer.default_root_dir=students"]) == 0
    (run,) = Path("students").iterdir()
    stored = read_checkpoint(run / "checkpoints" / "best.ckpt")["hyper_parameters"]["objective"]
    assert stored["init_args"]["teacher"] == str(teacher)
    teacher.unlink()
    best = f"--ckpt_path={run / 'checkpoints' / 'best.ckpt'}"
    assert main(["test", best, "--data.test=test.csv"]) == 0


def test_a_fit_without_a_teacher_is_told_in_one_line(work, tiny_fit, capsys):
    assert main([*tiny_fit, "--model.objective=Distillation"]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("error: objective.teacher is missing; name the checkpoint")

"""Pruning as a whole, and the life of a pruned checkpoint: fit, resume, test, merge, two ranks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightning_tune.cli import main
from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.models.layout import layout_of, stack_of
from lightning_tune.training.inference import load
from lightning_tune_export.prune.latency import Timing
from lightning_tune_export.prune.probing import plain_classifier
from lightning_tune_export.prune.pruning import PruneSettings, prune_classifier, score
from lightning_tune_export.prune.rebuilding import write_pruned
from lightning_tune_export.prune.recover import RecoverSettings

HALF = PruneSettings(keep=0.5, texts=72, width_step=4, recover=RecoverSettings(epochs=0))
TEXTS = ["film 3 is great very", "film 4 is worst", "another film"]


@pytest.mark.parametrize(
    ("family", "by"),
    [
        ("bert", "weights"),
        ("distilbert", "weights"),
        ("mpnet", "weights"),
        ("bert", "flops"),
        ("bert", "latency"),
    ],
)
def test_what_is_left_is_in_the_budget(arrange, family, by):
    module, data = arrange(family)
    settings = PruneSettings(**{**vars(HALF), "by": by, "timing": Timing(rounds=3, threads=1)})
    report = prune_classifier(module, data, settings)
    if by == "weights":
        counted = sum(
            linear.weight.numel()
            for linear in stack_of(report.module.classifier.encoder).modules()
            if isinstance(linear, torch.nn.Linear)
        )
        assert counted / (2 * (4 * 16 * 16 + 2 * 16 * 32)) == pytest.approx(report.weights)
    if by != "latency":
        assert 0.3 < getattr(report, by) <= 0.5
    assert 0 < report.weights < 1
    assert json.loads(json.dumps(report.to_dict()))["layout"] == report.layout.to_dict()
    assert report.scores["before"] == score(module, plain_classifier(module), data)


def test_the_given_module_and_random_numbers_stay(arrange):
    module, data = arrange()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    prune_classifier(module, data, HALF)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_the_same_settings_prune_the_same(arrange):
    module, data = arrange()
    settings = PruneSettings(**{**vars(HALF), "recover": RecoverSettings(epochs=1)})
    first, second = (prune_classifier(module, data, settings).module for _ in range(2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_nothing_goes_where_all_may_stay(arrange):
    module, data = arrange()
    report = prune_classifier(module, data, PruneSettings(**{**vars(HALF), "keep": 1.0}))
    assert report.weights == report.flops == 1.0
    (batch, *_) = data.val_dataloader()
    with torch.no_grad():
        answers = report.module.eval()(batch), module.eval()(batch)
    torch.testing.assert_close(*answers, atol=2e-2, rtol=1e-2)


@pytest.mark.parametrize("family", ["albert", "deberta-v2", "modernbert"])
def test_other_families_are_refused(arrange, family):
    module, data = arrange(family)
    with pytest.raises(ConfigError, match=f"{family} encoders cannot be pruned"):
        prune_classifier(module, data, HALF)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"keep": 0.0}, "keep"),
        ({"keep": 1.1}, "keep"),
        ({"texts": 0}, "texts"),
        ({"tokens": 0}, "tokens"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, name):
    with pytest.raises(ConfigError, match=rf"prune\.{name}="):
        PruneSettings(**settings)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with train.csv, val.csv and test.csv."""
    folder = tmp_path_factory.mktemp("work")
    for split, rows in (("train", 48), ("val", 16), ("test", 24)):
        lines = [
            f"film {row} is {('great', 'worst')[row % 2]},{('good', 'bad')[row % 2]}"
            for row in range(rows)
        ]
        (folder / f"{split}.csv").write_text("\n".join(["text,label", *lines]))
    return folder


@pytest.fixture(scope="module")
def words(tiny_backbone) -> list[str]:
    """What a fit needs beside its backbone."""
    return [
        "fit",
        "--data.train=train.csv",
        "--data.val=val.csv",
        "--data.test=test.csv",
        "--data.max_length=32",
        "--data.batch_size=8",
        "--model.lr=0.01",
        "--trainer.max_epochs=1",
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
        "--trainer.enable_progress_bar=false",
    ]


@pytest.fixture(scope="module")
def pruned(work, words, tiny_backbone) -> Path:
    """The checkpoint of a pruned model: a layer without heads, one without neurons."""
    from lightning_tune.data.datamodule import TextDataModule

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        assert (
            main(
                [
                    *words,
                    f"--model.backbone={tiny_backbone('bert')}",
                    "--trainer.default_root_dir=first",
                ]
            )
            == 0
        )
        (path,) = Path("first").glob("*/checkpoints/best.ckpt")
        module = load(path).module
        with torch.no_grad():
            layers = module.classifier.encoder.bert.encoder.layer
            layers[0].attention.output.dense.weight.zero_()
            layers[1].output.dense.weight.zero_()
        data = TextDataModule(
            "train.csv", "val.csv", tokenizer=str(path), max_length=32, batch_size=8
        )
        report = prune_classifier(module, data, HALF)
        assert not report.layout.layers[0].heads
        assert not report.layout.layers[1].neurons
        write_pruned(read_checkpoint(path), report.module, work / "pruned.ckpt")
        torch.save(report.module.state_dict(), work / "weights.pt")
    return work / "pruned.ckpt"


@pytest.fixture
def inside(work, pruned, monkeypatch):
    """Work in the folder."""
    monkeypatch.chdir(work)
    return work


def best(root: str) -> Path:
    (path,) = Path(root).glob("*/checkpoints/best.ckpt")
    return path


def test_it_loads_from_the_file_alone(inside, pruned):
    loaded = load(pruned)
    for name, value in torch.load("weights.pt", weights_only=True).items():
        if not name.startswith(("val_metrics", "test_metrics")):
            assert torch.equal(loaded.module.state_dict()[name], value), name
    assert len(loaded(TEXTS)) == 3


def test_it_is_tested_and_predicts(inside, pruned):
    assert main(["test", f"--ckpt_path={pruned}"]) == 0
    assert main(["predict", f"--ckpt_path={pruned}", "--data.predict=test.csv"]) == 0


def test_a_fit_starts_from_it_and_goes_on(inside, pruned, words):
    root = "--trainer.default_root_dir=again"
    assert main([*words, f"--model.backbone={pruned}", root]) == 0
    before = load(pruned).module.classifier.encoder
    after = load(best("again")).module.classifier.encoder
    assert layout_of(after) == layout_of(before)
    last = best("again").with_name("last.ckpt")
    assert main(["fit", f"--ckpt_path={last}", "--trainer.max_epochs=2", root]) == 0
    assert read_checkpoint(last)["epoch"] == 1


def test_a_few_weights_of_it_are_tuned_and_merged(inside, pruned, words):
    flags = ["--model.tuning=LoRA", "--trainer.default_root_dir=lora"]
    assert main([*words, f"--model.backbone={pruned}", *flags]) == 0
    assert main(["merge", f"--ckpt_path={best('lora')}", "--output=merged.ckpt"]) == 0
    assert layout_of(load("merged.ckpt").module.classifier.encoder) == layout_of(
        load(pruned).module.classifier.encoder
    )
    torch.testing.assert_close(
        load("merged.ckpt").scores(TEXTS), load(best("lora")).scores(TEXTS), atol=1e-4, rtol=1e-4
    )


def test_it_distils_from_the_unpruned_on_the_command_line(inside, pruned, words):
    teacher = best("first")
    flags = ["--model.objective=Distillation", f"--model.objective.teacher={teacher}"]
    root = "--trainer.default_root_dir=distilled"
    assert main([*words, f"--model.backbone={pruned}", *flags, root]) == 0
    assert layout_of(load(best("distilled")).module.classifier.encoder).layers[0].heads == ()


def test_two_ranks_train_it(inside, pruned, words):
    flags = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.default_root_dir=ranks"]
    done = subprocess.run(
        [sys.executable, "-m", "lightning_tune", *words, f"--model.backbone={pruned}", *flags],
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    trained, start = load(best("ranks")), load(pruned)
    assert layout_of(trained.module.classifier.encoder) == layout_of(
        start.module.classifier.encoder
    )
    assert not torch.equal(trained.scores(TEXTS), start.scores(TEXTS))


def test_a_checkpoint_whose_layout_was_changed_is_refused_in_one_line(inside, pruned, capsys):
    checkpoint = torch.load(pruned, weights_only=True)
    settings = checkpoint["hyper_parameters"]
    architecture = json.loads(settings["architecture"])
    architecture["pruned"]["layers"][0]["heads"] = [7]
    settings["architecture"] = json.dumps(architecture)
    torch.save(checkpoint, "changed.ckpt")
    assert main(["test", "--ckpt_path=changed.ckpt"]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert told[-1].startswith("error: the layout keeps the heads [7]")

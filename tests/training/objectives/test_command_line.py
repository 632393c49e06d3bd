"""Objectives on the command line: fit and test with each, settings, what is said of bad ones."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from lightning_tune.cli import main
from lightning_tune.models.checkpoints import read_checkpoint

NAMES = ["FGM", "PGD", "FreeLB", "SMART", "RDrop", "FGMRDrop"]
PACKAGE = "lightning_tune.training.objectives"


def the_run(work: Path) -> Path:
    (run,) = (work / "runs").iterdir()
    return run


def stored(work: Path) -> dict:
    checkpoint = read_checkpoint(the_run(work) / "checkpoints" / "best.ckpt")
    return checkpoint["hyper_parameters"]["objective"]


def column(work: Path, name: str) -> list[float]:
    with (the_run(work) / "metrics.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_and_a_test_with_each(work, tiny_fit, name):
    assert main([*tiny_fit, f"--model.objective={name}"]) == 0
    assert stored(work)["class_path"].endswith(f".{name}")
    part = "train/consistency" if "RDrop" in name else "train/adversarial_loss"
    part = "train/smoothness" if name == "SMART" else part
    assert all(value >= 0 for value in column(work, part))
    assert column(work, part)
    assert main(["test", "--ckpt_path=best", "--data.test=test.csv"]) == 0
    assert "test/accuracy" in json.loads((the_run(work) / "metrics.json").read_text())


def test_settings_come_from_flags_and_bare_names(work, tiny_fit):
    flags = ["--model.objective", "FGM", "--model.objective.radius", "1"]
    assert main([*tiny_fit, *flags, "--model.objective.norm=linf"]) == 0
    init_args = stored(work)["init_args"]
    assert (init_args["radius"], init_args["norm"]) == (1.0, "linf")


@pytest.mark.parametrize(
    ("text", "radius"),
    [
        ("objective: FGM", 0.1),
        ("objective: {class_path: FGM, init_args: {radius: 0.3}}", 0.3),
        (f"objective: {{class_path: {PACKAGE}.FGM, init_args: {{radius: 0.3}}}}", 0.3),
    ],
)
def test_settings_come_from_yaml(work, tiny_fit, text, radius):
    (work / "mine.yaml").write_text(f"model:\n  {text}\n")
    assert main([*tiny_fit, "-c", "mine.yaml"]) == 0
    assert stored(work)["init_args"]["radius"] == radius


@pytest.mark.parametrize("name", ["FreeLB", "SMART"])
def test_a_run_goes_on_with_its_objective(work, tiny_fit, name):
    flags = [f"--model.objective={name}", "--model.objective.radius=0.2"]
    assert main([*tiny_fit, *flags, "--trainer.max_epochs=1"]) == 0
    assert main(["fit", "--ckpt_path=last", "--trainer.max_epochs=2"]) == 0
    assert stored(work)["class_path"].endswith(f".{name}")
    assert stored(work)["init_args"]["radius"] == 0.2
    last = read_checkpoint(the_run(work) / "checkpoints" / "last.ckpt")
    assert last["epoch"] == 1
    assert last["objective_state"]["unit"] > 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["FGM", "radius=-1"], "objective.radius=-1.0 is not a number from 0 on"),
        (["PGD", "steps=0"], "objective.steps=0 is below 1; use 1 or more."),
        (["FreeLB", "step_size=0"], "objective.step_size=0.0 is not above 0"),
        (["SMART", "momentum=1"], "objective.momentum=1.0 is outside [0, 1); 0 leaves it out."),
        (["RDrop", "weight=-2"], "objective.weight=-2 is not a number from 0 on"),
        (["FGM", "clean_epochs=-1"], "objective.clean_epochs=-1 is below 0"),
        (
            ["FGM", "norm=l3"],
            "model.objective.norm='l3' (from --model.objective.norm) is not one of "
            "l2, l2_token, linf.",
        ),
        (
            ["PGD", "start=randm"],
            "model.objective.start='randm' (from --model.objective.start) is not one of "
            "zero, random. Did you mean 'random'?",
        ),
        (["FGM", "radus=1"], "'model.objective.radus' is not a setting. Did you mean 'radius'?"),
        (["FMG"], "there is no class 'FMG'"),
        (["Adversarial"], "there is no class 'Adversarial'"),
    ],
)
def test_a_bad_setting_is_told_in_one_line(work, tiny_fit, capsys, flags, message):
    name, *settings = flags
    words = [f"--model.objective={name}", *(f"--model.objective.{each}" for each in settings)]
    assert main([*tiny_fit, *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert message in told
    assert not (work / "runs").exists()


def test_an_encoder_without_word_embeddings_is_told_in_one_line(
    work, tiny_fit, capsys, monkeypatch
):
    from transformers import BertForSequenceClassification as Bert

    monkeypatch.setattr(Bert, "get_input_embeddings", lambda self: None)
    assert main([*tiny_fit, "--model.objective=FGM"]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told == (
        "error: the objective works on word embeddings, and this encoder has none (its model_type "
        "is bert); use another backbone, or objective=Plain."
    )
    assert not (work / "runs").exists()

"""The command from a checkpoint to a bundle: what the folder answers, holds, and refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from lightning_tune.cli import main
from lightning_tune.data.batching import BatchSettings
from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.manifest import PORTABLE, QUANTIZED, read_manifest
from lightning_tune.serving.neighbours import Occupancy
from lightning_tune.serving.sums import verify_sums
from lightning_tune.training.inference import load
from lightning_tune_export import pipeline

TASKS = ("binary", "pairs", "windows", "multilabel", "regression")
FILES = {
    "SHA256SUMS",
    "README.md",
    "bundle.json",
    "config.json",
    "onnx",
    "report.html",
    "report.json",
    "report.md",
    "requirements.txt",
    "tokenizer.json",
    "tokenizer_config.json",
}


def texts_of(checkpoint: Path, task: str) -> tuple[list[str], list[str] | None]:
    with (checkpoint.parents[3] / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    others = [row["other"] for row in rows] if task == "pairs" else None
    return [row["text"] for row in rows], others


@pytest.mark.parametrize("task", TASKS)
def test_the_portable_model_answers_as_the_checkpoint_does(task, checkpoint, exported):
    trained, bundle = load(checkpoint(task)), Bundle(exported(task), portable=True)
    texts, others = texts_of(checkpoint(task), task)
    logits = bundle.logits(texts, others)
    expected = np.empty_like(logits)
    for batch in trained.batches(texts, others, BatchSettings(8)):
        expected[batch["index"].numpy()] = trained.module(batch).detach().numpy()
    assert np.abs(logits - expected).max() <= 1e-4


@pytest.mark.parametrize("task", TASKS)
def test_an_int8_bundle_is_whole_and_answers(task, checkpoint, exported):
    folder = exported(task)
    assert {path.name for path in folder.iterdir()} == FILES
    verify_sums(folder)
    manifest = read_manifest(folder)
    assert manifest.model == QUANTIZED
    texts, others = texts_of(checkpoint(task), task)
    answers = Bundle(folder)(texts, others)
    assert len(answers) == len(texts)
    if manifest.labels.kind == "regression":
        assert manifest.calibration.temperature == 1
    elif manifest.labels.kind == "multilabel":
        assert len(manifest.calibration.thresholds) == len(manifest.labels.names)


def test_the_report_holds_what_was_measured_and_no_text(exported):
    folder = exported("binary")
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    names = [rung["name"] for rung in report["rungs"]]
    assert report["winner"] in names
    assert "torch fp32" in names
    assert report["comparison"]["rows"] == 40
    assert report["comparison"]["lost_interval"] is not None
    assert {check["unit"] for check in report["checks"]} >= {"points"}
    for name in ("report.json", "report.md", "report.html", "README.md", "bundle.json"):
        assert "the test film" not in (folder / name).read_text(encoding="utf-8")


def test_metrics_in_the_manifest_are_what_the_bundle_reaches(checkpoint, exported):
    folder = exported("binary")
    with (checkpoint("binary").parents[3] / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    answers = Bundle(folder)([row["text"] for row in rows])
    right = [answer.label == row["label"] for answer, row in zip(answers, rows, strict=True)]
    manifest = read_manifest(folder)
    assert manifest.main_metric == "accuracy"
    assert manifest.metrics["accuracy"] == pytest.approx(np.mean(right))


def test_what_lora_trained_is_merged_first(checkpoint, tmp_path, capsys):
    path = checkpoint("binary", "--model.tuning=LoRA")
    words = ["--recipe=fp32", "--recipe.measure.rounds=1", "--recipe.resamples=100"]
    output = tmp_path / "bundle"
    assert main(["export", f"--checkpoint={path}", f"--output={output}", *words]) == 0
    texts, _ = texts_of(path, "binary")
    trained = load(path).scores(texts).numpy()
    bundle = Bundle(output)
    temperature = bundle.manifest.calibration.temperature
    powers = np.exp(bundle.logits(texts))
    assert temperature != 1
    assert np.abs(powers / powers.sum(axis=1, keepdims=True) - trained).max() < 1e-4
    assert bundle.manifest.model == PORTABLE
    assert "LoRA trained was merged" in (output / "report.md").read_text()


def test_a_pruned_bundle_is_smaller_and_its_checkpoint_lives_on(checkpoint, exported, tmp_path):
    kept = tmp_path / "pruned.ckpt"
    words = ["--recipe.vocabulary=true", "--recipe.prune.keep=0.6", f"--pruned={kept}"]
    folder = exported("binary", "pruned-int8", *words)
    whole = exported("binary")
    sizes = [(each / PORTABLE).stat().st_size for each in (folder, whole)]
    assert sizes[0] < 0.8 * sizes[1]
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["pruning"]["weights"] <= 0.6
    assert report["pruning"]["vocabulary"] == len(
        json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    )
    # PyTorch's rows are the unpruned checkpoint's, on its own tokens.
    (torch_row,) = [rung for rung in report["rungs"] if rung["name"] == "torch fp32"]
    assert torch_row["comparison"]["flips"] == []
    texts, _ = texts_of(checkpoint("binary"), "binary")
    logits = Bundle(folder, portable=True).logits(texts)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(load(kept).scores(texts).numpy() - shares).max() < 1e-4


def test_a_regression_says_which_budget_is_not_judged(exported):
    report = json.loads((exported("regression") / "report.json").read_text(encoding="utf-8"))
    assert {check["setting"] for check in report["checks"]} == {"points"}
    assert any(note.startswith("budgets.flips=1 is not judged:") for note in report["notes"])


def test_a_budget_for_classes_is_refused_in_regression(checkpoint, tmp_path, capsys):
    words = [f"--checkpoint={checkpoint('regression')}", f"--output={tmp_path / 'bundle'}"]
    assert main(["export", *words, "--recipe=fp32", "--recipe.budgets.class_points=1"]) == 2
    assert "is about classes, and a regression has none" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_what_is_not_pruned_has_no_pruned_checkpoint(checkpoint, tmp_path, capsys):
    words = [f"--checkpoint={checkpoint('binary')}", f"--output={tmp_path / 'bundle'}"]
    words += ["--recipe=fp32", f"--pruned={tmp_path / 'pruned.ckpt'}"]
    assert main(["export", *words]) == 2
    assert "the recipe prunes nothing; leave it out" in capsys.readouterr().err


@pytest.mark.parametrize(("busy", "told"), [(9.0, True), (1.05, False)])
def test_a_disturbed_measurement_is_told(monkeypatch, busy, told):
    monkeypatch.setattr(pipeline.os, "cpu_count", lambda: 2)
    notes = pipeline._disturbance(Occupancy(0.0, 0.0, 0.0), Occupancy(busy, 1.0, 5.0))
    assert bool(notes) is told
    assert not told or "took 80% of the processors" in notes[0]

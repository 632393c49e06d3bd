"""`export` from the command line: what it refuses, in one line, and what it never leaves behind."""

from __future__ import annotations

import os
import re
import resource
import signal
from pathlib import Path

import pytest
import torch

from lightning_tune.cli import main
from lightning_tune.serving.sums import write_sums
from lightning_tune.training.objectives import Distillation
from lightning_tune_export import bundle as writing
from lightning_tune_export.recipe import find_recipe, shipped_recipes

QUICK = ["--recipe=fp32", "--recipe.measure.rounds=1", "--recipe.resamples=100", "--track=false"]


@pytest.fixture(scope="module")
def best(tmp_path_factory, tiny_backbone) -> Path:
    """The best checkpoint of a tiny fit on good and bad films, beside its data."""
    folder = tmp_path_factory.mktemp("export")
    for split, rows in (("train", 32), ("val", 16), ("test", 16)):
        lines = [f"film {row} is {('great', 'worst')[row % 2]},{row % 2}" for row in range(rows)]
        (folder / f"{split}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    data = [f"--data.{split}={folder / f'{split}.csv'}" for split in ("train", "val", "test")]
    words = [f"--model.backbone={tiny_backbone('bert')}", "--data.max_length=24"]
    words += ["--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    words += [f"--trainer.default_root_dir={folder / 'runs'}", "--trainer.precision=32-true"]
    assert main(["fit", *data, *words]) == 0
    (run,) = (folder / "runs").iterdir()
    return run / "checkpoints" / "best.ckpt"


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error(capsys, *words: str, code: int = 2) -> str:
    capsys.readouterr()
    assert main(["export", *words]) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def left(folder: Path) -> list[str]:
    """The names that lie in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--checkpoint=no.ckpt", "--output=out"], "checkpoint 'no.ckpt' does not exist"),
        (["--checkpoint=best", "--output=out"], "no run below 'runs' has a whole"),
        (["--checkpoint=a.ckpt"], "output is missing; give --output"),
        (["--output=out"], "checkpoint is missing; give --checkpoint"),
        (["--checkpoint=a.ckpt", "--outptu=out"], "Did you mean '--output'?"),
        (["--checkpoint=a.ckpt", "--output=out", "--data.tests=x"], "Did you mean '--data.test'?"),
        (["--checkpoint=a.ckpt", "--output=out", "--recipe=int9"], "Did you mean 'int8'?"),
        (["--checkpoint=a.ckpt", "--output=out", "--recipe"], "--recipe needs the name"),
        (
            ["--checkpoint=a.ckpt", "--output=out", "--recipe.budgets.flips=2"],
            "budgets.flips=2.0 can never be kept; it has to be in [0, 1].",
        ),
    ],
)
def test_wrong_words_are_one_line(words, message, capsys):
    assert message in error(capsys, *words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "budgets:\n  pointz: 1\n",
            "budgets.pointz is not known. Did you mean 'points'?",
        ),
        ("budgets:\n  points: much\n", "mine.yaml: budgets.points='much' is not a number;"),
        ("budgets:\n  megabytes: 0\n", "mine.yaml: budgets.megabytes=0.0 can never be kept;"),
        ("prune:\n  keep: 1.5\n", "mine.yaml: prune.keep=1.5 is outside (0, 1]"),
        ("- int8\n", "mine.yaml holds a list"),
        ("# to come\n", "mine.yaml holds no setting; write one, or leave --recipe out."),
        ("1: 2\n", "mine.yaml: 1 is not known; correct the recipe."),
        ("measure:\n  shapes: [[1]]\n", "measure.shapes[0]=[1] does not hold 2 values;"),
        ("measure:\n  threads: 0\n", "measure.threads=0 has to be at least 1."),
        ("measure:\n  threads: 10000\n", "measure.threads=10000 exceeds the "),
        ("measure:\n  shapes: []\n", "measure.shapes is empty, so nothing would be timed;"),
        ("measure:\n  shapes: [[1, 0]]\n", "measure.shapes holds [1, 0]: texts and tokens have"),
        (
            "quantize:\n  dynamic: false\n  static: false\n  openvino: false\n",
            "mine.yaml: quantize.dynamic, static and openvino are all false, so there is no int8",
        ),
        ("budgets: [1\n", "mine.yaml:2: "),
    ],
)
def test_a_recipe_with_a_mistake_is_one_line(text, message, work, capsys):
    (work / "mine.yaml").write_text(text)
    words = ["--checkpoint=a.ckpt", "--output=out", "--recipe=mine.yaml"]
    assert message in error(capsys, *words)


def test_recipes_are_found_by_bare_name_and_a_file_here_wins(work):
    assert set(shipped_recipes()) == {"fp32", "int8", "pruned-int8"}
    for name in ("int8", "int8.yaml", "export/recipes/int8.yaml"):
        assert find_recipe(name) == str(shipped_recipes()["int8"])
    (work / "int8").write_text("quantize: {}\n")
    assert find_recipe("int8") == "int8"


def test_a_place_that_is_taken_is_refused_before_anything_is_read(work, capsys, monkeypatch):
    (work / "full").mkdir()
    (work / "full" / "notes.txt").write_text("mine")
    (work / "file").write_text("mine")
    words = ["--checkpoint=no.ckpt", *QUICK]
    assert "exists and is not empty; name a new folder" in error(capsys, "--output=full", *words)
    assert "is a file; name a new folder" in error(capsys, "--output=file", *words)
    assert "is no folder; name another place" in error(capsys, "--output=file/out", *words)
    (work / "empty").mkdir()
    monkeypatch.chdir(work / "empty")
    assert "output='.' names no new folder" in error(capsys, "--output=.", *words)
    assert (work / "full" / "notes.txt").read_text() == "mine"


def test_a_damaged_and_a_foreign_checkpoint_are_one_line(best, work, capsys):
    held = best.read_bytes()
    (work / "cut.ckpt").write_bytes(held[: len(held) // 2])
    torch.save({"state_dict": {}}, work / "foreign.ckpt")
    words = ["--output=out", *QUICK]
    assert "is damaged or cut short" in error(capsys, "--checkpoint=cut.ckpt", *words)
    assert "was not written by lightning_tune" in error(capsys, "--checkpoint=foreign.ckpt", *words)
    assert left(work) == ["cut.ckpt", "foreign.ckpt"]


def test_data_that_is_not_there_is_one_line(best, work, capsys):
    words = [f"--checkpoint={best}", "--output=out", *QUICK]
    assert "gone.csv does not exist." in error(capsys, *words, "--data.test=gone.csv")
    (work / "bare.csv").write_text("text\nfilm\n")
    assert "has no column 'label'" in error(capsys, *words, "--data.test=bare.csv")
    (work / "other.csv").write_text("text,label\nfilm,7\n")
    assert "label '7'" in error(capsys, *words, "--data.test=other.csv")
    assert left(work) == ["bare.csv", "other.csv"]


def test_a_budget_that_nothing_keeps_ends_with_3_the_table_and_no_bundle(best, work, capsys):
    words = [f"--checkpoint={best}", "--output=out", *QUICK, "--recipe.budgets.megabytes=0.001"]
    assert main(["export", *words]) == 3
    told = capsys.readouterr()
    (line,) = told.err.strip().splitlines()
    assert line.startswith(
        "error: none of 1 candidates keeps the budgets, so no bundle was written."
    )
    assert "fp32: size of the model file: 0.1 of 0.0 MB, missed by 0.1 MB" in line
    assert re.search(
        r"Raise a budget \(--recipe\.budgets\.megabytes 0\.\d+ is enough for fp32", line
    )
    assert "misses" in told.out
    assert "torch fp32" in told.out
    assert left(work) == []


def test_a_winner_that_misses_on_test_is_not_written(best, work, capsys, monkeypatch):
    from lightning_tune_export import verdict
    from lightning_tune_export.gate import Check

    def judge(comparison, budgets, **figures):
        return [Check(f"points lost on {comparison.split}", 2.0, 1.0, "points", "points")]

    monkeypatch.setattr(verdict, "judge", judge)  # on test alone; validation has its own
    words = [f"--checkpoint={best}", "--output=out", *QUICK]
    line = error(capsys, *words, code=3)
    assert "chosen on validation, misses a budget on test, so no bundle was written" in line
    assert "points lost on test: 2.00 of 1.00 points, missed by 1.00 points" in line
    assert "Raise the budget (--recipe.budgets.points 2 would be enough), or choose" in line
    assert left(work) == []


def test_a_disk_that_fills_leaves_nothing(best, work, capsys, monkeypatch):
    def full(folder):
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.setattr(writing, "write_sums", full)  # the last file of all
    words = [f"--checkpoint={best}", "--output=out", *QUICK]
    assert "No space left on device" in error(capsys, *words)
    assert left(work) == []


def test_all_that_a_killed_export_leaves_goes_with_the_next(best, work, monkeypatch):
    begun = []

    def watched(folder):
        begun.extend(left(work))
        write_sums(folder)

    monkeypatch.setattr(writing, "write_sums", watched)
    words = [f"--checkpoint={best}", "--output=out", *QUICK]
    assert main(["export", *words]) == 0
    assert len(begun) == 2  # of the graphs, and of the bundle
    for name in begun:
        (work / name).mkdir()
    (work / "out").rename(work / "other")
    assert main(["export", *words]) == 0
    assert left(work) == ["other", "out"]


def test_a_signal_leaves_nothing(best, work, monkeypatch):
    def stopped(folder):
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("SIGTERM was not heard")

    monkeypatch.setattr(writing, "write_sums", stopped)
    assert main(["export", f"--checkpoint={best}", "--output=out", *QUICK]) == 143
    assert left(work) == []


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_the_pruned_model_learns_ends_the_command(
    signum, code, best, work, capsys, monkeypatch
):
    heard = []

    def stopped(*args):
        heard.append(signum)
        os.kill(os.getpid(), signum)
        raise AssertionError("the signal was not heard")

    monkeypatch.setattr(Distillation, "__call__", stopped)
    words = ["--recipe=pruned-int8", "--recipe.prune.texts=24", "--recipe.prune.width_step=4"]
    words += ["--recipe.resamples=100", "--track=false", "--output=out"]
    before = signal.getsignal(signum)
    assert main(["export", f"--checkpoint={best}", *words]) == code
    assert heard == [signum]
    assert f"{signum.name} came; no output was written" in capsys.readouterr().err
    assert left(work) == []
    assert signal.getsignal(signum) == before


def test_a_limit_on_the_size_of_files_leaves_nothing(best, work, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    words = [f"--checkpoint={best}", "--output=out", *QUICK]
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        line = error(capsys, *words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "File too large" in line
    assert left(work) == []


def test_an_empty_folder_is_filled_and_a_full_one_kept(best, work, capsys):
    (work / "out").mkdir()
    words = [f"--checkpoint={best}", "--output=out", *QUICK]
    assert main(["export", *words]) == 0
    assert left(work) == ["out"]
    before = {path: path.read_bytes() for path in (work / "out").rglob("*") if path.is_file()}
    assert "exists and is not empty" in error(capsys, *words)
    assert {path: path.read_bytes() for path in before} == before

"""Tiny checkpoints of every kind of task, and what the command makes of them, once a session."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

QUICK = [
    "--recipe.measure.rounds=1",
    "--recipe.resamples=100",
    "--recipe.budgets.milliseconds=null",
    "--recipe.quantize.mixed=false",
]
"""Speed and intervals are not what these tests look at."""

LABELS = {
    "binary": ["good", "bad"],
    "pairs": ["good", "bad", "odd"],
    "windows": ["good", "bad", "odd"],
    "multilabel": ["good", "good|odd", "bad", ""],
    "regression": ["0.5", "1.5", "2.5", "4.0"],
}
SETTINGS = {
    "binary": [],
    "pairs": ["--data.text_pair=other"],
    "windows": ["--data.truncation=windows", "--data.window_stride=2", "--data.max_length=12"],
    "multilabel": ["--data.label_separator=|"],
    "regression": ["--data.task=regression"],
}
ROWS = {"train": 64, "val": 32, "test": 40}


def write_splits(folder: Path, task: str) -> None:
    """Write train.csv, val.csv and test.csv, whose texts end in a word that tells the label."""
    labels = LABELS[task]
    for split, rows in ROWS.items():
        with (folder / f"{split}.csv").open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["text", "other", "label"])
            for row in range(rows):
                word = ("great", "worst", "odd", "slow")[row % len(labels)]
                text = f"the {split} film {row} is {'very ' * (row % 9)}{word}"
                out.writerow([text, f"we saw film {row}", labels[row % len(labels)]])


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that all checkpoints of this session are fitted in."""
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="session")
def checkpoint(session_folder: Path, tiny_backbone: Callable[[str], Path]) -> Callable[..., Path]:
    """Return a function: a task (and more words of `fit`) -> best.ckpt of a tiny fit.

    Its data lie two folders above it, and it names them by their whole paths.
    """
    from lightning_tune.cli import main

    made: dict[tuple[str, ...], Path] = {}

    def fit(task: str = "binary", *words: str, family: str = "bert") -> Path:
        key = (task, family, *words)
        if key not in made:
            folder = session_folder / f"fit-{len(made)}"
            folder.mkdir()
            write_splits(folder, task)
            data = [f"--data.{split}={folder / f'{split}.csv'}" for split in ROWS]
            args = ["fit", *data, "--data.max_length=24", "--data.batch_size=8"]
            args += [f"--model.backbone={tiny_backbone(family)}", "--model.lr=0.01"]
            args += [f"--trainer.default_root_dir={folder / 'runs'}", "--trainer.max_epochs=2"]
            args += ["--trainer.accelerator=cpu", "--trainer.precision=32-true"]
            assert main([*args, *SETTINGS[task], *words]) == 0
            (run,) = (folder / "runs").iterdir()
            made[key] = run / "checkpoints" / "best.ckpt"
        return made[key]

    return fit


@pytest.fixture(scope="session")
def exported(session_folder: Path, checkpoint: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function: a task (and a recipe) -> the bundle that the command wrote."""
    from lightning_tune.cli import main

    made: dict[tuple[str, ...], Path] = {}

    def export(task: str = "binary", recipe: str = "int8", *words: str) -> Path:
        key = (task, recipe, *words)
        if key not in made:
            folder = session_folder / f"bundle-{len(made)}"
            args = ["export", f"--checkpoint={checkpoint(task)}", f"--recipe={recipe}"]
            loose = ["--recipe.budgets.points=50", "--recipe.budgets.flips=1"]
            loose += ["--recipe.budgets.class_points=null", "--recipe.budgets.megabytes=null"]
            assert main([*args, f"--output={folder}", *QUICK, *loose, *words]) == 0
            made[key] = folder
        return made[key]

    return export

"""A run that was cut and resumed ends as the run that was not: bit by bit, wherever the cut is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping

from lightning_tune.models.peft import LoRA
from lightning_tune.training.callbacks.weight_average import WeightAverage
from lightning_tune.training.objectives import FGM, PGD, SMART, FGMRDrop, FreeLB, RDrop
from lightning_tune.training.resuming import random_state, restore_random_state


class Cut(Exception):
    """Where a test ends a run."""


class Journal(L.Callback):
    """Note what a run does, and cut it: save at a hook, then end at once."""

    def __init__(self, hook: str = "", count: int = 0, to: Path | None = None) -> None:
        self.rows: list[list[int]] = []
        self.rates: list[tuple[int, float]] = []
        self.scores: list[tuple[int, float]] = []
        self._cut = (hook, count)
        self._to = to
        self.calls: Counter[str] = Counter()

    def _at(self, hook: str, trainer: L.Trainer) -> None:
        self.calls[hook] += 1
        if (hook, self.calls[hook]) == self._cut:
            trainer.save_checkpoint(str(self._to), weights_only=False)
            raise Cut

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        self.rows.append(batch["index"].tolist())
        self._at("batch_start", trainer)

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        self.rates.append((trainer.global_step, lr))
        self._at("batch_end", trainer)

    def on_validation_batch_start(self, trainer: Any, *args: Any) -> None:
        self._at("validation", trainer)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        self.scores.append((trainer.global_step, float(trainer.callback_metrics["val/loss"])))

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self._at("epoch_end", trainer)


@dataclass
class Run:
    """What a run leaves."""

    weights: dict[str, torch.Tensor]
    optimizer: Any
    schedule: Any
    journal: Journal
    global_step: int
    epoch: int
    stopping: Any
    logged: int
    best: tuple[str, Any]
    random: dict[str, Any] = field(default_factory=dict)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


class Keep(L.Callback):
    """Keep what is gone after the fit."""

    found: dict[str, Any]

    def on_fit_end(self, trainer: Any, module: Any) -> None:
        stopping = next(c for c in trainer.callbacks if isinstance(c, EarlyStopping))
        best = next(c for c in trainer.checkpoint_callbacks if c.monitor)
        self.found = {
            "weights": {name: w.clone() for name, w in module.state_dict().items()},
            "optimizer": trainer.optimizers[0].state_dict(),
            "schedule": trainer.lr_scheduler_configs[0].scheduler.state_dict(),
            "global_step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "stopping": stopping.state_dict(),
            "logged": trainer.fit_loop.epoch_loop._batches_that_stepped,
            "best": (Path(best.best_model_path).name, best.best_model_score),
            "random": random_state(),
        }


@pytest.fixture
def run(train: Callable[..., Any], tmp_path: Path) -> Callable[..., Run]:
    def fit(journal: Journal, folder: str, ckpt_path: Path | None = None, **settings: Any) -> Run:
        keep = Keep()
        own = [make() for make in settings.get("callbacks", ())]
        train(
            "multiclass",
            data={"num_workers": settings.get("workers", 0)} | settings.get("data", {}),
            model={"dropout": {"hidden": 0.1}, **settings.get("model", dict)()},
            trainer={"max_epochs": 3} | settings.get("trainer", {}),
            callbacks=[*own, journal, keep],
            folder=folder,
            ckpt_path=ckpt_path,
        )
        return Run(journal=journal, **keep.found)

    return fit


CUTS = [
    *[("batch_end", count) for count in (1, 3, 4, 5, 8, 14)],
    *[("batch_start", count) for count in (1, 2, 6, 7)],
    *[("validation", count) for count in (1, 2, 4)],
    *[("epoch_end", count) for count in (1, 2, 3)],
]


def check_cut(
    run: Callable[..., Run], tmp_path: Path, whole: Run, cut: tuple[str, int], **settings: Any
) -> None:
    """Cut a run, resume it, and compare with the run that was not cut."""
    name = f"{cut[0]}{cut[1]}"
    saved = tmp_path / f"{name}.ckpt"
    first = Journal(*cut, saved)
    with pytest.raises(Cut):
        run(first, name, **settings)
    random.seed(99), np.random.seed(99), torch.manual_seed(99)
    resumed = run(Journal(), name, saved, **settings)
    where = f"cut at {cut}"
    trained = whole.journal.rows[len(whole.journal.rows) - len(resumed.journal.rows) :]
    assert resumed.journal.rows == trained, where
    rates = whole.journal.rates[len(whole.journal.rates) - len(resumed.journal.rates) :]
    assert resumed.journal.rates == rates, where
    scores = whole.journal.scores[len(whole.journal.scores) - len(resumed.journal.scores) :]
    assert resumed.journal.scores == scores, where
    kept = ["weights", "optimizer", "schedule", "stopping", "best"]
    for what in [*kept, "random"] if trained else kept:
        assert same(getattr(resumed, what), getattr(whole, what)), (where, what)
    assert (resumed.global_step, resumed.epoch, resumed.logged) == (
        whole.global_step,
        whole.epoch,
        whole.logged,
    ), where


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulation": {"trainer": {"accumulate_grad_batches": 2}},
    "validation within the epoch": {"trainer": {"val_check_interval": 2}},
    "validation every other epoch": {"trainer": {"check_val_every_n_epoch": 2, "max_epochs": 4}},
    "average": {"callbacks": [lambda: WeightAverage(0.9)]},
    "lora": {"model": lambda: {"tuning": LoRA(rank=2)}},
    "token budget": {"data": {"batch_tokens": 60}},
    "fgm": {"model": lambda: {"objective": FGM()}},
    "pgd": {"model": lambda: {"objective": PGD(steps=2)}},
    "freelb": {"model": lambda: {"objective": FreeLB(steps=2)}},
    "smart": {"model": lambda: {"objective": SMART()}},
    "rdrop": {"model": lambda: {"objective": RDrop()}},
    "fgm and rdrop": {"model": lambda: {"objective": FGMRDrop()}},
    "bfloat16": {"trainer": {"precision": "bf16-mixed"}},
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_cut_and_resumed_run_ends_as_an_uninterrupted_one(run, tmp_path, kind):
    whole = run(Journal(), "whole", **KINDS[kind])
    cuts = CUTS if kind in ("plain", "accumulation", "validation within the epoch") else CUTS[1::3]
    for cut in [cut for cut in cuts if cut[1] <= whole.journal.calls[cut[0]]]:
        check_cut(run, tmp_path, whole, cut, **KINDS[kind])


def test_a_run_that_stopped_early_stays_stopped(run, tmp_path):
    settings = {
        "callbacks": [
            lambda: EarlyStopping(
                "val/accuracy", mode="max", patience=1, check_on_train_epoch_end=False
            )
        ],
        "model": lambda: {"lr": 1e-9},
        "trainer": {"max_epochs": 6},
    }
    whole = run(Journal(), "whole", **settings)
    assert whole.epoch == 2
    for count in (1, 2):
        check_cut(run, tmp_path, whole, ("epoch_end", count), **settings)


def other_run(run: Callable[..., Run], tmp_path: Path, cut: tuple[str, int], **other: Any) -> Run:
    """Cut a run, and resume it with other settings."""
    saved = tmp_path / "other.ckpt"
    with pytest.raises(Cut):
        run(Journal(*cut, saved), "other")
    return run(Journal(), "other", saved, **other)


def test_other_batches_are_told_and_begin_the_epoch_again(run, tmp_path, caplog):
    resumed = other_run(run, tmp_path, ("batch_end", 7), data={"batch_size": 4})
    assert "data.batch_size was 8 and is 4; epoch 2 begins again with the new ones" in caplog.text
    assert len(resumed.journal.rows) == 2 * 9


def test_other_data_is_told_between_epochs(run, tmp_path, caplog):
    resumed = other_run(run, tmp_path, ("epoch_end", 1), data={"seed": 5})
    assert "data.seed was 1 and is 5; epoch 2 begins with the new ones" in caplog.text
    assert len(resumed.journal.rows) == 2 * 5


def test_workers_that_fetch_ahead_change_nothing(run, tmp_path):
    whole = run(Journal(), "whole")
    for cut in (("batch_end", 3), ("epoch_end", 1)):
        check_cut(run, tmp_path, whole, cut, workers=2)


def test_random_numbers_go_on():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    random.gauss(0, 1), np.random.standard_normal()
    state = random_state()

    def draw() -> list[float]:
        return [random.gauss(0, 1), float(np.random.standard_normal()), float(torch.randn(()))]

    drawn = draw()
    draw()
    restore_random_state(state)
    assert draw() == drawn

"""The time left, worked out by hand and measured on real trainings."""

from __future__ import annotations

from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest

from lightning_tune.training.callbacks import throughput
from lightning_tune.training.callbacks.throughput import Throughput
from lightning_tune.training.meter import Amounts
from lightning_tune.training.time_left import Plan, plan_of


def done(batches: int, tokens: int, seconds: float) -> Amounts:
    return Amounts(batches, tokens=tokens, seconds=seconds)


def test_by_steps_where_tokens_are_not_known():
    plan = Plan(batches=100, validations=0)
    # 30 batches in 15 s, of which the first took 0.5: 29 in 14.5; 70 are left.
    left = plan.seconds_left(0, done(30, 999, 15.0), done(1, 9, 0.5), 0, 0.0)
    assert left == pytest.approx(70 * 14.5 / 29)


def test_by_tokens_a_short_batch_says_little():
    plan = Plan(batches=10, validations=0, batch_tokens=100.0)
    # Five short batches are a tenth of the work, not half of it.
    left = plan.seconds_left(0, done(5, 100, 2.0), done(0, 0, 0.0), 0, 0.0)
    assert left == pytest.approx((1000 - 100) * 2.0 / 100)


def test_a_slow_first_batch_is_no_pace():
    plan = Plan(batches=10, validations=0)
    left = plan.seconds_left(0, done(5, 0, 34.0), done(1, 0, 30.0), 0, 0.0)
    assert left == pytest.approx(5.0)


@pytest.mark.parametrize("count", [0, 1])
def test_before_a_second_batch_nothing_is_said(count):
    plan = Plan(batches=10, validations=1)
    first = done(count, 0, float(count))
    assert plan.seconds_left(0, first, first, 0, 0.0) is None


def test_validations_to_come_take_what_those_before_took():
    plan = Plan(batches=40, validations=4)
    left = plan.seconds_left(0, done(10, 0, 10.0), done(0, 0, 0.0), 1, 5.0)
    assert left == pytest.approx(30.0 + 3 * 5.0)
    before_any = plan.seconds_left(0, done(5, 0, 5.0), done(0, 0, 0.0), 0, 0.0)
    assert before_any == pytest.approx(35.0)


def test_a_resumed_run_counts_what_it_does_itself():
    plan = Plan(batches=40, validations=4)
    # 20 batches and two validations lie before this start.
    left = plan.seconds_left(20, done(10, 0, 30.0), done(0, 0, 0.0), 1, 2.0)
    assert left == pytest.approx(10 * 3.0 + 1 * 2.0)


def test_it_never_falls_below_nothing():
    plan = Plan(batches=2, validations=1, batch_tokens=10.0)
    assert plan.seconds_left(0, done(3, 30, 3.0), done(0, 0, 0.0), 2, 9.0) == 0.0


def trainer(**settings):
    usual = {
        "num_training_batches": 10,
        "max_epochs": 3,
        "max_steps": -1,
        "accumulate_grad_batches": 1,
        "enable_validation": True,
        "val_check_batch": 10,
        "check_val_every_n_epoch": 1,
        "world_size": 1,
        "train_dataloader": [None] * 10,
        "datamodule": None,
    }
    return SimpleNamespace(**(usual | settings))


@pytest.mark.parametrize(
    ("settings", "batches", "validations"),
    [
        ({}, 30, 3),
        ({"max_epochs": -1, "max_steps": 6, "accumulate_grad_batches": 2}, 12, 1),
        ({"max_epochs": None, "max_steps": 15}, 15, 1),
        ({"max_steps": 25}, 25, 2),
        ({"max_steps": 99}, 30, 3),
        ({"val_check_batch": 5}, 30, 6),
        ({"val_check_batch": 4}, 30, 6),
        ({"check_val_every_n_epoch": 2}, 30, 1),
        ({"check_val_every_n_epoch": None, "val_check_batch": 7}, 30, 4),
        ({"enable_validation": False}, 30, 0),
        ({"val_check_batch": float("inf")}, 30, 0),
        ({"val_check_batch": None}, 30, 0),
    ],
)
def test_what_a_trainer_is_about_to_do(settings, batches, validations):
    assert plan_of(trainer(**settings)) == Plan(batches, validations)


@pytest.mark.parametrize("settings", [{"max_epochs": -1}, {"num_training_batches": float("inf")}])
def test_a_training_without_an_end_has_no_plan(settings):
    assert plan_of(trainer(**settings)) is None


def test_the_tokens_of_a_batch_are_those_of_the_data():
    data = SimpleNamespace(train_data=SimpleNamespace(lengths=np.array([30, 50, 40])))
    assert plan_of(trainer(datamodule=data)).batch_tokens == 12.0
    assert plan_of(trainer(datamodule=data, world_size=2)).batch_tokens == 6.0
    limited = trainer(datamodule=data, num_training_batches=4)
    assert plan_of(limited).batch_tokens is None
    endless = trainer(datamodule=data, train_dataloader=iter([]))
    assert plan_of(endless).batch_tokens is None


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_epochs": 1, "val_check_interval": 0.5},
        {"check_val_every_n_epoch": 2},
        {"max_steps": 7},
        {"limit_train_batches": 2, "accumulate_grad_batches": 2},
        {"check_val_every_n_epoch": None, "val_check_interval": 4},
    ],
)
def test_the_plan_is_what_a_real_trainer_then_does(train, settings):
    class Count(L.Callback):
        plan = None
        batches = validations = 0

        def on_train_start(self, trainer, pl_module):
            self.plan = plan_of(trainer)

        def on_train_batch_end(self, *_):
            self.batches += 1

        def on_validation_end(self, trainer, pl_module):
            self.validations += 1

    count = Count()
    train(callbacks=[count], trainer=settings)
    assert (count.batches, count.validations) == (count.plan.batches, count.plan.validations)


def test_the_estimate_of_a_real_training_comes_true(train, monkeypatch):
    class Clock(L.Callback):
        """Time that tokens take, and validations."""

        now = 100.0

        def perf_counter(self):
            return self.now

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.now += 0.01 * int(batch["attention_mask"].sum())

        def on_validation_batch_end(self, *_):
            self.now += 1.5

    class Note(L.Callback):
        def __init__(self):
            self.ends = []

        def on_train_batch_end(self, trainer, *_):
            left = measuring.seconds_left
            if left is not None:
                self.ends.append(clock.now + left)

    clock, measuring, note = Clock(), Throughput(), Note()
    monkeypatch.setattr(throughput, "time", clock)
    train(callbacks=[clock, measuring, note], trainer={"max_epochs": 4, "log_every_n_steps": 1})
    steps = len(note.ends) // 4  # of an epoch, but that the first batch gives no pace
    after_a_validation = note.ends[steps + 1 :]
    assert len(after_a_validation) >= 10
    assert after_a_validation == pytest.approx([clock.now] * len(after_a_validation), rel=1e-6)
    before_any = note.ends[:steps]
    assert all(100.0 < end < clock.now - 4 * 1.5 * 0.9 for end in before_any)

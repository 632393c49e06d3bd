"""Samples and tokens a second, counted by hand on a clock that the test moves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lightning_tune.training.callbacks import throughput
from lightning_tune.training.callbacks.throughput import Throughput


class Clock:
    now = 100.0

    def perf_counter(self) -> float:
        return self.now


class Log:
    """A module that keeps what is logged."""

    def __init__(self):
        self.values = []

    def log_dict(self, values, batch_size):
        self.values.append(values)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throughput, "time", clock)
    return clock


def batch(*lengths: int) -> dict[str, torch.Tensor]:
    """A batch of examples of so many tokens, padded to the longest."""
    mask = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
    return {"attention_mask": mask, "index": torch.arange(len(lengths))}


def test_counts_cover_the_steps_since_the_last_log_without_validation(clock):
    callback, log = Throughput(), Log()
    trainer = SimpleNamespace(global_step=0, log_every_n_steps=2)
    callback.on_train_start(trainer, log)

    def step(number: int, seconds: float, *lengths: int) -> None:
        clock.now += seconds
        trainer.global_step = number
        callback.on_train_batch_end(trainer, log, None, batch(*lengths), number - 1)

    step(1, 1.0, 4, 2)
    assert log.values == []
    callback.on_validation_start(trainer, log)
    clock.now += 1000.0  # does not count
    callback.on_validation_end(trainer, log)
    step(2, 1.0, 3, 3, 1)
    # 5 samples in 2 seconds; 13 tokens in 8 + 9 cells
    assert log.values == [
        {
            "throughput/samples_per_second": 2.5,
            "throughput/tokens_per_second": 6.5,
            "throughput/padding": pytest.approx(4 / 17),
        }
    ]
    assert (callback.samples_per_second, callback.tokens_per_second) == (2.5, 6.5)

    step(3, 0.5, 8)
    step(4, 0.5, 8)
    assert log.values[1] == {
        "throughput/samples_per_second": 2.0,
        "throughput/tokens_per_second": 16.0,
        "throughput/padding": 0.0,
    }


def test_a_text_in_several_windows_is_one_sample(clock):
    callback, log = Throughput(), Log()
    trainer = SimpleNamespace(global_step=0, log_every_n_steps=1)
    callback.on_train_start(trainer, log)
    clock.now += 1.0
    windows = batch(4, 4, 4) | {"index": torch.tensor([7])}
    callback.on_train_batch_end(trainer, log, None, windows, 0)
    assert log.values[0]["throughput/samples_per_second"] == 1.0
    assert log.values[0]["throughput/tokens_per_second"] == 12.0


def test_a_run_logs_its_rates(train):
    trained = train(trainer={"log_every_n_steps": 2})
    measured = trained.trainer.callback_metrics
    assert float(measured["throughput/samples_per_second"]) > 0
    assert float(measured["throughput/tokens_per_second"]) > float(
        measured["throughput/samples_per_second"]
    )
    assert 0 <= float(measured["throughput/padding"]) < 0.5

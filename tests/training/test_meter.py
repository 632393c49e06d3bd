"""Counts of batches made up here, on a clock that the test moves."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.models.flops import TrainingFlops
from lightning_tune.training.meter import Amounts, Meter


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def batch(*lengths: int) -> dict[str, torch.Tensor]:
    """A batch of examples of so many tokens, padded to the longest."""
    mask = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
    return {"attention_mask": mask, "index": torch.arange(len(lengths))}


def test_a_reading_holds_what_came_since_the_last_one():
    clock = Clock()
    meter = Meter(TrainingFlops(10.0, 1.0), clock)
    meter.run()
    meter.count(batch(4, 2))
    clock.now += 1
    meter.count(batch(3, 3, 1))
    clock.now += 2
    by_hand = 10 * (4 + 2 + 3 + 3 + 1) + (16 + 4 + 9 + 9 + 1)
    assert meter.read() == Amounts(2, 5, 13, 8 + 9, by_hand, 3.0)
    meter.count(batch(8))
    clock.now += 1
    assert meter.read() == Amounts(1, 1, 8, 8, 80 + 64, 1.0)


def test_time_without_a_batch_belongs_to_the_next_reading():
    clock = Clock()
    meter = Meter(None, clock)
    meter.run()
    clock.now += 1
    assert meter.read() == Amounts()
    clock.now += 1
    meter.count(batch(5))
    assert meter.read() == Amounts(1, 1, 5, 5, 0.0, 2.0)


def test_the_clock_stands_still_while_paused():
    clock = Clock()
    meter = Meter(None, clock)
    clock.now += 50  # before it runs
    meter.run()
    clock.now += 1
    meter.run()  # it does already
    clock.now += 1
    meter.pause()
    clock.now += 10
    meter.pause()
    clock.now += 10
    assert (meter.seconds, meter.paused) == (2.0, 70.0)
    meter.run()
    clock.now += 3
    assert (meter.seconds, meter.paused) == (5.0, 70.0)


def test_a_text_in_several_windows_is_one_sample():
    meter = Meter(None, Clock())
    meter.count(batch(4, 4, 4) | {"index": torch.tensor([7])})
    found = meter.read()
    assert (found.samples, found.tokens) == (1, 12)


def test_lengths_stay_on_their_device_until_they_are_read():
    meter = Meter()
    mask = torch.ones(2, 3, dtype=torch.int64, device="meta")
    meter.count({"attention_mask": mask, "index": torch.arange(2, device="meta")})
    with pytest.raises(NotImplementedError):
        meter.read()  # a meta tensor has no values to wait for


def test_amounts_add_up():
    both = Amounts(1, 2, 3, 4, 5.0, 6.0) + Amounts(10, 20, 30, 40, 50.0, 60.0)
    assert both == Amounts(11, 22, 33, 44, 55.0, 66.0)
    assert Amounts(**both.to_dict()) == both


def test_rates_by_hand():
    amounts = Amounts(2, 50, 1000, 1250, flops=4e9, seconds=4.0)
    assert amounts.rates(peak=5e9) == {
        "samples_per_second": 12.5,
        "tokens_per_second": 250.0,
        "padding": 0.2,
        "mfu": 0.2,  # 1e9 of 5e9 operations a second
    }


@pytest.mark.parametrize(("flops", "peak"), [(0.0, 5e9), (4e9, None)])
def test_mfu_needs_both_a_cost_and_a_peak(flops, peak):
    assert "mfu" not in Amounts(1, 1, 1, 1, flops, 1.0).rates(peak)


@pytest.mark.parametrize("amounts", [Amounts(), Amounts(seconds=1.0), Amounts(1, 1, 1, 1)])
def test_nothing_has_no_rate(amounts):
    assert amounts.rates(1e9) == {}

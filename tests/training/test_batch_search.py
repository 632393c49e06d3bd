"""The search for a token budget, on machines whose memory and speed are functions."""

from __future__ import annotations

import pytest

from lightning_tune.training.batch_search import MARGIN, Trial, search

BASE, A_TOKEN = 1_000_000, 100  # bytes without a batch, and of each token


class Machine:
    """Memory that grows by a straight line, and ends; speed that grows until a size."""

    def __init__(self, memory: int | None, fastest_at: int = 10**9, *, tells: bool = True) -> None:
        self.memory, self.fastest_at, self.tells = memory, fastest_at, tells
        self.tried: list[int] = []

    def __call__(self, tokens: int) -> Trial | None:
        self.tried.append(tokens)
        peak = BASE + A_TOKEN * tokens
        if self.memory is not None and peak > self.memory:
            return None
        speed = 1000.0 * min(tokens, self.fastest_at) ** 0.5
        return Trial(tokens, speed, peak if self.tells else None)


def test_memory_is_filled_up_to_the_margin_and_never_beyond_it():
    machine = Machine(10_000_000)
    found = search(machine, 512, 10**6, limit=10_000_000)
    most = (MARGIN * 10_000_000 - BASE) / A_TOKEN  # 75,000 tokens
    assert found.reason == "memory"
    assert most - 64 < found.trial.tokens <= most
    assert max(machine.tried) <= most


def test_where_nobody_tells_the_use_the_end_of_the_memory_is_met_and_stepped_back_from():
    machine = Machine(10_000_000, tells=False)  # holds 90,000 tokens
    found = search(machine, 512, 10**6, limit=None)
    assert found.reason == "memory"
    assert found.trial.tokens == 65_536
    assert machine.tried[-2:] == [131_072, 98_304]


def test_no_larger_than_speed_gains():
    machine = Machine(None, fastest_at=4096)
    found = search(machine, 512, 10**6, limit=10**12)
    assert (found.trial.tokens, found.reason) == (4096, "speed")
    assert machine.tried == [512, 1024, 2048, 4096, 8192, 16384]


def test_one_doubling_without_gain_may_be_noise():
    speeds = {512: 100.0, 1024: 99.0, 2048: 150.0, 4096: 150.0, 8192: 150.0}
    found = search(lambda tokens: Trial(tokens, speeds[tokens], None), 512, 10**6, None)
    assert found.trial.tokens == 2048


def test_a_smaller_budget_of_nearly_the_best_speed_is_taken():
    speeds = {512: 100.0, 1024: 148.0, 2048: 150.0, 4096: 149.0}
    found = search(lambda tokens: Trial(tokens, speeds[tokens], None), 512, 4096, None)
    assert (found.trial.tokens, found.reason) == (1024, "speed")


@pytest.mark.parametrize(("highest", "tried"), [(3000, [512, 1024, 2048, 3000]), (512, [512])])
def test_no_budget_beyond_the_data_is_tried(highest, tried):
    machine = Machine(None)
    found = search(machine, 512, highest, limit=None)
    assert (found.trial.tokens, found.reason) == (highest, "data")
    assert machine.tried == tried


def test_less_data_than_the_lowest_budget_is_one_trial():
    machine = Machine(None)
    assert search(machine, 512, 100, limit=None).trial.tokens == 512
    assert machine.tried == [512]


def test_nothing_fits():
    assert search(Machine(BASE), 512, 10**6, limit=None) is None
    assert search(Machine(None), 512, 10**6, limit=BASE) is None


def test_only_the_first_fits():
    machine = Machine(BASE + A_TOKEN * 600, tells=False)
    found = search(machine, 512, 10**6, limit=None)
    assert (found.trial.tokens, found.reason) == (512, "memory")
    assert machine.tried == [512, 1024, 768]


def test_a_budget_hardly_larger_than_what_fits_is_not_tried():
    room = BASE + A_TOKEN * 2100
    machine = Machine(None)
    found = search(machine, 512, 10**6, limit=int(room / MARGIN) + 1)
    assert found.trial.tokens == 2048
    assert machine.tried == [512, 1024, 2048]


def test_a_peak_that_does_not_grow_predicts_nothing():
    """As where the first batch's worst case is what stays the peak."""
    found = search(lambda tokens: Trial(tokens, tokens**0.5, BASE), 512, 4096, limit=BASE * 2)
    assert (found.trial.tokens, found.reason) == (4096, "data")

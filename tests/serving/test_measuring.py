"""Speeds of bundles, with a clock of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.manifest import InputColumns
from lightning_tune.serving.measuring import measure, mixed_texts


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Timed:
    """Stands for a bundle that takes so many seconds a text."""

    clock: Clock
    seconds: list[float]
    log: list[tuple[str, int]]
    name: str
    calls: int = 0
    manifest: object = field(default_factory=lambda: Fields())

    def __call__(self, texts: Sequence[str], pairs: Sequence[str] | None) -> None:
        self.log.append((self.name, len(texts)))
        self.clock.now += len(texts) * self.seconds[self.calls % len(self.seconds)]
        self.calls += 1


@dataclass
class Fields:
    fields: InputColumns = field(default_factory=InputColumns)


def test_medians_tails_and_rates_are_worked_out():
    clock, log = Clock(), []
    steady = Timed(clock, [0.002], log, "steady")
    uneven = Timed(clock, [0.004] * 9 + [0.02], log, "uneven")
    texts = ["text"] * 200
    found = measure({"steady": steady, "uneven": uneven}, texts, passes=3, clock=clock)
    assert found["steady"].p50 == pytest.approx(2.0)
    assert found["steady"].p95 == pytest.approx(2.0)
    assert found["steady"].rows_a_second == pytest.approx(500)
    assert found["uneven"].p50 == pytest.approx(4.0)
    assert found["uneven"].p95 == pytest.approx(20.0)


def test_bundles_take_turns_and_each_goes_first_as_often():
    clock, log = Clock(), []
    one, other = Timed(clock, [1.0], log, "one"), Timed(clock, [1.0], log, "other")
    measure({"one": one, "other": other}, ["a", "b", "c", "d"], passes=2, clock=clock)
    singles = [name for name, texts in log if texts == 1]
    pairs = list(zip(singles[::2], singles[1::2], strict=True))
    assert all(set(pair) == {"one", "other"} for pair in pairs)
    timed = pairs[3:]  # three of each go before, unmeasured
    assert [pair[0] for pair in timed] == ["one", "other", "one", "other"]


def test_real_bundles_are_measured(write_bundle):
    made = Bundle(write_bundle().path)
    paired = Bundle(write_bundle(folder="paired", pairs=True).path)
    speeds = measure({"single": made, "paired": paired}, ["good film", "no"], passes=1)
    assert all(0 < speed.p50 <= speed.p95 for speed in speeds.values())


def test_the_texts_are_of_mixed_lengths():
    words = [len(text.split()) for text in mixed_texts()]
    assert len(words) > 100
    assert min(words) < 8
    assert max(words) > 24

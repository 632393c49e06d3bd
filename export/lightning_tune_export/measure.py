"""Who answers how fast: contenders measured in turns, so that what disturbs one disturbs all.

Each turn is a short burst whose first calls are thrown away: thread pools keep spinning for a while
after their last call, PyTorch's for some ten milliseconds, and whoever comes next would pay for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SETTLE = 0.02
"""Seconds of a turn that do not count, one call at least."""

Batch = Mapping[str, NDArray[np.int64]]
"""`input_ids`, `attention_mask` and, where the encoder has them, `token_type_ids`."""
Runner = Callable[[Batch], Any]
"""Answers a batch; what it returns is not looked at."""


@dataclass(frozen=True)
class Latency:
    """How long a batch takes.

    Args:
        best: The fastest call, in milliseconds: what the machine can do.
        p50: Half of the calls take no longer.
        p95: 95 in 100 take no longer.
        calls: How many were timed.
    """

    best: float
    p50: float
    p95: float
    calls: int


Latencies = dict[str, dict[str, Latency]]
"""By contender, then by the name of the batch."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Args:
        rounds: Turns of each contender on each batch, at least 1.
        seconds: Least length of a turn after the calls that do not count, at least 0.
        clock: What is counted: time that passes, or with `time.process_time` the processors' time,
            which other processes disturb far less; that says something of one thread only.
    """

    rounds: int = 15
    seconds: float = 0.03
    clock: Callable[[], float] = time.perf_counter


def measure(
    contenders: Mapping[str, Runner],
    batches: Mapping[str, Batch],
    *,
    effort: Effort = Effort(),
) -> Latencies:
    """Time contenders in turns.

    Args:
        contenders: Who answers, by name.
        batches: What they answer, by name.
        effort: How much is measured.
    """
    times: dict[tuple[str, str], list[float]] = {
        (who, what): [] for who in contenders for what in batches
    }
    for what, batch in batches.items():
        for turn in range(effort.rounds):
            names = list(contenders)
            shift = turn % len(names)
            for who in names[shift:] + names[:shift]:
                times[who, what] += burst(contenders[who], batch, effort)
    return {who: {what: _summed_up(times[who, what]) for what in batches} for who in contenders}


def burst(run: Runner, batch: Batch, effort: Effort) -> list[float]:
    """Return the milliseconds of calls in a row, without those of the first `SETTLE` seconds."""
    settled = time.perf_counter() + SETTLE
    run(batch)
    while time.perf_counter() < settled:
        run(batch)
    found: list[float] = []
    clock = effort.clock
    end = clock() + effort.seconds
    while not found or clock() < end:
        start = clock()
        run(batch)
        found.append((clock() - start) * 1e3)
    return found


def _summed_up(times: list[float]) -> Latency:
    p50, p95 = np.percentile(times, [50, 95])
    return Latency(min(times), float(p50), float(p95), len(times))


def equal_length(batch: int, tokens: int, *, with_types: bool, vocabulary: int = 1000) -> Batch:
    """Return texts of one length, as length-sorted batches nearly are.

    Args:
        batch: Texts.
        tokens: Tokens of each.
        with_types: Whether `token_type_ids` are wanted.
        vocabulary: Ids are below it.
    """
    ids = np.random.default_rng(0).integers(0, vocabulary, (batch, tokens))
    found = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return found | ({"token_type_ids": np.zeros_like(ids)} if with_types else {})

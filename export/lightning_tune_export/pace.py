"""How fast runners are, measured in turn, so that what disturbs one disturbs all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lightning_tune_export.ladder import Shape, Timing
from lightning_tune_export.runners import Arrays, Runner

_REST = 0.01  # seconds


@dataclass(frozen=True)
class PaceSettings:
    """How long is measured.

    Args:
        shapes: Texts and tokens of the batches that are timed; the first is what a budget of
            milliseconds is about.
        rounds: Most runs of each batch, at least 3.
        seconds: Time after which no further round of a batch begins, above 0.
        texts: Validation texts that the throughput is measured on, at least 1.
        threads: Threads that all compute with, at least 1; null: one for each core that is free.
    """

    shapes: tuple[tuple[int, int], ...] = ((1, 24), (16, 128))
    rounds: int = 60
    seconds: float = 8.0
    texts: int = 512
    threads: int | None = None


def shapes_of(settings: PaceSettings, max_length: int) -> list[Shape]:
    """Return the batches to time, none longer than a text can be here.

    >>> [str(shape) for shape in shapes_of(PaceSettings(), 64)]
    ['1 x 24', '16 x 64']
    """
    found = [Shape(texts, min(tokens, max_length)) for texts, tokens in settings.shapes]
    return list(dict.fromkeys(found))


def time_shapes(
    runners: Mapping[str, Runner],
    shapes: Sequence[Shape],
    *,
    vocabulary: int,
    with_types: bool,
    settings: PaceSettings,
) -> dict[str, dict[Shape, Timing]]:
    """Return the milliseconds of each runner by shape.

    Args:
        runners: What to time, by name.
        shapes: The batches.
        vocabulary: Token ids are drawn below this.
        with_types: Whether `token_type_ids` are wanted.
        settings: How long is measured.
    """
    found: dict[str, dict[Shape, Timing]] = {name: {} for name in runners}
    for shape in shapes:
        batch = random_batch(shape, vocabulary=vocabulary, with_types=with_types)
        times = _in_turn(runners, [batch], rounds=settings.rounds, seconds=settings.seconds)
        for name, taken in times.items():
            milliseconds = [1000 * value for value in taken]
            p95 = float(np.percentile(milliseconds, 95))
            found[name][shape] = Timing(statistics.median(milliseconds), p95)
    return found


def throughputs(
    runners: Mapping[str, Runner], batches: Sequence[Arrays], *, texts: int, seconds: float
) -> dict[str, float]:
    """Return the texts a second of each runner over batches of mixed lengths, the median pass."""
    times = _in_turn(runners, batches, rounds=5, seconds=seconds)
    return {name: texts / statistics.median(taken) for name, taken in times.items()}


def _in_turn(
    runners: Mapping[str, Runner], batches: Sequence[Arrays], *, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Time each runner in turn; before its turn the threads of the one before come to rest.

    Idle threads of ONNX Runtime and PyTorch spin for a while before they sleep, on the cores that
    the next one wants. Its first run, with caches that another filled, is not timed.
    """
    for run in runners.values():  # first runs allocate, and compile where there is a compiler
        for batch in batches:
            run(batch)
    times: dict[str, list[float]] = {name: [] for name in runners}
    began = time.perf_counter()
    for done in range(rounds):
        if done >= 3 and time.perf_counter() - began > seconds:
            break
        for name, run in runners.items():
            time.sleep(_REST)
            run(batches[-1])
            start = time.perf_counter()
            for batch in batches:
                run(batch)
            times[name].append(time.perf_counter() - start)
    return times


def random_batch(shape: Shape, *, vocabulary: int, with_types: bool) -> Arrays:
    """Return a batch without padding, of token ids that mean nothing."""
    generator = np.random.default_rng(0)
    size = (shape.texts, shape.tokens)
    batch = {
        "input_ids": generator.integers(0, vocabulary, size),
        "attention_mask": np.ones(size, np.int64),
    }
    return batch | ({"token_type_ids": np.zeros(size, np.int64)} if with_types else {})

"""How fast runners are, measured in turn, so that what disturbs one disturbs all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_tune.errors import ConfigError
from lightning_tune.serving.cpu import check_threads
from lightning_tune_export.ladder import Shape, Timing
from lightning_tune_export.measure import SETTLE, Batch, Effort, equal_length, measure
from lightning_tune_export.runners import Arrays, Runner

Pass = Callable[[Batch], Any]


@dataclass(frozen=True)
class PaceSettings:
    """How long is measured.

    Args:
        shapes: Texts and tokens of the batches that are timed; the first is what a budget of
            milliseconds is about.
        rounds: Turns that each has on each batch, at least 3 unless it is less …
        seconds: … fewer where those on one batch would take longer than this, above 0.
        texts: Validation texts that the throughput is measured on, at least 1.
        threads: Threads that all compute with, at least 1; null: one for each core that is free.
    """

    shapes: tuple[tuple[int, int], ...] = ((1, 24), (16, 128))
    rounds: int = 15
    seconds: float = 10.0
    texts: int = 256
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("rounds", "texts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"measure.{name}={getattr(self, name)} has to be at least 1.")
        if not self.seconds > 0:
            raise ConfigError(f"measure.seconds={self.seconds} has to be above 0.")
        if not self.shapes:
            raise ConfigError(
                "measure.shapes is empty, so nothing would be timed; name texts and tokens of one "
                "batch at least: [[1, 24]]."
            )
        for shape in self.shapes:
            if min(shape) < 1:
                raise ConfigError(
                    f"measure.shapes holds {list(shape)}: texts and tokens have to be at least 1."
                )
        check_threads(self.threads, "measure.threads")


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
        batch = equal_length(
            shape.texts, shape.tokens, with_types=with_types, vocabulary=vocabulary
        )
        effort = Effort(rounds=rounds_in_time(runners, batch, settings))
        for name, each in measure(runners, {"one": batch}, effort=effort).items():
            found[name][shape] = Timing(each["one"].p50, each["one"].p95)
    return found


def rounds_in_time(runners: Mapping[str, Runner], batch: Batch, settings: PaceSettings) -> int:
    """Return how many turns fit into the time, at least 3 of those that are wanted."""
    for run in runners.values():
        run(batch)  # the first call of all is no measure of the others
    start = time.perf_counter()
    for run in runners.values():
        run(batch)
    turn = 2 * (time.perf_counter() - start) + SETTLE * len(runners)  # two calls at least
    return int(min(settings.rounds, max(3, settings.seconds / turn)))


def throughputs(
    runners: Mapping[str, tuple[Runner, Sequence[Arrays]]], *, texts: int
) -> dict[str, float]:
    """Return the texts a second over batches of mixed lengths, those of the median pass.

    Args:
        runners: By name, what answers, and its batches.
        texts: How many texts all batches of a runner hold.
    """

    def whole(run: Runner, batches: Sequence[Arrays]) -> Pass:
        return lambda _: [run(batch) for batch in batches]

    passes = {name: whole(run, batches) for name, (run, batches) in runners.items()}
    found = measure(passes, {"all": {}}, effort=Effort(rounds=3, seconds=0))
    return {name: 1000 * texts / each["all"].p50 for name, each in found.items()}

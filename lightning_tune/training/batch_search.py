"""Search for the token budget of a batch: as large as memory allows, no larger than speed gains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

MARGIN = 0.85
"""Share of the memory that a batch may fill: later batches, and others' needs, vary."""

GAIN = 1.05
"""Factor in speed that makes a larger batch worth it."""

Reason = Literal["memory", "speed", "data"]


@dataclass(frozen=True)
class Trial:
    """What steps with one token budget took.

    Args:
        tokens: Most tokens of a batch.
        speed: Real tokens a second.
        peak: Bytes in use at most; None where the system does not tell.
    """

    tokens: int
    speed: float
    peak: int | None


@dataclass(frozen=True)
class Found:
    """The budget that was found.

    Args:
        trial: The trial of it.
        reason: What a larger one would meet: the memory's end, no more speed, or no more data.
        tried: All trials that fitted, by rising budget.
    """

    trial: Trial
    reason: Reason
    tried: Sequence[Trial]


def search(
    run: Callable[[int], Trial | None], lowest: int, highest: int, limit: int | None
) -> Found | None:
    """Double the budget until memory ends or two doublings gain no speed.

    Where memory ends, the budget between the last two is tried that by a straight line through the
    peaks should just fit. What is returned is the smallest budget of nearly the best speed.

    Args:
        run: Takes steps with a budget; None where memory ran out.
        lowest: The first budget: what the longest example needs.
        highest: No budget above it makes a difference.
        limit: Bytes that may be in use; None where the system does not tell.

    Returns:
        None if not even the lowest budget fits.
    """
    room = None if limit is None else int(MARGIN * limit)
    fitting: list[Trial] = []
    reason: Reason = "data"
    for tokens in _doubled(lowest, highest):
        trial = None if _predicted(fitting, tokens, room) else _fit(run, tokens, room)
        if trial is None:
            reason = "memory"
            fitting += _between(run, fitting, tokens, room)
            break
        fitting.append(trial)
        if _stands_still(fitting):
            reason = "speed"
            break
    if not fitting:
        return None
    best = max(trial.speed for trial in fitting)
    chosen = next(trial for trial in fitting if trial.speed * GAIN >= best)
    return Found(chosen, reason if chosen is fitting[-1] else "speed", fitting)


def _doubled(lowest: int, highest: int) -> Iterator[int]:
    tokens = lowest
    while tokens < highest:
        yield tokens
        tokens *= 2
    yield max(lowest, highest)


def _fit(run: Callable[[int], Trial | None], tokens: int, room: int | None) -> Trial | None:
    trial = run(tokens)
    if trial is None or room is None or trial.peak is None:
        return trial
    return trial if trial.peak <= room else None


def _line(fitting: Sequence[Trial]) -> tuple[float, float] | None:
    """Return bytes a token and bytes without any, by the last two trials; None without them."""
    if len(fitting) < 2:
        return None
    one, two = fitting[-2:]
    if one.peak is None or two.peak is None or two.peak <= one.peak:
        return None
    slope = (two.peak - one.peak) / (two.tokens - one.tokens)
    return slope, two.peak - slope * two.tokens


def _predicted(fitting: Sequence[Trial], tokens: int, room: int | None) -> bool:
    """Whether a budget would surely not fit: trying it could end the process."""
    line = _line(fitting)
    return room is not None and line is not None and line[1] + line[0] * tokens > room


def _between(
    run: Callable[[int], Trial | None], fitting: Sequence[Trial], tokens: int, room: int | None
) -> list[Trial]:
    """Try what should just fit, if it is clearly more than what did."""
    if not fitting:
        return []
    line, last = _line(fitting), fitting[-1].tokens
    wanted = last * 3 // 2 if line is None or room is None else int((room - line[1]) / line[0])
    wanted = min(wanted, tokens - 1) // 64 * 64
    if wanted < last * GAIN:
        return []
    trial = _fit(run, wanted, room)
    return [] if trial is None else [trial]


def _stands_still(fitting: Sequence[Trial]) -> bool:
    """Whether the last two doublings gained no speed over what was best before them."""
    if len(fitting) < 3:
        return False
    before = max(trial.speed for trial in fitting[:-2])
    return max(trial.speed for trial in fitting[-2:]) < GAIN * before

"""How much of the processors other processes took while something was timed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = (3, 4)  # idle, iowait: columns of /proc/stat
_COUNTED = 8  # guest time, behind these, is part of user time already
TOLD = 0.05
"""Share of the processors above which a measurement is told to be disturbed."""


@dataclass(frozen=True)
class Occupancy:
    """Seconds of the processors up to a moment.

    Args:
        busy: Of all processes together; None where the system does not tell.
        own: Of this process, its threads and the children it has waited for.
        wall: Of the clock.
    """

    busy: float | None
    own: float
    wall: float


def occupancy() -> Occupancy:
    """Return the seconds up to now."""
    own = os.times()
    try:
        busy = busy_seconds(_STAT.read_text(encoding="ascii"), os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError):
        busy = None
    return Occupancy(busy, sum(own[:4]), time.monotonic())


def busy_seconds(stat: str, ticks: int) -> float:
    r"""Read the seconds that all processors have worked from the text of /proc/stat.

    Args:
        stat: The text; its first line sums over the processors.
        ticks: Ticks a second.

    >>> busy_seconds("cpu  300 0 100 5000 50 0 10 0 0 0\ncpu0 …", 100)
    4.1
    """
    counted = [int(each) for each in stat.split("\n", 1)[0].split()[1 : _COUNTED + 1]]
    return (sum(counted) - sum(counted[at] for at in _IDLE)) / ticks


def taken_by_others(before: Occupancy, after: Occupancy, cores: int) -> float:
    """Return the share of the processors, in [0, 1], that others took between two moments.

    0 where the system does not tell.

    >>> taken_by_others(Occupancy(10.0, 5.0, 0.0), Occupancy(30.0, 15.0, 10.0), 2)
    0.5
    """
    passed = after.wall - before.wall
    if before.busy is None or after.busy is None or passed <= 0:
        return 0.0
    others = (after.busy - before.busy) - (after.own - before.own)
    return min(1.0, max(0.0, others / (passed * cores)))

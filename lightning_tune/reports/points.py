"""Points of a metric that a bundle lost or gained, in words."""

from __future__ import annotations

_SHOWN = 0.005
"""Points from which two digits show something."""


def points_text(lost: float) -> str:
    """Say what was lost or gained.

    >>> points_text(0.5), points_text(-0.25), points_text(0.0)
    ('0.50 points lost', '0.25 points gained', 'nothing lost')
    """
    if abs(lost) < _SHOWN:
        return "nothing lost"
    return f"{abs(lost):.2f} points {'lost' if lost > 0 else 'gained'}"


def change_text(lost: float, ends: tuple[float, float] | None) -> str:
    """Say what was lost or gained, and the interval of that: of what was won, where it was won.

    >>> change_text(-0.5, (-1.2, 0.1))
    '0.50 points gained (95 % interval -0.10 to 1.20)'
    >>> change_text(0.5, (-0.1, 1.2)), change_text(0.0, None)
    ('0.50 points lost (95 % interval -0.10 to 1.20)', 'nothing lost')
    """
    if ends is not None and lost <= -_SHOWN:
        ends = -ends[1], -ends[0]
    return f"{points_text(lost)} {interval_text(ends)}".strip()


def interval_text(ends: tuple[float, float] | None, *, words: bool = True) -> str:
    """Say the interval of points lost.

    >>> interval_text((-0.1, 0.6)), interval_text(None)
    ('(95 % interval -0.10 to 0.60)', '')
    """
    if ends is None:
        return ""
    shown = " to ".join(map(two_digits, ends))
    return f"(95 % interval {shown})" if words else shown


def two_digits(value: float) -> str:
    """Show points with two digits, without the sign of a zero.

    >>> two_digits(-0.001), two_digits(-0.25)
    ('0.00', '-0.25')
    """
    return f"{round(value, 2) + 0.0:.2f}"

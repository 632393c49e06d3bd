"""What a prepared data set has to keep to: stated limits, what was measured, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lightning_tune.errors import ConfigError

Verdict = Literal["PASS", "WARN", "FAIL"]
_ORDER: tuple[Verdict, ...] = ("PASS", "WARN", "FAIL")


@dataclass(frozen=True)
class Limit:
    """From where on a figure is a warning, and from where on a failure.

    Args:
        warn: The last value that is fine; null: any is.
        fail: The last value that is no failure; null: any is none.
    """

    warn: float | None = None
    fail: float | None = None


@dataclass(frozen=True)
class Limits:
    """The limits of the report; shares are in [0, 1].

    Args:
        dropped: Share of all rows that steps dropped.
        duplicates: Share of the rows of train whose text stands earlier.
        conflicts: Share of the rows of train whose text stands under several labels.
        leaks: Share of the user's own validation and test rows whose text stood in train too.
        truncated: Share of the rows that are written whose tokens exceed tokens.max_length.
        class_rows: Rows of the rarest class in train, at least.
        class_gap: Difference between a class's share in a split and in all rows, in points; not
            told where the split is by group or time, or the user's own.
        suspects: Share of the rows of train that were looked at whose label is suspected.
        agreement: Krippendorff's alpha of the annotators, at most 1, at least.
        label_kept: Share of edited copies that keep their label, as a model sees it, at least.
    """

    dropped: Limit = Limit(warn=0.3)  # frozen
    duplicates: Limit = Limit(warn=0.1)  # frozen
    conflicts: Limit = Limit(warn=0.01)  # frozen
    leaks: Limit = Limit(warn=0.0)  # frozen
    truncated: Limit = Limit(warn=0.1)
    class_rows: Limit = Limit(warn=10, fail=2)  # frozen
    class_gap: Limit = Limit(warn=1.0)  # frozen
    suspects: Limit = Limit(warn=0.2)  # frozen
    agreement: Limit = Limit(warn=0.667)  # frozen
    label_kept: Limit = Limit(warn=0.9)  # frozen

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            low, high = (limit.fail, limit.warn) if name in AT_LEAST else (limit.warn, limit.fail)
            if low is not None and high is not None and low > high:
                raise ConfigError(
                    f"limits.{name}: warn={limit.warn:g} comes after fail={limit.fail:g}; swap "
                    "them."
                )


AT_LEAST = frozenset({"agreement", "class_rows", "label_kept"})
"""Figures that are the better the greater they are."""


@dataclass(frozen=True)
class Check:
    """A figure held against its limit.

    Args:
        name: The limit.
        value: What was measured.
        warn: The last value that is fine.
        fail: The last value that is no failure.
        verdict: What follows.
    """

    name: str
    value: float
    warn: float | None
    fail: float | None
    verdict: Verdict


def check(name: str, value: float, limit: Limit) -> Check:
    """Hold a figure against its limit.

    >>> check("dropped", 0.4, Limit(warn=0.3, fail=0.5)).verdict
    'WARN'
    >>> check("class_rows", 1, Limit(warn=10, fail=2)).verdict
    'FAIL'
    """
    sign = -1 if name in AT_LEAST else 1
    verdict: Verdict = "PASS"
    if limit.warn is not None and sign * value > sign * limit.warn:
        verdict = "WARN"
    if limit.fail is not None and sign * value > sign * limit.fail:
        verdict = "FAIL"
    return Check(name, value, limit.warn, limit.fail, verdict)


def worst(checks: Sequence[Check]) -> Verdict:
    """Return the verdict on all checks.

    >>> worst([])
    'PASS'
    """
    return max((each.verdict for each in checks), key=_ORDER.index, default="PASS")

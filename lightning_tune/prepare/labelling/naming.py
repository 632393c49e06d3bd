"""Names of labels as people type them: how often each stands, and which look like a slip."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from lightning_tune.schema import Label

_OFTEN = 3  # rows from which a name is one that somebody meant
_SHOWN = 12
_DIGITS = re.compile(r"\d+")


def tally(labels: Iterable[Label]) -> Counter[str]:
    """Count the rows of each name; a row counts for each of its labels.

    >>> tally(["a", ("a", "b")])
    Counter({'a': 2, 'b': 1})
    """
    return Counter(
        name for label in labels for name in (label if isinstance(label, tuple) else (str(label),))
    )


def told(counts: Mapping[str, int]) -> str:
    """Say how often each name stands, the most frequent first, at most twelve of them.

    >>> told({"negative": 8, "positive": 1200})
    'positive 1,200, negative 8'
    """
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    shown = [f"{name} {count:,}" for name, count in ranked[:_SHOWN]]
    more = [f"and {len(ranked) - _SHOWN:,} more"] if len(ranked) > _SHOWN else []
    return ", ".join([*shown, *more])


def slips(counts: Mapping[str, int], known: Collection[str]) -> dict[str, str]:
    """Return names that look mistyped, and what each may have been meant to be.

    A name is doubted where it stands once or no label before had it, and differs in a character
    (in case alone, of a short name; in two characters, of one with ten or more) from a name that
    was known or stands in three rows. Digits in a name are never taken for a slip.

    Args:
        counts: Rows of each name, with those of before.
        known: Names that were known before; empty: none were.

    >>> slips({"positive": 12, "positve": 1, "negative": 7}, [])
    {'positve': 'positive'}
    >>> slips({"class_1": 9, "class_2": 1}, [])
    {}
    """
    meant = {name for name in counts if counts[name] >= _OFTEN} | set(known)
    found = {}
    for name in sorted(counts):
        if counts[name] > 1 and (not known or name in known):
            continue
        others = [one for one in meant if one != name and counts.get(one, 0) >= counts[name]]
        like = _nearest(name, others)
        if like is not None:
            found[name] = like
    return found


def _nearest(name: str, others: Collection[str]) -> str | None:
    from rapidfuzz.distance import OSA

    apart = {
        other: OSA.distance(name.casefold(), other.casefold())
        for other in sorted(others)
        if _DIGITS.findall(name) == _DIGITS.findall(other)
    }
    near = min(apart, key=lambda other: apart[other], default=None)
    return near if near is not None and apart[near] <= _allowed(name) else None


def _allowed(name: str) -> int:
    return 0 if len(name) < 4 else 1 if len(name) < 10 else 2

"""How far annotators agree beyond chance: Krippendorff's alpha of nominal labels.

Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability",
https://repository.upenn.edu/handle/20.500.14332/2089. Any number of annotators, any number of
missing answers. With 1 they agree always, with 0 as often as chance would have it; 0.8 is the usual
demand, below 0.667 no conclusion should rest on the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Agreement:
    """What annotators' columns say.

    Args:
        alpha: Krippendorff's alpha, at most 1; None where no row has two answers, or all answers
            are the same.
        rows: Rows with at least two answers.
        unanimous: Those of them on which all answers agree.
        by_annotator: Share of each annotator's answers that the majority of the others gives too,
            over the rows where the others have one; None where there is no such row.
        confused: Pairs of labels that stand against each other, with how often, most often first.
    """

    alpha: float | None
    rows: int
    unanimous: int
    by_annotator: dict[str, float | None]
    confused: tuple[tuple[str, str, int], ...]


def agreement(answers: Mapping[str, Sequence[str | None]]) -> Agreement:
    """Compare annotators.

    Args:
        answers: One column an annotator, of equal length; None or "" where there is no answer.

    >>> found = agreement({"ann": ["a", "a", "b", "b"], "bob": ["a", "b", "b", None]})
    >>> found.rows, found.unanimous, round(found.alpha, 3)
    (3, 2, 0.444)
    """
    units = [
        [one for one in row if one is not None and one != ""]
        for row in zip(*answers.values(), strict=True)
    ]
    paired = [unit for unit in units if len(unit) > 1]
    return Agreement(
        alpha=alpha(paired),
        rows=len(paired),
        unanimous=sum(len(set(unit)) == 1 for unit in paired),
        by_annotator={name: _with_the_others(name, answers) for name in answers},
        confused=_confused(paired),
    )


def alpha(units: Sequence[Sequence[str]]) -> float | None:
    """Return Krippendorff's alpha of rows with at least two answers each; None if undefined.

    It is 1 - (n - 1) Σ o(c,k) / Σ n(c) n(k), both over c ≠ k: o counts the pairs of answers inside
    rows, each row's by 1 / (answers - 1), and n the answers of each label.
    """
    totals: Counter[str] = Counter()
    against = 0.0
    for unit in units:
        counts = Counter(unit)
        totals.update(counts)
        pairs = len(unit) ** 2 - sum(count**2 for count in counts.values())
        against += pairs / (len(unit) - 1)
    count = totals.total()
    expected = count**2 - sum(total**2 for total in totals.values())
    return None if not expected else 1 - (count - 1) * against / expected


def _with_the_others(name: str, answers: Mapping[str, Sequence[str | None]]) -> float | None:
    others = [column for other, column in answers.items() if other != name]
    agreed = asked = 0
    for at, own in enumerate(answers[name]):
        votes = Counter(vote for column in others if (vote := column[at]))
        ranked = votes.most_common(2)
        if not own or not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
            continue
        asked += 1
        agreed += own == ranked[0][0]
    return agreed / asked if asked else None


def _confused(units: Sequence[Sequence[str]]) -> tuple[tuple[str, str, int], ...]:
    pairs = Counter(
        (min(one, other), max(one, other))
        for unit in units
        for one, other in combinations(unit, 2)
        if one != other
    )
    ranked = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple((one, other, count) for (one, other), count in ranked)

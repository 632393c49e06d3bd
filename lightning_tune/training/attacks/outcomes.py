"""What became of the attacked rows: accuracies with intervals, and the record of the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from statistics import mean
from typing import Any

from torch import Tensor

from lightning_tune.reports.intervals import share
from lightning_tune.reports.mistakes import TextOf
from lightning_tune.reports.robustness import AttackResult, BrokenText, Robustness
from lightning_tune.schema import Label, LabelSet
from lightning_tune.training.attacks.embeddings import EmbeddingAttack
from lightning_tune.training.attacks.search import Attempt, TextAttack

BEFORE, PGD, TEXT = "accuracy_before_attack", "accuracy_pgd", "accuracy_text_attack"

Accuracies = dict[str, tuple[float, tuple[float, float]]]
"""By metric, without the split: the value, and its 95 % interval."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one drawn row.

    Args:
        row: Position in the evaluated split, from 0.
        target: Class index, a scalar; in multi-label tasks zeros and ones [labels].
        right: Whether its answer was right before the attacks.
        under_pgd: Whether it then stayed right under the attack on embeddings.
        attempt: The attack on its text, if it was right and there was one.
    """

    row: int
    target: Tensor
    right: bool
    under_pgd: bool = False
    attempt: Attempt | None = None

    @property
    def under_text_attack(self) -> bool:
        """Whether it stayed right under the attack on its text."""
        return self.attempt is not None and not self.attempt.broken


def accuracies(
    outcomes: Sequence[Outcome], pgd: EmbeddingAttack | None, text: TextAttack | None
) -> Accuracies:
    """Return the share of rows that are right before the attacks, and under each that was made."""
    found = {BEFORE: share([outcome.right for outcome in outcomes])}
    if pgd is not None:
        found[PGD] = share([outcome.under_pgd for outcome in outcomes])
    if text is not None:
        found[TEXT] = share([outcome.under_text_attack for outcome in outcomes])
    return found


def robustness(
    labels: LabelSet,
    outcomes: Sequence[Outcome],
    pgd: EmbeddingAttack | None,
    text: TextAttack | None,
    *,
    text_of: TextOf,
    examples: int,
) -> Robustness:
    """Build the record.

    Args:
        labels: The label set.
        outcomes: Of all rows.
        pgd: The attack on embeddings, if there was one.
        text: The attack on texts, if there was one.
        text_of: Gives the texts of a row.
        examples: How many broken texts to list; those with the fewest changes, then the fewest
            queries come first.
    """
    attacks = []
    if pgd is not None:
        survived = sum(outcome.under_pgd for outcome in outcomes)
        attacks.append(AttackResult(PGD, "PGD on the embeddings", survived, _plain(pgd)))
    broken: list[tuple[Outcome, Attempt]] = []
    if text is not None:
        attempts = [outcome.attempt for outcome in outcomes if outcome.attempt is not None]
        broken = [(one, one.attempt) for one in outcomes if one.attempt and one.attempt.broken]
        survived = len(attempts) - len(broken)
        details = {**_plain(text), **_costs(attempts)}
        attacks.append(AttackResult(TEXT, "Text attack", survived, details))
    broken.sort(key=lambda pair: (len(pair[1].changes), pair[1].queries, pair[0].row))
    shown = [_broken(labels, one, attempt, text_of) for one, attempt in broken[:examples]]
    right = sum(outcome.right for outcome in outcomes)
    return Robustness(len(outcomes), right, attacks, shown)


def _plain(settings: EmbeddingAttack | TextAttack) -> dict[str, Any]:
    values = dataclasses.asdict(settings)
    return {
        name.replace("_", " "): list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value is not None
    }


def _costs(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Return what an attack took on average."""
    costs = {"mean queries": [attempt.queries for attempt in attempts]}
    costs["mean words changed"] = [len(one.changes) for one in attempts if one.broken]
    return {name: round(mean(values), 2) for name, values in costs.items() if values}


def _broken(labels: LabelSet, outcome: Outcome, attempt: Attempt, text_of: TextOf) -> BrokenText:
    text, text_pair = text_of(outcome.row)
    assert attempt.probabilities is not None
    answer = attempt.probabilities
    return BrokenText(
        row=outcome.row,
        label=_name(labels, outcome.target),
        predicted=_name(labels, answer if labels.kind == "multilabel" else answer.argmax()),
        words=len(attempt.changes),
        queries=attempt.queries,
        text=text,
        changed=attempt.text,
        text_pair=text_pair,
        changes=attempt.changes,
    )


def _name(labels: LabelSet, answer: Tensor) -> Label:
    if labels.kind == "multilabel":
        marks = (answer > 0.5).tolist()
        return tuple(name for name, held in zip(labels.names, marks, strict=True) if held)
    return labels.names[int(answer)]

"""What the votes of labelling functions add up to: weak labels.

The idea is data programming, Ratner et al. 2016, https://arxiv.org/abs/1605.07723. The votes are
weighed by how reliable each rule turns out to be: a rule is right with a probability of its own,
and wrong in any of the other labels alike, which is Dawid and Skene's model (1979) with one number
a rule; expectation maximisation finds the numbers without any label. Before any vote all labels are
as likely, as votes tell little about how frequent a label is among texts on which no rule votes;
and a rule is taken to be better than chance, as its author meant it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.labelling.rules import LabellingFunction

_ROUNDS = 50
_LEAST = 0.02  # better than chance, at least
_PRIOR = 0.7  # how often a rule is right before anything is known, worth two votes


@dataclass(frozen=True)
class RuleFacts:
    """What one rule did.

    Args:
        name: The rule.
        votes: Texts that it voted on.
        beside: Those of them on which another rule votes too.
        against: Those of these on which another rule votes for another label.
        reliability: How often it is right, by the model; in (0, 1).
    """

    name: str
    votes: int
    beside: int
    against: int
    reliability: float


@dataclass(frozen=True)
class WeakLabels:
    """What the rules add up to.

    Args:
        labels: The label of each text; None where no rule votes, or the votes are even.
        confidence: How likely that label is, in [0, 1], [n]; 0 where there is none.
        rules: What each rule did.
    """

    labels: list[str | None]
    confidence: NDArray[np.float64]
    rules: tuple[RuleFacts, ...]


def weak_labels(
    texts: Sequence[str], rules: Sequence[LabellingFunction], names: Sequence[str] | None = None
) -> WeakLabels:
    """Label texts by the votes of rules.

    Args:
        texts: The texts, n of them.
        rules: At least one; any function of a text, such as `Rule`.
        names: What the rules are called; null: by their own names.

    Raises:
        ConfigError: if there is no rule.
    """
    if not rules:
        raise ConfigError("there are no rules to vote; give at least one.")
    cast = [[rule(text) for rule in rules] for text in texts]
    labels = sorted({vote for row in cast for vote in row if vote is not None})
    column = {label: at for at, label in enumerate(labels)}
    votes = np.array(
        [[-1 if vote is None else column[vote] for vote in row] for row in cast], dtype=np.int64
    ).reshape(len(texts), len(rules))
    chances, reliability = combine(votes, max(2, len(labels)))
    called = names or [getattr(rule, "name", None) or repr(rule) for rule in rules]
    facts = [_facts(str(name), votes, at, float(reliability[at])) for at, name in enumerate(called)]
    ordered = np.sort(chances, axis=1)
    decided = (votes >= 0).any(axis=1) & (ordered[:, -1] - ordered[:, -2] > 1e-6)
    best = chances.argmax(axis=1)
    return WeakLabels(
        labels=[
            labels[at] if sure else None for at, sure in zip(best, decided.tolist(), strict=True)
        ],
        confidence=np.where(decided, ordered[:, -1], 0.0),
        rules=tuple(facts),
    )


def combine(
    votes: NDArray[np.int64], labels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weigh votes by how reliable each rule is.

    Args:
        votes: The label that each rule votes for, -1 for none, [n, rules].
        labels: How many labels there are, at least 2.

    Returns:
        The chance of each label, [n, labels], and how often each rule is right, [rules].
    """
    cast = votes >= 0
    reliability = np.full(votes.shape[1], _PRIOR)
    chances = np.full((len(votes), labels), 1 / labels)
    for _ in range(_ROUNDS):
        log = np.zeros((len(votes), labels))
        for rule in range(votes.shape[1]):
            rows = np.flatnonzero(cast[:, rule])
            right, wrong = reliability[rule], (1 - reliability[rule]) / (labels - 1)
            log[rows] += np.log(wrong)
            log[rows, votes[rows, rule]] += np.log(right) - np.log(wrong)
        log -= log.max(axis=1, keepdims=True)
        chances = np.exp(log) / np.exp(log).sum(axis=1, keepdims=True)
        agreeing = np.array(
            [
                chances[np.flatnonzero(cast[:, rule]), votes[cast[:, rule], rule]].sum()
                for rule in range(votes.shape[1])
            ]
        )
        before = reliability
        reliability = np.clip(
            (agreeing + 2 * _PRIOR) / (cast.sum(axis=0) + 2), 1 / labels + _LEAST, 0.99
        )
        if np.abs(reliability - before).max() < 1e-6:
            break
    return chances, reliability


def _facts(name: str, votes: NDArray[np.int64], at: int, reliability: float) -> RuleFacts:
    cast = votes[votes[:, at] >= 0]
    own, others = cast[:, at : at + 1], np.delete(cast, at, axis=1)
    beside = (others >= 0).any(axis=1)
    against = ((others >= 0) & (others != own)).any(axis=1)
    return RuleFacts(name, len(cast), int(beside.sum()), int(against.sum()), round(reliability, 4))

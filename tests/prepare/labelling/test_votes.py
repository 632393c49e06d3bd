"""Votes of rules: weighed by a reliability that is found without labels."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.labelling.rules import Rule
from lightning_tune.prepare.labelling.votes import combine, weak_labels

RULES = [
    Rule("refund", any=("refund", "money back")),
    Rule("card", any=("card",)),
    Rule("refund", any=("back",), name="back"),
]


def planted(seed: int, accuracies: list[float], rows: int = 3000, labels: int = 3):
    """Truth, and the votes of rules that are right so often and vote on two rows of three."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(labels, size=rows)
    votes = np.full((rows, len(accuracies)), -1)
    for at, accuracy in enumerate(accuracies):
        right = draw.random(rows) < accuracy
        wrong = (truth + draw.integers(1, labels, size=rows)) % labels
        cast = draw.random(rows) < 2 / 3
        votes[cast, at] = np.where(right, truth, wrong)[cast]
    return truth, votes


@pytest.mark.parametrize("seed", range(3))
def test_the_reliability_of_each_rule_is_found_without_labels(seed):
    accuracies = [0.9, 0.8, 0.7, 0.5]
    _, votes = planted(seed, accuracies)
    _, reliability = combine(votes, 3)
    assert reliability == pytest.approx(accuracies, abs=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_weighed_votes_are_right_more_often_than_a_plain_majority(seed):
    truth, votes = planted(seed, [0.95, 0.5, 0.5, 0.5])
    chances, _ = combine(votes, 3)
    counted = np.stack([(votes == label).sum(axis=1) for label in range(3)], axis=1)
    voted = (votes >= 0).any(axis=1)
    assert (chances.argmax(axis=1) == truth)[voted].mean() > (
        (counted.argmax(axis=1) == truth)[voted].mean() + 0.05
    )


def test_confidence_means_what_it_says():
    truth, votes = planted(0, [0.9, 0.8, 0.7, 0.6], rows=20_000)
    chances, _ = combine(votes, 3)
    sure = chances.max(axis=1)
    for low in (0.6, 0.8):
        some = (sure >= low) & (sure < low + 0.2)
        assert (chances.argmax(axis=1) == truth)[some].mean() == pytest.approx(
            sure[some].mean(), abs=0.03
        )


def test_texts_get_the_label_that_rules_vote_for_or_none():
    texts = ["I want my money back", "my card", "hello", "refund"]
    found = weak_labels(texts, RULES)
    assert found.labels == ["refund", "card", None, "refund"]
    assert found.confidence[2] == 0
    assert found.confidence[0] > found.confidence[3] > 0.5


def test_votes_that_are_even_decide_nothing():
    found = weak_labels(["a b"], [Rule("x", any=("a",)), Rule("y", any=("b",))])
    assert found.labels == [None]


def test_each_rule_says_what_it_did():
    found = weak_labels(["card back", "card", "refund"], RULES)
    assert [(rule.name, rule.votes, rule.beside, rule.against) for rule in found.rules] == [
        ("refund: refund", 1, 0, 0),
        ("card: card", 2, 1, 1),
        ("back", 1, 1, 1),
    ]
    assert all(0 < rule.reliability < 1 for rule in found.rules)


def test_any_function_of_a_text_may_vote():
    found = weak_labels(["short", "quite a long one"], [lambda text: "s" if len(text) < 9 else "l"])
    assert found.labels == ["s", "l"]


def test_no_texts_and_no_rules():
    assert weak_labels([], RULES).labels == []
    with pytest.raises(ConfigError, match="no rules to vote"):
        weak_labels(["a"], [])

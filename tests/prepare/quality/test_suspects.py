"""Suspects: planted wrong labels are found, in both modes and with several labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.quality.suspects import (
    QualitySettings,
    belief,
    encode,
    judge,
    suspects,
)

WORDS = {"card": ["card", "lost", "stolen", "pin"], "refund": ["refund", "money", "back", "paid"]}


def messages(count: int = 200, flips: int = 10, seed: int = 0):
    """Messages of two classes, the labels with some flipped, and which."""
    draw = np.random.default_rng(seed)
    right = [("card", "refund")[at % 2] for at in range(count)]
    texts = [
        f"{' '.join(draw.choice(WORDS[label], 3))} number {at}" for at, label in enumerate(right)
    ]
    wrong = sorted(draw.permutation(count)[:flips].tolist())
    labels = [
        {"card": "refund", "refund": "card"}[label] if at in wrong else label
        for at, label in enumerate(right)
    ]
    return texts, labels, right, wrong


def test_planted_flips_are_the_most_doubtful_and_their_label_is_suggested():
    texts, labels, right, wrong = messages()
    found = suspects(texts, labels)
    assert sorted(np.argsort(-found.scores)[:10].tolist()) == wrong
    assert set(found.ranked()) <= set(wrong)
    assert len(found.ranked()) >= 8
    assert [found.suggestions[at] for at in wrong] == [right[at] for at in wrong]
    assert found.names == ("card", "refund")


def test_the_order_of_the_rows_has_no_part_in_it():
    texts, labels, _, _ = messages()
    order = np.random.default_rng(1).permutation(len(texts))
    found = suspects(texts, labels)
    moved = suspects([texts[at] for at in order], [labels[at] for at in order])
    assert moved.scores == pytest.approx(found.scores[order], abs=1e-3)


def test_rows_are_ranked_by_doubt_and_only_suspects():
    texts, labels, _, _ = messages()
    found = suspects(texts, labels)
    ranked = found.ranked()
    assert len(ranked) == found.suspected.sum()
    assert all(found.scores[a] >= found.scores[b] for a, b in itertools.pairwise(ranked))
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


def test_in_encoder_mode_what_is_given_answers_once_a_fold():
    texts, labels, _, wrong = messages()
    calls = []

    def by_words(training, held):
        calls.append(len(held))
        card = [any(word in text.split() for word in WORDS["card"]) for text in held]
        return np.where(np.array(card)[:, None], [[0.9, 0.1]], [[0.2, 0.8]])

    found = suspects(
        texts, labels, settings=QualitySettings("encoder", folds=4), probabilities=by_words
    )
    assert calls == [50] * 4
    assert sorted(found.ranked()) == wrong


def test_a_further_round_trusts_rows_as_far_as_the_one_before_believed_them():
    texts, labels, _, wrong = messages()
    weights = []

    def remember(training, held):
        weights.append(dict(zip(training.texts, training.weights, strict=True)))
        card = [any(word in text.split() for word in WORDS["card"]) for text in held]
        return np.where(np.array(card)[:, None], [[0.9, 0.1]], [[0.1, 0.9]])

    settings = QualitySettings("encoder", folds=2, rounds=2)
    suspects(texts, labels, settings=settings, probabilities=remember)
    assert set(weights[0].values()) == {1.0}
    assert len(weights) == 4
    for trusted in weights[2:]:
        for text, weight in trusted.items():
            assert weight == pytest.approx(1 / 9 if texts.index(text) in wrong else 1)


def test_several_labels_are_each_suspected_for_themselves():
    names = ("card", "refund")
    targets = np.array([[1, 0], [1, 1], [0, 0], [0, 1]] * 10, dtype=float)
    said = np.clip(targets, 0.1, 0.9)
    targets[0] = [1, 1]  # a label too many
    targets[2] = [1, 0]  # and another
    targets[3] = [0, 0]  # one too few
    found = judge(names, said, targets, several=True)
    assert np.flatnonzero(found.suspected).tolist() == [0, 2, 3]
    assert [found.suggestions[at] for at in (0, 1, 2, 3)] == [("card",), names, (), ("refund",)]
    assert found.scores[[0, 2, 3]] == pytest.approx([0.9] * 3)
    assert found.scores[1] == pytest.approx(0.1)


def test_belief_is_the_share_of_the_own_label_in_the_likeliest():
    said = np.array([[0.8, 0.2], [0.2, 0.8]])
    assert belief(said, np.array([[1.0, 0.0], [1.0, 0.0]]), several=False) == pytest.approx(
        [1, 0.25]
    )
    assert belief(said, np.array([[1.0, 0.0], [1.0, 1.0]]), several=True) == pytest.approx(
        [1, 0.25]
    )


def test_labels_are_ordered_by_name():
    names, targets = encode([("b", "a"), ("c",), ()])
    assert names == ("a", "b", "c")
    assert targets.tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5, 1.5], "these labels are numbers"),
        (["a", "a"], r"the labels are \['a'\]"),
        ([(), ()], r"the labels are \[\]"),
    ],
)
def test_labels_without_classes_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        encode(labels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"folds": 1}, "quality.folds=1 is below 2"), ({"rounds": 0}, "quality.rounds=0 is below 1")],
)
def test_settings_out_of_their_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        QualitySettings(**settings)


def test_encoder_mode_without_a_backbone_is_refused():
    texts, labels, _, _ = messages(20, 1)
    with pytest.raises(ConfigError, match="needs a backbone"):
        suspects(texts, labels, settings=QualitySettings("encoder"))


def test_classes_of_a_single_row_are_answered_all_the_same():
    texts = [f"text {at} of its own class" for at in range(60)]
    found = suspects(texts, [f"c{at:02}" for at in range(60)], settings=QualitySettings(folds=3))
    assert np.isfinite(found.probabilities).all()
    assert len(found.suggestions) == 60

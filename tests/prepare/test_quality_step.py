"""Suspects of train as a step: what is told, what goes, and what of much is looked at."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.quality.suspects import QualitySettings, suspects
from lightning_tune.prepare.quality_step import (
    LEAST,
    WRONG,
    LookSettings,
    agreement_of,
    drawn,
    look,
)
from lightning_tune.prepare.rows import DROPPED

WORDS = {"card": ["card", "lost", "stolen", "pin"], "refund": ["refund", "money", "back", "paid"]}
FLIPPED = [3, 17, 40, 66, 91]


@pytest.fixture
def train(rows):
    draw = np.random.default_rng(0)
    labels = ["card" if at % 2 else "refund" for at in range(120)]
    texts = [
        f"{' '.join(draw.choice(WORDS[label], 3))} number {at}" for at, label in enumerate(labels)
    ]
    for at in FLIPPED:
        labels[at] = "card" if labels[at] == "refund" else "refund"
    return rows(texts, labels)


def test_flipped_labels_are_told_and_nothing_is_changed(train):
    looked = look(train, LookSettings())
    assert looked.table.equals(train)
    assert looked.dropped.num_rows == 0
    assert set(FLIPPED) <= set(looked.places[looked.suspects.ranked()].tolist())
    count = looked.counts["suspects"]
    assert looked.counts | {"outliers": 0} == {
        "rows": 120,
        "suspects": count,
        "outliers": 0,
        "rare_classes": 0,
        "dropped": 0,
    }
    assert sum(looked.classes.values()) == count
    assert 0 < looked.suspects.noise < 0.2


def test_what_is_found_is_what_the_function_finds_on_the_same_rows(train):
    labels, texts = train["label"].to_pylist(), train["text"].to_pylist()
    alone = suspects(texts, labels, settings=QualitySettings())
    assert look(train, LookSettings()).suspects.scores.tolist() == alone.scores.tolist()


def test_suspects_go_where_that_is_asked_for(train):
    looked = look(train, LookSettings(on_suspects="drop"))
    gone = looked.dropped
    assert gone.schema == DROPPED
    assert set(gone["reason"].to_pylist()) == {WRONG}
    assert {at + 1 for at in FLIPPED} <= set(gone["line"].to_pylist())
    assert looked.table.num_rows == 120 - gone.num_rows == 120 - looked.counts["suspects"]
    left = set(looked.table["line"].to_pylist())
    assert not left & set(gone["line"].to_pylist())


def test_of_many_rows_a_draw_is_looked_at_that_goes_by_content(train):
    settings = LookSettings(rows=60)
    looked = look(train, settings)
    assert (looked.counts["rows"], looked.rows) == (60, 120)
    assert looked.places.tolist() == sorted(set(looked.places.tolist()))
    order = np.random.default_rng(1).permutation(120)
    again = look(train.take(order), settings)
    assert sorted(order[again.places]) == looked.places.tolist()
    assert again.suspects.suspected.sum() == looked.suspects.suspected.sum()
    assert drawn(np.arange(5, dtype=np.uint64), 10).tolist() == [0, 1, 2, 3, 4]


def test_too_few_texts_are_not_looked_at(rows):
    few = rows(["same text"] * 100 + [f"text {at}" for at in range(LEAST - 2)], ["a", "b"] * 74)
    looked = look(few, LookSettings())
    assert (looked.found, looked.counts, looked.table.num_rows) == (None, {"rows": 0}, 148)


def test_of_many_classes_fast_mode_finds_none(rows):
    texts = [f"text {at} of this class {at % 101}" for at in range(202)]
    many = rows(texts, [f"c{at % 101}" for at in range(202)])
    looked = look(many, LookSettings())
    assert (looked.suspects, looked.counts["rows"], looked.counts["rare_classes"]) == (
        *(None, 202, 101),
    )
    assert look(many.slice(0, 100), LookSettings()).suspects is not None


def test_scores_and_texts_without_labels_have_outliers_alone(train, rows):
    texts = [*train["text"].to_pylist(), "qzx vvv wqk jjj"]
    for labels in (None, [float(at) for at in range(121)]):
        looked = look(rows(texts, labels), LookSettings(outliers=8.0))
        assert looked.suspects is None
        assert looked.outliers == ["raw.csv:121"]


def test_of_several_labels_each_is_judged(rows):
    draw = np.random.default_rng(0)
    held = [["card"] * (at % 2) + ["refund"] * (at % 3 == 0) for at in range(120)]
    texts = [
        f"{' '.join(' '.join(draw.choice(WORDS[one], 3)) for one in some)} text {at}"
        for at, some in enumerate(held)
    ]
    wrong = [7, 19, 25, 31, 43, 61]
    for at in wrong:
        held[at] = [*held[at], "refund"]
    looked = look(rows(texts, held), LookSettings())
    assert set(np.argsort(-looked.suspects.scores)[:6].tolist()) == set(wrong)
    assert looked.suspects.noise is None


def test_in_encoder_mode_what_answers_is_made_of_the_names(train):
    asked = []

    def fitting(names, several):
        def fit_predict(training, held):
            card = np.array([any(word in text for word in WORDS["card"]) for text in held])
            return np.stack([np.where(card, 0.9, 0.1), np.where(card, 0.1, 0.9)], axis=1)

        asked.append((names, several))
        return fit_predict

    looked = look(train, LookSettings(mode="encoder"), fitting=fitting)
    assert asked == [(["card", "refund"], False)]
    assert looked.suspects.ranked() == FLIPPED
    with pytest.raises(ConfigError, match="needs a backbone to fit"):
        look(train, LookSettings(mode="encoder"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rows": 49}, "quality.rows=49 is below 50"),
        ({"folds": 1}, "quality.folds=1"),
        ({"rounds": 0}, "quality.rounds=0"),
        ({"outliers": -1.0}, "quality.outliers=-1.0"),
        ({"rare": -1}, "quality.rare=-1"),
    ],
)
def test_settings_out_of_their_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        LookSettings(**values)


def test_annotators_are_compared_by_their_columns():
    columns = {"answer:ann": ["a", "a ", "b", "b"], "answer:bob": ["a", "b", "b", None]}
    found = agreement_of(pa.table({"text": list("wxyz"), **columns}))
    # Units aa, ab, bb: 3 of each label; o(a,b) = 2, so 1 - 5 * 2 / (9 + 9)
    assert found.alpha == pytest.approx(1 - 5 * 2 / 18)
    assert (found.rows, found.unanimous) == (3, 2)
    assert set(found.by_annotator) == {"ann", "bob"}
    assert agreement_of(pa.table({"text": ["x"]})) is None

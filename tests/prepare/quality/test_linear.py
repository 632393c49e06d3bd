"""The linear model: what it learns, what weights and absent labels do, every kind of text."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_tune.prepare.quality.folds import Training
from lightning_tune.prepare.quality.linear import Counted, fit_linear, text_vectors

NUMBERS = ["one", "two", "three", "four", "five", "six"]
CARD = [f"my card {word} is lost" for word in NUMBERS]
REFUND = [f"the money {word} back please" for word in NUMBERS]
TEXTS = CARD + REFUND


def training(texts, held, names=("card", "refund"), weights=None) -> Training:
    targets = np.array([[float(name in row) for name in names] for row in held])
    return Training(texts, targets, np.ones(len(texts)) if weights is None else np.array(weights))


SINGLE = training(TEXTS, [("card",)] * 6 + [("refund",)] * 6)


def test_words_tell_classes_apart_and_probabilities_add_up():
    said = fit_linear(SINGLE, ["card seven", "money seven"])
    assert said.argmax(axis=1).tolist() == [0, 1]
    assert said.sum(axis=1) == pytest.approx([1, 1])


def test_parts_of_words_tell_too():
    said = fit_linear(SINGLE, ["moneyback", "lostcard"])
    assert said.argmax(axis=1).tolist() == [1, 0]


def test_a_row_without_weight_teaches_nothing():
    wrong = training(
        [*TEXTS, *["zebra"] * 3], [("card",)] * 6 + [("refund",)] * 6 + [("card",)] * 3
    )
    without = Training(wrong.texts, wrong.targets, np.array([1.0] * 12 + [0.0] * 3))
    assert fit_linear(wrong, ["zebra"])[0, 0] > 0.6
    assert fit_linear(without, ["zebra"])[0, 0] == pytest.approx(0.5, abs=0.05)


def test_a_label_that_no_row_has_is_impossible():
    some = training(TEXTS, [("card",)] * 6 + [("refund",)] * 6, names=("card", "other", "refund"))
    said = fit_linear(some, ["card"])
    assert said[0, 1] == 0
    assert said.sum() == pytest.approx(1)


def test_nearly_as_many_classes_as_rows_are_fitted_all_the_same():
    names = tuple(f"class {at}" for at in range(20))
    some = training(
        [f"word{at % 20}" for at in range(30)], [(names[at % 20],) for at in range(30)], names
    )
    assert fit_linear(some, ["word7"]).argmax() == 7


def test_rows_of_one_class_alone_leave_no_choice():
    assert fit_linear(training(CARD, [("card",)] * 6), ["x"]).tolist() == [[1, 0]]


def test_several_labels_are_answered_each_for_itself():
    both = [f"{card} {refund}" for card, refund in zip(CARD, REFUND, strict=True)]
    none = ["hello there", "good day", "thank you"] * 2
    rows = training(
        [*TEXTS, *both, *none],
        [("card",)] * 6 + [("refund",)] * 6 + [("card", "refund")] * 6 + [()] * 6,
    )
    said = fit_linear(rows, ["my card is lost and the money back please", "good day", "card"])
    assert (said > 0.5).tolist() == [[True, True], [False, False], [True, False]]


@pytest.mark.parametrize(
    "texts",
    [
        ["\u8fd9\u5bb6\u9152\u5e97\u5f88\u597d", "\u5f88\u5dee\u7684\u9152\u5e97"],
        ["!", "?"],
        ["a", "b"],
    ],
)
def test_every_script_and_the_shortest_texts_are_read(texts):
    said = fit_linear(training(texts * 5, [("card",), ("refund",)] * 5), texts)
    assert said.argmax(axis=1).tolist() == [0, 1]


def test_the_same_rows_give_the_same_answers():
    assert (fit_linear(SINGLE, TEXTS) == fit_linear(SINGLE, TEXTS)).all()


@pytest.mark.parametrize("rows", [12, 1500])
def test_texts_that_were_counted_before_give_the_same_answers(rows):
    draw = np.random.default_rng(0)
    texts = [f"{' '.join(draw.choice(TEXTS, 2))} {at % 700} caf\u00e9!" for at in range(rows)]
    held = [("card",) if "lost" in text else ("refund",) for text in texts]
    some, asked = training(texts[: rows - 5], held[: rows - 5]), texts[rows - 5 :]
    counted = Counted([*asked, "other words", *texts])
    said = fit_linear(some, asked, counted=counted)
    assert said == pytest.approx(fit_linear(some, asked), abs=1e-6)  # sums in another order


def test_like_texts_lie_near_each_other():
    vectors = text_vectors(TEXTS)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    like = unit @ unit.T
    assert like[:6, :6].min() > like[:6, 6:].max()
    assert (text_vectors(TEXTS) == vectors).all()


@pytest.mark.parametrize("texts", [["one"], ["one", "one"], ["!", "?", "!"]])
def test_the_smallest_pools_have_vectors(texts):
    assert len(text_vectors(texts)) == len(texts)

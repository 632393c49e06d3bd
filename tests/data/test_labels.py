# ruff: noqa: E501  # a message stands on one line, as the user sees it
from __future__ import annotations

import pytest

from lightning_tune.data.labels import number, recognise, split_label
from lightning_tune.errors import ConfigError, DataError
from lightning_tune.schema import LabelSet


def kind_of(*labels, **stated) -> LabelSet:
    return recognise(labels, [2] * len(labels), **stated)


def test_two_names_are_binary_and_more_are_multiclass() -> None:
    assert kind_of("yes", "no") == LabelSet("binary", ("no", "yes"), "yes")
    assert kind_of("yes", "no", positive="no").positive == "no"
    assert kind_of("b", "a", "c") == LabelSet("multiclass", ("a", "b", "c"))


def test_names_are_ordered_as_strings() -> None:
    assert kind_of("10", "9", "1").names == ("1", "10", "9")


def test_labels_01_and_1_are_two_classes() -> None:
    assert kind_of("1", "01") == LabelSet("binary", ("01", "1"), "1")


@pytest.mark.parametrize(
    "labels", [("0.5", "1"), ("5.000", "3.800", "-1e-3"), (0.5, 2.0), ("0", 0.5), (" 0.5 ", "1")]
)
def test_numbers_of_which_one_is_not_whole_are_scores(labels) -> None:
    assert kind_of(*labels) == LabelSet("regression")


@pytest.mark.parametrize(
    "labels", [("1_0.5", "2"), ("nan", "inf"), ("\u0663.\u0665", "1"), ("0x1p-1", "1")]
)
def test_what_only_python_takes_for_a_number_is_a_name(labels) -> None:
    assert kind_of(*labels).kind == "binary"


def test_lists_are_multilabel() -> None:
    assert kind_of(("b", "a"), (), ("c",)) == LabelSet("multilabel", ("a", "b", "c"))


def test_a_separator_means_multilabel() -> None:
    assert kind_of("b|a", "", " c ", separator="|") == LabelSet("multilabel", ("a", "b", "c"))
    assert kind_of("1.5,2", separator=",").names == ("1.5", "2")


def test_a_stated_task_is_obeyed() -> None:
    assert kind_of("1", "2", task="regression").kind == "regression"
    assert kind_of("1", "2", task="multiclass") == LabelSet("multiclass", ("1", "2"))
    assert kind_of("0.5", "bad", task="binary").names == ("0.5", "bad")
    assert kind_of("a", "b", task="multilabel") == LabelSet("multilabel", ("a", "b"))


@pytest.mark.parametrize(
    ("labels", "stated", "message"),
    [
        ((), {}, "the training data has no labels; name their column in data.label."),
        (("a",), {}, "all 2 rows have the label 'a'; a binary task needs at least two classes: add rows of another class."),
        (("a", ("b",)), {}, "the labels are of mixed types: ('b',) in 2 rows, 'a' in 2 rows; write all of them alike, or state data.task."),
        ((0.5, "a"), {}, "the labels are of mixed types: 0.5 in 2 rows, 'a' in 2 rows; write all of them alike, or state data.task."),
        ((1.0, 2.0), {}, "the label 1.0 in 2 rows does not fit a binary task, which needs a class name; write it as a text or a whole number."),
        ((("a",), ("b",)), {"task": "binary"}, "the label ('a',) in 2 rows does not fit a binary task, which needs a class name; write it as a text or a whole number."),
        ((0.5, 1.5), {"task": "multilabel"}, "the label 0.5 in 2 rows does not fit a multilabel task, which needs a list of names."),
        (("1", "x"), {"task": "regression"}, "the label 'x' in 2 rows does not fit a regression task, which needs a number."),
    ],
)  # fmt: skip
def test_labels_that_fit_nothing_are_refused(labels, stated, message) -> None:
    with pytest.raises(DataError) as caught:
        kind_of(*labels, **stated)
    assert str(caught.value) == message


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="label_separator"):
        kind_of("a", "b", task="binary", separator="|")
    with pytest.raises(ConfigError, match="positive_label"):
        kind_of("a", "b", "c", positive="a")


def test_splitting_strips_names_and_drops_empty_and_repeated_ones() -> None:
    assert split_label(" a ;b;;a", ";") == ("a", "b")
    assert split_label(" ", ";") == ()
    assert split_label(("a;b",), ";") == ("a;b",)
    assert split_label(1.5, ";") == 1.5


def test_numbers_are_read_as_written() -> None:
    assert [number(label) for label in ("1.", ".5", "+2E1", 3.0, "1,5", "")] == [
        1.0, 0.5, 20.0, 3.0, None, None,
    ]  # fmt: skip

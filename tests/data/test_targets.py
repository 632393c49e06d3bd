import numpy as np
import pytest

from lightning_tune.data.targets import encode_labels
from lightning_tune.errors import DataError
from lightning_tune.schema import LabelSet

CLASSES = LabelSet("multiclass", ("bill", "card", "refund"))


def encode(store, label_set, separator=None, split="val"):
    return encode_labels(store, label_set, separator=separator, split=split)


def test_class_names_become_indices(make_store):
    store = make_store(["a", "b", "c"], ["refund", "bill", "refund"])
    targets = encode(store, CLASSES)
    assert targets.dtype == np.int64
    assert targets[store.label_codes].tolist() == [2, 0, 2]


def test_lists_become_zeros_and_ones(make_store):
    store = make_store(["a", "b"], [("refund", "bill"), ()])
    targets = encode(store, LabelSet("multilabel", CLASSES.names))
    assert targets.dtype == np.float32
    assert targets[store.label_codes].tolist() == [[1, 0, 1], [0, 0, 0]]


def test_one_string_is_split_at_the_separator(make_store):
    store = make_store(["a", "b"], ["refund|card", ""])
    targets = encode(store, LabelSet("multilabel", CLASSES.names), "|")
    assert targets[store.label_codes].tolist() == [[0, 1, 1], [0, 0, 0]]


def test_numbers_become_numbers(make_store):
    store = make_store(["a", "b"], ["3.5", "-1"])
    targets = encode(store, LabelSet("regression"))
    assert targets.dtype == np.float32
    assert targets[store.label_codes].tolist() == [3.5, -1]


def test_an_unknown_label_is_named_with_its_rows(make_store):
    store = make_store(["a", "b", "c"], ["bill", "refnd", "bill"])
    with pytest.raises(DataError) as error:
        encode(store, CLASSES)
    assert str(error.value) == (
        "data.val: labels that train does not have: rows.csv:3 'refnd'; unknown label 'refnd'; "
        "train has 'bill', 'card', 'refund'. Did you mean 'refund'?"
    )


def test_five_rows_with_unknown_labels_are_shown(make_store):
    store = make_store(["a"] * 8, ["x", "bill"] + ["y"] * 6)
    with pytest.raises(DataError) as error:
        encode(store, CLASSES, split="test")
    message = str(error.value)
    assert "rows.csv:2 'x', rows.csv:4 'y'" in message
    assert "and 2 more" in message
    assert message.count("rows.csv:") == 5
    assert "\n" not in message


@pytest.mark.parametrize("label", ["nan", "inf", "1e999"])
def test_a_score_must_be_finite(make_store, label):
    store = make_store(["a", "b"], ["1", label])
    with pytest.raises(DataError, match="is not a finite number"):
        encode(store, LabelSet("regression"))


def test_rows_without_labels_are_refused(make_store):
    with pytest.raises(DataError, match=r"data\.val: rows has no labels; name their column"):
        encode(make_store(["a"]), CLASSES)

import numpy as np
import pytest

from lightning_tune.data.collation import CollateSettings
from lightning_tune.data.splits import Batches, TokenizedSplit
from lightning_tune.serving.encoding import EncodingSettings

TEXTS = ["the book", "a film", "money", "a city"]


def test_an_example_can_be_looked_at(make_store, tiny_tokenizer):
    store = make_store(TEXTS, ["p", "q", "p", "q"], weights=[1, 2, 3, 4])
    split = TokenizedSplit("train", store, rows=np.array([3, 1]), targets=np.array([1, 0]))
    assert len(split) == 2
    assert split[0] == {
        "text": "a city",
        "text_pair": None,
        "label": "q",
        "input_ids": tiny_tokenizer.encode("a city").ids,
        "truncated": False,
        "source": "rows.csv:5",
        "target": 0,
        "weight": 4.0,
    }
    assert split[-1]["text"] == "a film"
    with pytest.raises(IndexError):
        split[2]


def test_a_split_without_labels_and_weights_has_neither(make_store):
    example = TokenizedSplit("predict", make_store(TEXTS))[0]
    assert example["label"] is None
    assert not {"target", "weight"} & example.keys()


def test_windows_are_a_list_of_lists(make_store):
    settings = EncodingSettings(6, "windows", stride=0, max_windows=2)
    split = TokenizedSplit("test", make_store(["book " * 9], settings=settings))
    assert [len(ids) for ids in split[0]["input_ids"]] == [6, 6]
    assert split[0]["truncated"]


def test_counts_are_those_of_the_splits_rows(make_store):
    store = make_store(["a", "a b", "a b c"], ["x", "y", "x"])
    split = TokenizedSplit("train", store, rows=np.array([2, 0]))
    assert split.lengths.tolist() == split.longest.tolist() == [5, 3]
    assert split.windows.tolist() == [1, 1]
    assert split.label_codes.tolist() == [0, 0]
    assert split.hashes.tolist() == store.hashes[[2, 0]].tolist()


def test_texts_and_errors_are_found_by_the_index_of_a_batch(make_store):
    store = make_store(["a", "BAD", "c"], on_bad_rows="keep")
    split = TokenizedSplit("predict", store)
    assert split.text(2) == ("c", None)
    assert [split.error(row) for row in range(3)] == [None, "no text", None]


def test_batches_are_made_of_the_splits_own_rows(make_store):
    split = TokenizedSplit("train", make_store(TEXTS), rows=np.array([3, 1]))
    batches = Batches(split, CollateSettings(0, True, False, 1, 16))
    assert len(batches) == 2
    assert batches[[1, 0]]["index"].tolist() == [1, 3]
    assert batches[0]["index"].tolist() == [3]

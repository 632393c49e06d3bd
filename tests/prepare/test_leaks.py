from __future__ import annotations

from lightning_tune.prepare.leaks import drop_leaks, leak_counts
from lightning_tune.prepare.rows import RAW_KEY


def test_texts_of_test_leave_val_and_train_and_those_of_val_leave_train(rows):
    splits = {
        "train": rows(["a", "b", "c", "d ", "e"]),
        "val": rows(["B", "x", "z", "b"]),
        "test": rows(["z", "D", "e", "e"]),
    }
    assert leak_counts(splits) == {"val_in_train": 2, "test_in_val": 1, "test_in_train": 3}
    assert leak_counts(splits, RAW_KEY) == {"val_in_train": 1, "test_in_val": 1, "test_in_train": 2}
    kept, dropped = drop_leaks(splits)
    assert kept["train"]["text"].to_pylist() == ["a", "c"]
    assert kept["val"]["text"].to_pylist() == ["B", "x", "b"]
    assert kept["test"]["text"].to_pylist() == ["z", "D", "e", "e"]
    assert set(leak_counts(kept).values()) == {0}
    assert dropped["reason"].to_pylist() == [
        "the text stands in test",
        "the text stands in val",
        "the text stands in test",
        "the text stands in test",
    ]
    assert set(dropped["step"].to_pylist()) == {"leaks"}


def test_one_split_alone_has_no_leaks(rows):
    assert leak_counts({"train": rows(["a"])}) == {}
    kept, dropped = drop_leaks({"train": rows(["a"])})
    assert kept["train"].num_rows == 1
    assert dropped.num_rows == 0

import io
import json

import numpy as np
import pytest
from rich.console import Console

from lightning_tune.data.splits import TokenizedSplit
from lightning_tune.data.summary import label_counts, summarise
from lightning_tune.data.targets import encode_labels
from lightning_tune.schema import LabelSet

BINARY = LabelSet("binary", ("no", "yes"))


def split_of(store, label_set, name="train", separator=None):
    targets = encode_labels(store, label_set, separator=separator, split=name)
    return TokenizedSplit(name, store, targets=targets)


def printed(summary) -> str:
    console = Console(file=io.StringIO(), width=100)
    summary.render(console)
    return console.file.getvalue()


@pytest.fixture
def two_splits(make_store):
    train = make_store(["a", "a b c", "a", "x " * 40, "BAD"], ["yes", "no", "yes", "yes", "yes"])
    val = make_store(["a", "new", "a b c", "a"], ["no", "no", "no", "yes"])
    return [split_of(train, BINARY), split_of(val, BINARY, "val")]


def test_rows_labels_lengths_and_faults_are_counted(two_splits):
    train, val = summarise(two_splits, BINARY).splits
    assert (train.rows, val.rows) == (4, 4)
    assert train.labels == {"no": 1, "yes": 3}
    assert train.tokens == {"p50": 4, "p95": 14, "max": 16}
    assert train.truncated == 1
    assert train.duplicates == 1
    assert train.bad_rows == 1
    assert train.scores == {}


def test_texts_in_two_splits_are_counted(two_splits):
    assert summarise(two_splits, BINARY).overlaps == {("train", "val"): 3}


def test_labels_of_multilabel_rows_count_each(make_store):
    label_set = LabelSet("multilabel", ("a", "b", "c"))
    split = split_of(make_store(["1", "2", "3"], ["a|b", "b", ""]), label_set, separator="|")
    assert label_counts(split, label_set) == {"a": 1, "b": 2, "c": 0}


def test_labels_count_only_the_splits_rows(make_store):
    store = make_store(["1", "2", "3"], ["yes", "no", "yes"])
    targets = encode_labels(store, BINARY, separator=None, split="train")
    split = TokenizedSplit("val", store, rows=np.array([0, 2]), targets=targets)
    assert label_counts(split, BINARY) == {"no": 0, "yes": 2}


def test_scores_have_a_range(make_store):
    label_set = LabelSet("regression")
    split = split_of(make_store(["1", "2", "3"], ["0", "1.5", "3"]), label_set)
    summary = summarise([split], label_set)
    assert summary.splits[0].scores == {"min": 0.0, "mean": 1.5, "max": 3.0}
    assert summary.splits[0].labels == {}
    assert "score min / mean / max" in printed(summary)


def test_texts_to_answer_have_no_labels(make_store):
    summary = summarise([TokenizedSplit("predict", make_store(["a", "b"]))], None)
    assert summary.task is None
    assert summary.splits[0].labels == {}
    assert "data (no labels)" in printed(summary)


def test_plain_values_survive_json_and_hold_no_text(two_splits):
    values = summarise(two_splits, BINARY).to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["task"] == "binary"
    assert values["val texts also in train"] == 3
    assert values["train"]["labels"] == {"no": 1, "yes": 3}
    assert "scores" not in values["train"]
    assert "a b c" not in json.dumps(values)


def test_the_table_shows_every_split_and_warns_of_leaks(two_splits):
    text = printed(summarise(two_splits, BINARY))
    assert "train" in text
    assert "label yes" in text
    assert "1 (25.0%)" in text
    assert "3 texts of val also stand in train" in text


def test_many_labels_are_summed_up_and_markup_in_names_is_shown(make_store):
    names = tuple(sorted(f"[red]{n:02}" for n in range(12)))
    label_set = LabelSet("multiclass", names)
    store = make_store([f"t{n}" for n in range(12)], list(names))
    text = printed(summarise([split_of(store, label_set)], label_set))
    assert "label [red]00" in text
    assert "and 4 more labels" in text
    assert "also stand" not in text


def test_what_prepare_said_is_a_line_of_its_own(two_splits):
    told = {"verdict": "WARN", "missed": "leaks, dropped", "report": "data/[b]x/report.html"}
    shown = printed(summarise(two_splits, BINARY, told))
    assert "prepared         WARN (leaks, dropped): data/[b]x/report.html" in shown
    assert "prepared" not in printed(summarise(two_splits, BINARY))
    passed = printed(summarise(two_splits, BINARY, {**told, "verdict": "PASS", "missed": ""}))
    assert "PASS: data/" in passed
    assert "changed since" not in passed
    edited = printed(summarise(two_splits, BINARY, {**told, "edited": "train.parquet"}))
    assert "data/[b]x/report.html; changed since: train.parquet" in edited
    assert "prepared" not in summarise(two_splits, BINARY).to_dict()

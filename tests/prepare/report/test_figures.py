"""Histograms and quantiles of the report, against numpy and by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from lightning_tune.prepare.report.figures import (
    lengths_histogram,
    measure,
    quantiles,
    scores_histogram,
)


def test_each_length_is_in_one_bin_and_the_last_holds_the_longest():
    lengths = np.r_[np.arange(1, 1000) % 57, 4000]
    found = lengths_histogram({"before": lengths, "train": lengths[:100]})
    edges = found["edges"]
    assert edges[-1] == 4001
    assert set(np.diff(edges[:-1])) == {2}
    assert found["before"] == [
        int(((lengths >= low) & (lengths < high)).sum()) for low, high in pairwise(edges)
    ]
    assert sum(found["before"]) == 1000
    assert sum(found["train"]) == 100
    assert found["before"][-1] == 1


@pytest.mark.parametrize(("longest", "bins"), [(3, 4), (29, 30), (30, 16), (59, 30), (2900, 30)])
def test_bins_are_never_more_than_thirty_and_one(longest, bins):
    edges = lengths_histogram({"train": np.arange(longest + 1)})["edges"]
    assert len(edges) - 1 <= bins + 1
    assert edges[-1] > longest


def test_empty_texts_alone_have_a_bin():
    assert lengths_histogram({"train": np.zeros(3, np.int32)}) == {"edges": [0, 1], "train": [3]}
    assert lengths_histogram({"train": np.zeros(0, np.int32)})["train"] == [0]


def test_scores_are_in_round_bins_that_hold_them_all():
    scores = np.array([0.0, 0.2, 2.5, 4.8, 5.0, 5.0])
    found = scores_histogram({"train": scores, "val": scores[:1]})
    assert (found["edges"][0], found["edges"][-1]) == (0.0, 5.0)
    assert len(set(np.diff(found["edges"]).round(9))) == 1
    assert (sum(found["train"]), sum(found["val"])) == (6, 1)
    assert sum(scores_histogram({"train": np.array([3.0, 3.0])})["train"]) == 2


def test_lengths_are_of_both_texts_of_a_pair():
    table = pa.table({"text": ["two words", ""], "text_pair": ["你好", None]})
    found = measure(table)
    assert found["characters"].tolist() == [11, 0]
    assert found["words"].tolist() == [3, 0]


def test_quantiles_are_values_that_some_text_has():
    assert quantiles(np.array([5, 1, 9, 7])) == {"p50": 7, "p95": 9, "max": 9}
    assert quantiles(np.zeros(0)) == {"p50": 0, "p95": 0, "max": 0}

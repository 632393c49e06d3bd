from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from lightning_tune.prepare import near_step
from lightning_tune.prepare.near import NearSettings, near_pairs
from lightning_tune.prepare.near_step import comparison, drop_near, texts_of
from lightning_tune.prepare.rows import DROPPED


def hamming(texts: Sequence[str]):
    """Near are texts of one length that differ in one character at most."""

    def compare(row: int, others: Sequence[int]):
        return np.array(
            [
                len(texts[row]) == len(texts[other])
                and sum(a != b for a, b in zip(texts[row], texts[other], strict=True)) <= 1
                for other in others
            ],
            bool,
        )

    return compare


def dropped_near(splits, clusters):
    return drop_near(splits, np.array(clusters), hamming(texts_of(splits)))


def test_later_rows_of_a_cluster_go(rows):
    outcome = dropped_near({"train": rows(["aaaa", "zzzz", "aaab", "qqqq"])}, [0, 1, 0, 3])
    assert outcome.splits["train"]["text"].to_pylist() == ["aaaa", "zzzz", "qqqq"]
    assert outcome.counts == {"near": 1, "near_other_label": 0, "dropped": 1}
    assert outcome.dropped.schema == DROPPED
    assert outcome.dropped["line"].to_pylist() == [3]


def test_the_ends_of_a_chain_stay_where_a_later_row_links_them(rows):
    outcome = dropped_near({"train": rows(["aaaa", "aabb", "aaab"])}, [0, 0, 0])
    assert outcome.splits["train"]["text"].to_pylist() == ["aaaa", "aabb"]
    assert len(outcome.ties) == 1
    assert len(outcome.ties[0]) == 2


def test_rows_added_at_the_end_take_out_none(rows):
    before = dropped_near({"train": rows(["aaaa", "aabb", "bbbb"])}, [0, 1, 2])
    after = dropped_near({"train": rows(["aaaa", "aabb", "bbbb", "aaab", "abbb"])}, [0, 0, 0, 0, 0])
    kept = before.splits["train"]["text"].to_pylist()
    assert after.splits["train"]["text"].to_pylist()[: len(kept)] == kept


def test_what_is_near_to_a_more_precious_split_goes(rows):
    splits = {
        "train": rows(["aaac", "mmmm", "bbbc", "bbbd", "cccc"], ["x", "y", "x", "y", "x"]),
        "val": rows(["bbbb", "aaab"], ["x", "x"]),
        "test": rows(["aaaa", "aaad"], ["x", "x"]),
    }
    assert texts_of(splits)[:4] == ["aaaa", "aaad", "bbbb", "aaab"]
    outcome = dropped_near(splits, [0, 0, 2, 0, 0, 5, 2, 2, 8])
    assert outcome.splits["test"]["text"].to_pylist() == ["aaaa", "aaad"]
    assert outcome.splits["val"]["text"].to_pylist() == ["bbbb"]
    assert outcome.splits["train"]["text"].to_pylist() == ["mmmm", "cccc"]
    assert outcome.leaks == {"val_near_test": 1, "train_near_test": 1, "train_near_val": 2}
    assert outcome.counts["near"] == 0
    assert "the text is a near duplicate of one in test" in outcome.dropped["reason"].to_pylist()


def test_another_label_is_counted(rows):
    outcome = dropped_near({"train": rows(["aaaa", "aaab"], ["x", "y"])}, [0, 0])
    assert outcome.counts["near_other_label"] == 1


@dataclass(frozen=True)
class Settings:
    similarity: float = 0.9
    characters: int = 30


def test_near_is_at_most_the_share_of_edits_without_case_and_spacing():
    pytest.importorskip("rapidfuzz", reason="comes with the search for near duplicates")
    texts = ["Where is my new card", "where is  my mew card", "where is my men cart", "no"]
    compare = comparison([*texts, "x" * 30 + "a", "x" * 30 + "bcde"], Settings())
    assert compare(0, [1, 2, 3]).tolist() == [True, False, False]  # 1, 3 and many edits of 20
    assert compare(4, [5]).tolist() == [True]  # only 30 characters count


def test_what_the_search_compared_is_not_compared_again(monkeypatch):
    texts = [f"where is my new card number {at}" for at in range(4)] + ["Where is  my new card"]
    found = near_pairs(texts, NearSettings())
    asked = []

    def distance(text, other, **settings):
        asked.append((text, other))
        return real(text, other, **settings)

    real = near_step.Levenshtein.distance
    without = comparison(texts, NearSettings())
    monkeypatch.setattr(near_step.Levenshtein, "distance", distance)
    compare = comparison(texts, NearSettings(), found)
    for row in range(1, 5):
        others = list(range(row))
        count = len(asked)
        near = compare(row, others)
        assert len(asked) - count == row - int(found.known(row, others).sum())
        assert near.tolist() == without(row, others).tolist()

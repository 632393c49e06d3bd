from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from lightning_tune.errors import DataError
from lightning_tune.prepare.duplicates import DuplicateSettings, exact_duplicates

TEXTS = ["a", "b", "A ", "c", "b", "d", "D", "d", "a"]
LABELS = ["x", "x", "x", "y", "y", "x", "y", "x", "x"]


def lines(outcome) -> list[int]:
    return outcome.table["line"].to_pylist()


def test_later_rows_go_and_texts_under_two_labels_go_whole(rows):
    outcome = exact_duplicates(rows(TEXTS, LABELS), DuplicateSettings())
    assert lines(outcome) == [1, 4]
    assert outcome.counts == {
        "exact_text": 5,
        "exact_raw": 3,  # b, d and a as they stand
        "conflicting_texts": 2,
        "conflicting_rows": 5,
        "dropped": 7,
    }
    told = dict(
        zip(outcome.dropped["line"].to_pylist(), outcome.dropped["reason"].to_pylist(), strict=True)
    )
    assert told[3] == told[9] == "the text stands earlier"
    assert told[2] == told[8] == "the text stands under several labels"


def test_a_vote_keeps_the_label_of_most_rows_and_drops_a_tie(rows):
    outcome = exact_duplicates(rows(TEXTS, LABELS), DuplicateSettings(conflicts="vote"))
    assert lines(outcome) == [1, 4, 6]  # d twice under x, once under y; b once each
    assert outcome.table["label"].to_pylist() == ["x", "y", "x"]


def test_duplicates_can_be_kept(rows):
    outcome = exact_duplicates(rows(TEXTS, LABELS), DuplicateSettings(exact="keep"))
    assert lines(outcome) == [1, 3, 4, 9]
    assert outcome.counts["exact_text"] == 5


def test_stop_names_two_rows(rows):
    with pytest.raises(DataError, match=r"2 texts .* the first in raw.csv:2 and raw.csv:5;"):
        exact_duplicates(rows(TEXTS, LABELS), DuplicateSettings(conflicts="stop"))


def test_lists_of_labels_are_compared_without_order(rows):
    outcome = exact_duplicates(
        rows(["a", "a", "b", "b"], [["x", "y"], ["y", "x"], ["x"], []]), DuplicateSettings()
    )
    assert lines(outcome) == [1]
    assert outcome.counts["conflicting_texts"] == 1


def test_of_scores_the_middle_one_stays(rows):
    scores = [1.0, 4.0, 2.0, 3.0, 3.0]
    table = rows(["a", "a", "a", "b", "b"], scores)
    assert lines(exact_duplicates(table, DuplicateSettings())) == [4]
    voted = exact_duplicates(table, DuplicateSettings(conflicts="vote"))
    assert voted.table["label"].to_pylist() == [2.0, 3.0]


def test_without_labels_there_are_no_conflicts(rows):
    outcome = exact_duplicates(rows(["a", "a", "b"]), DuplicateSettings())
    assert lines(outcome) == [1, 3]
    assert outcome.counts["conflicting_texts"] == 0


def test_it_finds_what_a_dictionary_finds_in_random_rows(rows):
    generator = np.random.default_rng(0)
    texts = [f"t{number}" for number in generator.integers(0, 300, 1000)]
    labels = [f"c{number}" for number in generator.integers(0, 20, 1000) // 10]
    of_text = defaultdict(set)
    for text, label in zip(texts, labels, strict=True):
        of_text[text].add(label)
    first = {text: at for at, text in reversed(list(enumerate(texts, 1)))}
    expected = sorted(first[text] for text, found in of_text.items() if len(found) == 1)
    outcome = exact_duplicates(rows(texts, labels), DuplicateSettings())
    assert lines(outcome) == expected
    assert outcome.counts["exact_text"] == sum(count - 1 for count in Counter(texts).values())
    assert outcome.counts["conflicting_texts"] == sum(len(found) > 1 for found in of_text.values())

"""What became of planted faults, counted by hand over rows of one's own."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from lightning_tune.datasets.messy import Planted
from lightning_tune.reports.tour.outcomes import (
    Example,
    Outcome,
    PreparedRows,
    examples,
    outcomes,
    read_prepared,
)

ROWS = PreparedRows(
    {2: "one", 5: "mail [EMAIL]", 6: "six", 9: "nine"}, dict.fromkeys((3, 4, 7), "")
)


def test_one_row_of_a_pair_has_to_go_but_both_of_a_conflict():
    planted = [
        Planted("duplicate", 2, 3),
        Planted("duplicate", 6, 9),
        Planted("conflict", 3, 4),
        Planted("conflict", 7, 2),
        Planted("leak", 4),
        Planted("empty", 9),
    ]
    assert outcomes(planted, ROWS) == [
        Outcome("duplicate", 2, 1, (6,)),
        Outcome("conflict", 2, 1, (7,)),
        Outcome("leak", 1, 1),
        Outcome("empty", 1, 0, (9,)),
    ]


def test_a_text_has_to_be_what_it_was():
    planted = [
        Planted("html", 2, clean="one"),
        Planted("html", 6, clean="Six"),
        Planted("html", 7, clean="dropped though nothing was wrong with it"),
        Planted("email", 5, clean="mail [EMAIL]"),
    ]
    assert outcomes(planted, ROWS) == [
        Outcome("html", 3, 1, (6, 7)),
        Outcome("email", 1, 1),
    ]


def test_changed_labels_count_where_somebody_looked():
    planted = [Planted("flip", 2), Planted("flip", 6)]
    assert outcomes(planted, ROWS) == [Outcome("flip", 2, None)]
    assert outcomes(planted, ROWS, frozenset({6})) == [Outcome("flip", 2, 1, (2,))]
    assert outcomes(planted, ROWS, frozenset()) == [Outcome("flip", 2, 0, (2, 6))]


def test_private_texts_are_shown_only_as_they_were_written():
    planted = [
        Planted("html", 2, clean="one"),
        Planted("html", 6, clean="six"),
        Planted("email", 5, clean="mail [EMAIL]"),
        Planted("duplicate", 9, 3),
    ]
    raw = {2: "<p>one</p>", 5: "mail a@example.org", 6: "<b>six</b>", 9: "nine"}
    assert examples(planted, ROWS, raw) == [
        Example("html", 2, "<p>one</p>", "one"),
        Example("email", 5, None, "mail [EMAIL]"),
    ]


def test_rows_are_those_of_the_input_alone(tmp_path):
    def write(name: str, source: list[str], line: list[int], **column: list[str]) -> None:
        pq.write_table(pa.table({"source": source, "line": line, **column}), tmp_path / name)

    write("train.parquet", ["raw.csv", "builtin:support"], [2, 2], text=["a", "b"])
    write("val.parquet", ["raw.csv"], [7], text=["c"])
    write("dropped.parquet", ["builtin:support", "raw.csv"], [3, 4], reason=["x", "y"])
    assert read_prepared(tmp_path, "raw.csv") == PreparedRows({2: "a", 7: "c"}, {4: "y"})

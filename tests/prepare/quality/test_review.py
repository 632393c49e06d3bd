"""The table of suspects: what it shows, what a review changes, what it may not."""

from __future__ import annotations

import csv

import numpy as np
import pyarrow as pa
import pytest

from lightning_tune.errors import DataError
from lightning_tune.prepare.keys import content_key
from lightning_tune.prepare.quality.review import apply_review, read_review, write_review
from lightning_tune.prepare.quality.suspects import Suspects
from lightning_tune.tables import TableFormat

TEXTS = ["where is my card", "=refund me", 'lost, "again"', "great service", "where is it"]
LABELS = ["card", "refund", "card", "praise", "card"]


def table(labels=LABELS, **more) -> pa.Table:
    lines = pa.array([2, 3, 4, 5, 6], pa.int64())
    sources = pa.array(["raw.csv"] * 5).dictionary_encode()
    return pa.table({"text": TEXTS, "label": labels, **more, "source": sources, "line": lines})


def found(suggestions) -> Suspects:
    return Suspects(
        names=("card", "praise", "refund"),
        probabilities=np.zeros((5, 3)),
        scores=np.array([0.1, 0.2, 0.98764, 0.4, 0.5]),
        suspected=np.array([False, False, True, False, True]),
        suggestions=suggestions,
    )


@pytest.fixture
def sheet(tmp_path):
    """A written table, and a function that fills in its cells by the number of the row."""
    path = tmp_path / "suspects.csv"
    suspects = found(["card", "refund", "refund", "praise", "praise"])
    write_review(path, "train", table(), suspects, suspects.ranked())

    def fill(**cells) -> str:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            number = row["row"].split(":")[1]
            row.update(cells.get(f"row{number}", {}))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return str(path)

    return fill


def reviewed(sheet, **cells):
    return read_review(sheet(**cells), several=False, format=TableFormat())


def test_the_table_shows_suspects_the_most_doubtful_first(sheet):
    with open(sheet(), newline="") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("row", "text", "label", "suggestion", "score", "reviewed", "drop"),
    ]
    assert [row["text"] for row in rows] == [TEXTS[2], TEXTS[4]]
    assert rows[0]["row"] == f"train:3:{content_key(TEXTS[2])}"
    assert (rows[0]["label"], rows[0]["suggestion"], rows[0]["score"]) == (
        "card",
        "refund",
        "0.9876",
    )


def test_a_review_changes_confirms_and_drops(sheet):
    verdicts = reviewed(sheet, row3={"reviewed": "refund"}, row5={"drop": "x"})
    applied = apply_review(table(), verdicts, split="train", names=("card", "praise", "refund"))
    assert applied.table["label"].to_pylist() == ["card", "refund", "refund", "praise"]
    assert applied.table["text"].to_pylist() == TEXTS[:4]
    assert (applied.changed, applied.confirmed, applied.gone) == (1, 0, 0)
    assert [(row.source, row.line) for row in applied.dropped] == [("raw.csv", 6)]
    assert applied.table.schema == table().schema


def test_the_label_that_stands_there_is_a_confirmation(sheet):
    verdicts = reviewed(sheet, row3={"reviewed": " card "})
    applied = apply_review(table(), verdicts, split="train", names=("card", "praise", "refund"))
    assert (applied.changed, applied.confirmed) == (0, 1)
    assert applied.table.equals(table())


def test_rows_without_a_verdict_stay_as_they_are(sheet):
    assert reviewed(sheet) == []


def test_applied_again_nothing_changes(sheet):
    verdicts = reviewed(sheet, row3={"drop": "yes"}, row5={"reviewed": "praise"})
    names = ("card", "praise", "refund")
    once = apply_review(table(), verdicts, split="train", names=names)
    twice = apply_review(once.table, verdicts, split="train", names=names)
    assert twice.table.equals(once.table)
    assert (twice.changed, twice.confirmed, twice.gone, twice.dropped) == (0, 1, 1, ())


def test_verdicts_of_another_split_are_passed_over(sheet):
    verdicts = reviewed(sheet, row3={"reviewed": "refund"})
    applied = apply_review(table(), verdicts, split="test", names=("card", "refund"))
    assert applied.changed == 0


def test_a_table_of_other_data_is_refused(sheet):
    verdicts = reviewed(sheet, row3={"reviewed": "refund"})
    other = table().set_column(0, "text", pa.array(["a", "b", "c", "d", "e"]))
    with pytest.raises(
        DataError, match=r"csv:2: train:3:\w+ is not that row .* no row has its text"
    ):
        apply_review(other, verdicts, split="train", names=("card", "refund"))


def test_a_label_that_nobody_knows_is_refused_with_the_nearest(sheet):
    verdicts = reviewed(sheet, row3={"reviewed": "refnd"})
    with pytest.raises(DataError, match=r"reviewed='refnd' is no label.*Did you mean 'refund'"):
        apply_review(table(), verdicts, split="train", names=("card", "praise", "refund"))


def test_a_class_is_never_emptied(sheet):
    labels = ["card", "refund", "praise", "card", "card"]
    verdicts = reviewed(sheet, row3={"drop": "x"})
    with pytest.raises(DataError, match="no row with the label 'praise' in train"):
        apply_review(table(labels), verdicts, split="train", names=("card", "praise", "refund"))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"reviewed": "card", "drop": "x"}, "a label in reviewed and a tick in drop"),
        ({"reviewed": "card", "row": "3"}, "does not name a row"),
        ({"drop": "perhaps"}, "neither yes nor no"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(sheet, cells, message):
    with pytest.raises(DataError, match=rf"suspects\.csv:2: .*{message}"):
        reviewed(sheet, row3=cells)


def test_two_verdicts_on_one_row_are_refused(sheet):
    path = sheet(row3={"reviewed": "refund"})
    with open(path) as file:  # noqa: PTH123
        lines = file.readlines()
    with open(path, "a") as file:  # noqa: PTH123
        file.write(lines[1])
    with pytest.raises(DataError, match=r"csv:4: the row has a verdict already, at .*csv:2"):
        read_review(path, several=False, format=TableFormat())


def test_lines_that_a_spreadsheet_left_empty_are_no_verdicts(sheet):
    path = sheet(row3={"reviewed": "refund"})
    with open(path, "a") as file:  # noqa: PTH123
        file.write(",,,,,,\n")
    (verdict,) = read_review(path, several=False, format=TableFormat())
    assert verdict.label == "refund"


def test_several_labels_go_out_and_come_back_as_lists(tmp_path):
    labels = pa.array(
        [["card"], ["refund"], ["card", "refund"], [], ["card"]], pa.list_(pa.string())
    )
    path = tmp_path / "suspects.jsonl"
    suspects = found([("card",), ("refund",), ("refund",), (), ()])
    write_review(path, "train", table(labels), suspects, [2, 4])
    text = path.read_text()
    assert '"label": ["card", "refund"], "suggestion": ["refund"]' in text
    path.write_text(text.replace('"reviewed": ""', '"reviewed": ["refund", "card"]', 1))
    verdicts = read_review(str(path), several=True, format=TableFormat())
    applied = apply_review(table(labels), verdicts, split="train", names=("card", "refund"))
    assert (applied.changed, applied.confirmed) == (0, 1)


def test_equal_texts_are_told_by_their_place(sheet):
    twice = table().set_column(0, "text", pa.array([TEXTS[2], *TEXTS[1:]]))
    verdicts = reviewed(sheet, row3={"reviewed": "refund"})
    applied = apply_review(twice, verdicts, split="train", names=("card", "praise", "refund"))
    assert applied.table["label"].to_pylist() == ["card", "refund", "refund", "praise", "card"]


def augmented() -> pa.Table:
    """The rows, and three edited copies: two of the third row, one of the fourth."""
    read = table().append_column("augmented", pa.nulls(5, pa.string()))
    copies = read.take([2, 3, 2]).set_column(0, "text", pa.array(["lost it", "great", "lost"]))
    edits = pa.array(["delete", "delete", "typo"])
    return pa.concat_tables([read, copies.set_column(4, "augmented", edits)])


def test_edited_copies_follow_their_rows(sheet):
    names = ("card", "praise", "refund")
    verdicts = reviewed(sheet, row3={"reviewed": "refund"})
    applied = apply_review(augmented(), verdicts, split="train", names=names)
    assert applied.changed == 1
    labels = ["card", "refund", "refund", "praise", "card", "refund", "praise", "refund"]
    assert applied.table["label"].to_pylist() == labels
    verdicts = reviewed(sheet, row3={"reviewed": "", "drop": "x"})
    applied = apply_review(augmented(), verdicts, split="train", names=names)
    assert len(applied.dropped) == 1
    assert applied.table["text"].to_pylist() == [*TEXTS[:2], *TEXTS[3:], "great"]


def test_the_rows_of_a_table_may_be_some_of_those_of_the_split(tmp_path):
    path = tmp_path / "suspects.csv"
    suspects = found(["card", "refund", "refund", "praise", "praise"])
    write_review(path, "train", augmented(), suspects, [1, 0], places=[0, 4, 3, 2, 1])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [TEXTS[4], TEXTS[0]]
    assert [row["row"] for row in rows] == [
        f"train:5:{content_key(TEXTS[4])}",
        f"train:1:{content_key(TEXTS[0])}",
    ]
    assert [row["suggestion"] for row in rows] == ["refund", "card"]

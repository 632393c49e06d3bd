"""Filled-in files: row names, inert cells, labels and ticks as people write them."""

from __future__ import annotations

import csv
import stat

import pytest

from lightning_tune.errors import DataError
from lightning_tune.prepare.sheets import (
    RowName,
    is_ticked,
    label_of,
    read_sheet,
    write_sheet,
)
from lightning_tune.tables import TableFormat

NAME = RowName("train", 12, "0123456789abcdef")


def test_a_row_name_is_read_as_it_was_written():
    assert str(NAME) == "train:12:0123456789abcdef"
    assert RowName.parse(f" {NAME} ", "here") == NAME


@pytest.mark.parametrize("text", ["", None, 12, "train:12", "train:0:0123456789abcdef", "12"])
def test_what_names_no_row_is_refused_with_its_place(text):
    with pytest.raises(DataError, match=r"t\.csv:2: row=.*does not name a row"):
        RowName.parse(text, "t.csv:2")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"])
def test_no_spreadsheet_computes_a_text(tmp_path, text):
    path = tmp_path / "sheet.csv"
    write_sheet(path, {"row": ["r"], "text": [text], "label": ["-1"]})
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["text"] == f"'{text}"
    assert row["label"] == "-1"


@pytest.mark.parametrize("label", ["=1+1", "@me", "+7", "-x", "'=1+1", "-1", "'tis", "plain"])
def test_labels_and_suggestions_are_no_formulas_and_come_back(tmp_path, label):
    path = tmp_path / "sheet.csv"
    write_sheet(path, {"row": ["r"], "label": [label], "suggestion": [label]})
    sheet = read_sheet(str(path), ["label", "suggestion"], format=TableFormat())
    for name in ("label", "suggestion"):
        (cell,) = sheet.columns[name]
        assert cell == "-1" or cell[0] not in "=+-@"
        assert label_of(cell, several=False) == label


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("stated", [None, ";", "|"], ids=repr)
def test_the_header_line_shows_the_delimiter_whatever_that_of_the_pool_is(tmp_path, mark, stated):
    path = tmp_path / "sheet.csv"
    path.write_text(f'row{mark}label\na{mark}"x{mark} y"\n')
    sheet = read_sheet(str(path), ["row", "label"], format=TableFormat(delimiter=stated))
    assert sheet.columns == {"row": ["a"], "label": [f"x{mark} y"]}


def test_tabs_and_lines_of_a_text_become_spaces_in_a_tsv(tmp_path):
    path = tmp_path / "sheet.tsv"
    write_sheet(path, {"row": ["r"], "text": ["one\ttwo\r\nthree"]})
    assert path.read_text() == "row\ttext\nr\tone two three\n"


def test_json_lines_keep_texts_as_they_are_and_only_the_owner_reads_them(tmp_path):
    path = tmp_path / "sheet.jsonl"
    write_sheet(path, {"row": ["r"], "text": ["=1\t+1"]})
    sheet = read_sheet(str(path), ["row", "text"], format=TableFormat())
    assert sheet.columns["text"] == ["=1\t+1"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_sheet_is_read_with_its_lines_and_without_what_is_not_there(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text('\ufeffrow,note,label\na,"two\nlines",x\nb,,y\n', encoding="utf-8")
    sheet = read_sheet(str(path), ["row", "label"], optional=["drop"], format=TableFormat())
    assert sheet.columns == {"row": ["a", "b"], "label": ["x", "y"]}
    assert [sheet.where(at).rpartition(":")[2] for at in (0, 1)] == ["2", "4"]


def test_a_missing_column_names_the_nearest(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text("row,reviewd\n")
    with pytest.raises(DataError, match=r"no column 'reviewed'; it has .*Did you mean 'reviewd'"):
        read_sheet(str(path), ["row", "reviewed"], format=TableFormat())


def test_a_torn_row_is_refused_with_its_line(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text("row,label\na,x,y\n")
    with pytest.raises(DataError, match=r"sheet\.csv:2: 3 fields"):
        read_sheet(str(path), ["row", "label"], format=TableFormat())


@pytest.mark.parametrize(
    ("cell", "several", "label"),
    [
        ("card", False, "card"),
        (" card ", False, "card"),
        ("", False, None),
        (None, True, None),
        ("  ", True, None),
        ("[1] not arrived", False, "[1] not arrived"),
        ('["b", "a", "b"]', True, ("a", "b")),
        ("[]", True, ()),
        (["a", "a"], True, ("a",)),
        ("a", True, ("a",)),
        ("[broken", True, ("[broken",)),
        (3, False, "3"),
    ],
)
def test_a_cell_holds_a_label(cell, several, label):
    assert label_of(cell, several=several) == label


@pytest.mark.parametrize(
    ("cell", "ticked"),
    [
        ("x", True),
        (" X ", True),
        ("TRUE", True),
        (True, True),
        (1, True),
        ("", False),
        (None, False),
    ],
)
def test_a_tick_is_what_people_write(cell, ticked):
    assert is_ticked(cell, "here") is ticked


def test_what_is_neither_yes_nor_no_is_refused():
    with pytest.raises(DataError, match=r"here: drop='maybe' is neither yes nor no"):
        is_ticked("maybe", "here")

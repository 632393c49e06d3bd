"""Planted faults: as many as asked for, where they are said to be, and the same every time."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from lightning_tune.datasets import builtin
from lightning_tune.datasets.messy import AMOUNTS, messy, write_messy
from lightning_tune.datasets.spoiling import FAULTS

PRIVATE = ("email", "phone", "iban", "card")


def read(path: Path) -> dict[int, tuple[str, str]]:
    """Rows by the line on which they begin, counted in the bytes of the file itself."""
    rows, begins = {}, 1
    with path.open(encoding="utf-8", newline="") as file:
        for text, label in csv.reader(file):
            rows[begins] = (text, label)
            quoted = text.count("\n")
            begins += quoted + 1
    assert begins - 1 == path.read_bytes().count(b"\n")
    return rows


def messages(split: str) -> list[tuple[str, str]]:
    with builtin("support")[split].open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("messy") / "raw.csv"


@pytest.fixture(scope="module")
def planted(raw):
    return write_messy(raw)


@pytest.fixture(scope="module")
def rows(raw, planted):
    return read(raw)


def test_all_that_is_asked_for_is_planted(planted, rows):
    assert Counter(one.fault for one in planted) == AMOUNTS
    added = sum(AMOUNTS[one] for one in ("duplicate", "near_duplicate", "conflict", "leak"))
    assert len(rows) == 1 + 1080 + 180 + added + AMOUNTS["empty"]


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(raw, planted, tmp_path):
    assert write_messy(tmp_path / "again.csv") == planted
    assert (tmp_path / "again.csv").read_bytes() == raw.read_bytes()
    write_messy(tmp_path / "other.csv", seed=43)
    assert (tmp_path / "other.csv").read_bytes() != raw.read_bytes()


def test_no_row_has_two_faults(planted):
    touched = [line for one in planted for line in (one.line, one.other) if line is not None]
    assert len(touched) == len(set(touched))


def test_rows_without_a_fault_are_as_they_were(planted, rows):
    faulty = {one.line for one in planted}
    rest = [row for line, row in rows.items() if line not in faulty and line > 1]
    assert set(rest) <= {*messages("train"), *messages("val")}
    assert len(rest) == 1260 - sum(AMOUNTS[one] for one in FAULTS if one in IN_PLACE)


IN_PLACE = ("html", "encoding", "hidden", "whitespace", *PRIVATE, "flip")


def folded(text: str) -> str:
    return " ".join(text.casefold().split())


@pytest.mark.parametrize("fault", ["duplicate", "near_duplicate", "conflict"])
def test_copies_repeat_the_row_that_they_name(planted, rows, fault):
    for one in planted:
        if one.fault == fault:
            (text, label), (original, its_label) = rows[one.line], rows[one.other]
            assert (label != its_label) == (fault == "conflict")
            equal = folded(text) == folded(original)
            assert equal == (fault != "near_duplicate")
            assert Counter(folded(text)) == Counter(folded(original))


def test_leaks_are_test_messages(planted, rows):
    held_out = {(folded(text), label) for text, label in messages("test")}
    leaks = [rows[one.line] for one in planted if one.fault == "leak"]
    assert all((folded(text), label) in held_out for text, label in leaks)


def test_flipped_labels_differ_from_the_true_ones(planted, rows):
    true = dict([*messages("train"), *messages("val")])
    flips = [rows[one.line] for one in planted if one.fault == "flip"]
    assert all(true[text] != label for text, label in flips)


def test_a_wrong_decoding_can_be_read_right_again(planted, rows):
    for one in planted:
        if one.fault == "encoding":
            text = rows[one.line][0]
            assert "â€™" in text
            assert text.encode("cp1252").decode("utf-8") == one.clean


def test_other_faults_hide_the_clean_text(planted, rows):
    true = {" ".join(text.split()) for text, _ in [*messages("train"), *messages("val")]}
    for one in planted:
        if one.fault in ("html", "hidden", "whitespace"):
            assert one.clean in true
            assert rows[one.line][0] != one.clean
    hidden = [rows[one.line][0] for one in planted if one.fault == "hidden"]
    assert all("\u200b" in text and text.startswith("\ufeff") for text in hidden)
    assert sum("\n" in rows[one.line][0] for one in planted) >= AMOUNTS["whitespace"]


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        ("email", r"[\w.]+@example\.(?:org|com|net)"),
        ("phone", r"(?:020 7946 0|\+44 7700 900|0113 496 0|\(0131\) 496 0)[1-9]{3}"),
        ("iban", r"[A-Z]{2}\d\d[A-Z\d ]{10,28}\d"),
        ("card", r"[3-6]\d{3}[\d -]{11,15}"),
    ],
)
def test_private_values_are_those_kept_for_examples(planted, rows, fault, value):
    for one in planted:
        if one.fault == fault:
            before, after = one.clean.split(f"[{fault.upper()}]")
            assert re.fullmatch(re.escape(before) + value + re.escape(after), rows[one.line][0])


def test_faults_that_no_message_suits_are_left_out():
    rows, planted = messy([("short", "a"), ("brief", "b")], [("test", "a")], amounts={"html": 1})
    assert sorted(rows) == [("brief", "b"), ("short", "a")]
    assert planted == []

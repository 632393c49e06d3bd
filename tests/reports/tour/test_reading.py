"""The stages' records, read from small files as the stages write them."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_tune.reports.tour.reading import (
    read_answers,
    read_exported,
    read_raw,
    read_suspects,
)
from lightning_tune.reports.tour.record import NewAnswer


def rung(name: str, role: str, **fields: object) -> dict:
    return {
        "name": name,
        "role": role,
        "megabytes": None,
        "timings": {"1 x 24": {"p50": 9.0, "p95": 11.0}},
        "texts_per_second": None,
        "comparison": None,
        "note": "",
        **fields,
    }


@pytest.fixture
def bundle(tmp_path):
    """report.json of a bundle."""
    found = {"metric": "accuracy", "rows": 360, "lost": 0.5, "lost_interval": None, "flipped": 0.0}
    evaluation = {"metrics": {"accuracy": 0.9}, "intervals": {"accuracy": [0.8, 0.95]}}
    compared = {**found, "after": {"accuracy": 0.7}}
    report = {
        "winner": "int8",
        "rungs": [
            rung("torch fp32", "baseline"),
            rung(
                "int8",
                "candidate",
                megabytes=23.5,
                timings={"1 x 24": {"p50": 1.5, "p95": 2}, "16 x 64": {"p50": 20.0, "p95": 21}},
                comparison=compared,
            ),
        ],
        "comparison": found,
        "before": {**evaluation, "intervals": {}},
        "after": evaluation,
        "notes": ["busy"],
        "provenance": {"torch": "2.13"},
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    return tmp_path / "report.json"


def test_an_export_is_told_by_its_winner_and_its_baselines(bundle):
    exported = read_exported(bundle)
    assert exported.winning.megabytes == 23.5
    assert exported.winning.value == 0.7
    assert [one.is_baseline for one in exported.candidates] == [True, False]
    assert exported.shapes == ["1 x 24", "16 x 64"]
    assert exported.notes == ["busy"]
    assert exported.before == (0.9, None)
    assert exported.after == (0.9, (0.8, 0.95))


def test_speed_is_told_only_against_what_was_timed(bundle):
    exported = read_exported(bundle)
    assert exported.times("1 x 24") == pytest.approx(6.0)
    assert exported.times("16 x 64") is None
    assert exported.times("1 x 24", "torch bf16") is None


def test_raw_texts_are_known_by_the_line_they_begin_on(tmp_path):
    file = tmp_path / "raw.csv"
    file.write_text('label,text\nx,one\ny,"two\nlines"\nx,four\n', encoding="utf-8")
    assert read_raw(file) == {2: "one", 3: "two\nlines", 5: "four"}


def test_answers_with_an_error_are_left_out(tmp_path):
    file = tmp_path / "predictions.csv"
    file.write_text("row,text,prediction,probability,error\n0,a,card,0.75,\n1,,,,no text\n")
    assert read_answers(file) == [NewAnswer("a", "card", 0.75)]


def prepared(folder, suspects: object) -> None:
    (folder / "report.json").write_text(json.dumps({"suspects": suspects}))
    pq.write_table(pa.table({"line": [9, 4, 7]}), folder / "train.parquet")


def test_suspects_are_found_by_their_number_in_train(tmp_path):
    prepared(tmp_path, {"mode": "fast", "found": 2})
    (tmp_path / "suspects.csv").write_text("row,text\ntrain:3:0123,a\ntrain:1:4567,b\n")
    assert read_suspects(tmp_path) == {7, 9}


@pytest.mark.parametrize(("suspects", "found"), [(None, None), ({}, None), ({"found": 0}, set())])
def test_no_suspects_and_nobody_who_looked_are_two_things(tmp_path, suspects, found):
    prepared(tmp_path, suspects)
    assert read_suspects(tmp_path) == found

"""Prepared folders: what fit takes from prepare.json, and what it tells of the report."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_tune.data.prepared import (
    counts,
    is_prepared,
    prepared_fields,
    prepared_figures,
    prepared_task,
)
from lightning_tune.errors import DataError
from lightning_tune.tables import Fields

REPORT = {
    "schema": 1,
    "verdict": "WARN",
    "task": "binary",
    "labels": ["a class", "b"],
    "rows": {"read": 100, "kept": 80, "train": 80},
    "classes": {"before": {"a class": 50, "b": 50}},
    "sources": [{"name": "/home/ann/raw.csv", "read": 100}],
    "duplicates": {"exact_text": 12, "near": None},
    "leaks": {"found": {"val_in_train": 3}, "left": {"val_in_train": 0}},
    "privacy": {"rows": 4, "items": {"email": 4, "iban": 0}},
    "split": {"class_gap": 0.4},
    "recipe": {"split": {"seed": 42}},
    "checks": [
        {"name": "dropped", "value": 0.2, "verdict": "PASS"},
        {"name": "duplicates", "value": 0.12, "verdict": "WARN"},
        {"name": "leaks", "value": 0.3, "verdict": "WARN"},
    ],
    "notes": ["the classes 'a class' and 'A class' differ in case or spacing alone."],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    (tmp_path / "report.html").write_text("<!doctype html>")
    return state(tmp_path, task="binary")


def state(folder: Path, **more: Any) -> Path:
    fields = {"text": "text", "text_pair": None, "label": "label", "group": "group"}
    (folder / "prepare.json").write_text(json.dumps({"fields": fields, **more}))
    return folder


def test_the_figures_are_verdict_and_counts_without_names_of_classes_or_files(folder: Path) -> None:
    assert prepared_figures(str(folder)) == {
        "report": str(folder / "report.html"),
        "verdict": "WARN",
        "missed": "duplicates, leaks",
        "rows": {"read": 100, "kept": 80, "train": 80},
        "duplicates": {"exact_text": 12},
        "leaks": {"found": {"val_in_train": 3}, "left": {"val_in_train": 0}},
        "privacy": {"rows": 4, "items": {"email": 4}},
        "split": {"class_gap": 0.4},
    }
    assert prepared_figures([str(folder)]) == prepared_figures(str(folder))


def test_a_part_that_is_new_is_told_by_its_numbers(folder: Path) -> None:
    suspects = {"rows": 7, "share": 0.01, "mode": "fast", "seen": True, "classes": {"a class": 7}}
    (folder / "report.json").write_text(json.dumps({**REPORT, "suspects": suspects}))
    assert prepared_figures(str(folder))["suspects"] == {"rows": 7, "share": 0.01}


def test_what_reviews_changed_since_is_added_up(folder: Path) -> None:
    review = {"table": "r.csv", "sha256": "x", "changed": 5, "confirmed": 1, "dropped": 2}
    state(folder, reviews=[review, review])
    assert prepared_figures(str(folder))["reviewed"] == {
        "changed": 10,
        "confirmed": 2,
        "dropped": 4,
    }


def test_other_data_has_no_figures_and_no_task(tmp_path: Path, folder: Path) -> None:
    for spec in (None, "a.csv", "builtin:support", "s3://x/y", [str(folder), str(folder)], []):
        assert prepared_figures(spec) == {}
        assert prepared_task(spec) is None
    assert not is_prepared("s3://x/y")


@pytest.mark.parametrize("content", ["{", "[]", '{"checks": 3}', '{"checks": [{}]}', "\xff"])
def test_a_damaged_report_is_told_and_stops_nothing(
    content: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "report.json").write_bytes(content.encode("latin-1"))
    assert prepared_figures(str(folder)) == {}
    assert "report.json cannot be read" in caplog.text
    (folder / "report.json").unlink()
    assert prepared_figures(str(folder)) == {}


def test_a_file_that_was_changed_by_hand_is_named(folder: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "label": ["b"]}), folder / "train.parquet")
    (folder / "val.parquet").write_bytes((folder / "train.parquet").read_bytes())
    files = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("train.parquet", "val.parquet")
    }
    state(folder, task="binary", files=files)
    assert "edited" not in prepared_figures(str(folder))
    pq.write_table(pa.table({"text": ["a"], "label": ["c"]}), folder / "train.parquet")
    assert prepared_figures(str(folder))["edited"] == "train.parquet"


def test_the_record_stands_for_a_page_that_is_missing(folder: Path) -> None:
    (folder / "report.html").unlink()
    assert prepared_figures(str(folder))["report"] == str(folder / "report.json")


def test_the_task_is_the_stated_one_and_an_unknown_one_is_refused(folder: Path) -> None:
    assert prepared_task(str(folder)) == "binary"
    assert prepared_task([str(folder)]) == "binary"
    assert prepared_task(str(state(folder))) is None
    with pytest.raises(DataError, match=r"prepare\.json does not say what its columns mean"):
        prepared_task(str(state(folder, task="binnary")))


def test_no_label_may_hold_in_multilabel_data_alone(folder: Path) -> None:
    assert not prepared_fields(str(folder), Fields()).label_may_be_empty
    assert prepared_fields(str(state(folder, task="multilabel")), Fields()).label_may_be_empty
    kept = prepared_fields(str(state(folder)), Fields(label_may_be_empty=True))
    assert kept.label_may_be_empty


def test_a_column_of_the_raw_data_gives_way_to_the_folders_own_and_one_line_says_so(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pq.write_table(
        pa.table({"text": ["a"], "label": ["b"], "note": ["c"]}), folder / "train.parquet"
    )
    raw = Fields(text="sentence", label="note", weight="w")
    fields = prepared_fields(str(folder), raw)
    assert prepared_fields(str(folder), raw) == fields
    assert (fields.text, fields.label, fields.weight) == ("text", "note", "w")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"{folder} has no data.text='sentence'; its own columns are read: 'text'."


def test_numbers_are_picked_out_of_anything() -> None:
    assert counts({"a": True, "b": "2", "c": None, "d": [1], "e": {}, "f": 1.5}) == {"f": 1.5}

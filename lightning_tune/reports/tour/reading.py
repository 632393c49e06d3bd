"""Reading what the stages of a tour wrote: their records, never what they printed."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_tune.reports.records import Point
from lightning_tune.reports.tour.record import Candidate, Exported, NewAnswer


def read_json(path: Path) -> dict[str, Any]:
    """Read a record."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def read_raw(path: Path) -> dict[int, str]:
    """Read the texts of a raw CSV file, by the line on which each row begins."""
    texts = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        at = next(rows).index("text")
        begins = rows.line_num + 1
        for row in rows:
            texts[begins] = row[at]
            begins = rows.line_num + 1
    return texts


def read_answers(path: Path) -> list[NewAnswer]:
    """Read the predictions of `score`, those of rows without an error."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            NewAnswer(row["text"], row["prediction"], float(row["probability"]))
            for row in csv.DictReader(file)
            if not row["error"]
        ]


def read_suspects(folder: Path) -> frozenset[int] | None:
    """Return the lines whose labels `prepare` called doubtful; None where it did not look.

    Its suspects.csv names a row SPLIT:NUMBER:KEY, by its number in that split, from 1.
    """
    import pyarrow.parquet as pq

    looked = read_json(folder / "report.json").get("suspects")
    if looked is None or looked.get("found") is None:
        return None
    sheet = folder / "suspects.csv"
    if not sheet.is_file():
        return frozenset()
    lines = pq.read_table(folder / "train.parquet", columns=["line"])["line"].to_pylist()
    with sheet.open(encoding="utf-8", newline="") as file:
        numbers = [int(row["row"].split(":")[1]) for row in csv.DictReader(file)]
    return frozenset(lines[number - 1] for number in numbers)


def read_exported(path: Path) -> Exported:
    """Read report.json of a bundle."""
    report = read_json(path)
    found = report["comparison"]
    metric = found["metric"]
    return Exported(
        winner=report["winner"],
        candidates=[_candidate(rung) for rung in report["rungs"]],
        metric=metric,
        rows=found["rows"],
        before=_measured(report["before"], metric),
        after=_measured(report["after"], metric),
        lost=found["lost"],
        lost_interval=_point(found["lost_interval"]),
        flipped=found.get("rows_flipped", found["flipped"]),  # a record of before has one share
        notes=report["notes"],
        provenance=report["provenance"],
    )


def _candidate(rung: Mapping[str, Any]) -> Candidate:
    found = rung["comparison"]
    return Candidate(
        name=rung["name"],
        is_baseline=rung["role"] == "baseline",
        megabytes=rung["megabytes"],
        milliseconds={shape: timing["p50"] for shape, timing in rung["timings"].items()},
        texts_per_second=rung["texts_per_second"],
        value=None if found is None else found["after"][found["metric"]],
        lost=None if found is None else found["lost"],
        note=rung["note"],
    )


def _measured(evaluation: Mapping[str, Any], metric: str) -> tuple[float, Point | None]:
    return evaluation["metrics"][metric], _point(evaluation["intervals"].get(metric))


def _point(ends: Any) -> Point | None:
    return None if ends is None else (float(ends[0]), float(ends[1]))

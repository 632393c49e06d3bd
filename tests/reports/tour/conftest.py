"""A tour made by hand: something in every field, and hostile texts wherever a text may stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lightning_tune.reports.evaluate import evaluate
from lightning_tune.reports.records import Evaluation
from lightning_tune.reports.tour.outcomes import Example, Outcome
from lightning_tune.reports.tour.record import Candidate, Exported, NewAnswer, Stage, Tour
from lightning_tune.schema import LabelSet

HOSTILE = "<script>alert(1)</script> \x1b[31mred \u202edesrever \ud800"
SHAPES = ("1 x 24", "16 x 64")


def evaluation() -> Evaluation:
    """Ten rows of two labels, three of them wrong."""
    labels = LabelSet("multiclass", ("card", "ship", "stop"))
    right = [0.8, 0.1, 0.1]
    scores = [right] * 7 + [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.3, 0.3, 0.4]]
    record = evaluate(
        labels, [0] * 10, scores, split="test", text_of=lambda row: (f"{row} {HOSTILE}", None),
        resamples=20,
    )  # fmt: skip
    record.curves = {
        "train/loss": [(float(step), 2.0 / (1 + step)) for step in range(12)],
        "val/loss": [(5.0, 0.7), (10.0, 0.5)],
        "val/accuracy": [(5.0, 0.6), (10.0, 0.7)],
        "val/auroc": [(5.0, 0.6), (10.0, 0.7)],
        "lr/pg1": [(0.0, 1e-5), (10.0, 0.0)],
    }
    record.throughput = {"samples_per_second": 98.5}
    return record


def candidate(name: str, *milliseconds: float, size: float | None = None) -> Candidate:
    return Candidate(
        name,
        name.startswith("torch"),
        size,
        dict(zip(SHAPES, milliseconds, strict=True)),
        500.0,
        0.75,
        0.0,
    )


def exported() -> Exported:
    rungs = [
        candidate("torch fp32", 9.0, 1200.0),
        candidate("torch bf16", 4.5, 40.0),
        candidate("int8 static", 1.5, 20.0, size=23.5),
    ]
    return Exported(
        winner="int8 static",
        candidates=rungs,
        metric="accuracy",
        rows=10,
        before=(0.7, (0.4, 0.9)),
        after=(0.6, (0.3, 0.8)),
        lost=10.0,
        lost_interval=(-0.001, 30.0),
        flipped=0.2,
        notes=(f"other processes were busy {HOSTILE}",),
        provenance={"torch": "2.13.0", "threads": "2"},
    )


def prepared() -> dict[str, Any]:
    clean = {"name": "clean", "rows_in": 20, "rows_out": 18, "counts": {"dropped": 2, "html": 4}}
    return {
        "verdict": "WARN",
        "labels": ["card", "ship", "stop"],
        "rows": {"read": 20, "kept": 18, "dropped": 2, "train": 8, "val": 0, "test": 10},
        "steps": [clean],
        "checks": [
            {"name": "leaks", "value": 0.083333, "warn": 0.0, "fail": None, "verdict": "WARN"},
            {"name": "dropped", "value": 0.1, "warn": 0.3, "fail": None, "verdict": "PASS"},
        ],
    }


@pytest.fixture
def make() -> Callable[..., Tour]:
    """Return a function that makes a tour, with fields of one's own."""

    def build(**fields: Any) -> Tour:
        stage = Stage(
            "prepare",
            "cleans",
            f"python -m lightning_tune prepare --input {HOSTILE}",
            3.4,
            f"18 of 20 rows kept {HOSTILE}",
            {"report": "data/report.html"},
        )
        tour = Tour(
            stages=[stage],
            outcomes=[
                Outcome("duplicate", 6, 5, (17,)),
                Outcome("html", 4, 4),
                Outcome("flip", 3, None),
            ],
            examples=[
                Example("html", 4, f"<p>{HOSTILE}</p>", HOSTILE),
                Example("whitespace", 8, "a\n\tb\u200b", "a b"),
                Example("email", 9, None, "write to [EMAIL]"),
            ],
            prepared=prepared(),
            evaluation=evaluation(),
            exported=exported(),
            answers=[NewAnswer(f"new {HOSTILE}", "card", 0.91), NewAnswer("ok", "ship", 0.3)],
            seconds=204.4,
            provenance={"processor": "a processor, 2 cores"},
        )
        return replace(tour, **fields)

    return build

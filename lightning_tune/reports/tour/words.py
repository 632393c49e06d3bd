"""What came of each stage, in a line: on the terminal, and beside the stage on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_tune.datasets.spoiling import Fault
from lightning_tune.reports.display import label_text, metric_title, most_confused, number
from lightning_tune.reports.points import points_text
from lightning_tune.reports.records import THROUGHPUT, Evaluation
from lightning_tune.reports.runs import Run
from lightning_tune.reports.tour.outcomes import Outcome
from lightning_tune.reports.tour.record import REFERENCE, Exported, NewAnswer

FAULT_TITLES: Mapping[Fault, str] = {
    "duplicate": "the same text again",
    "near_duplicate": "the same text, mistyped",
    "conflict": "the same text under another label",
    "leak": "a test message in the training data",
    "empty": "no text, or markup alone",
    "html": "HTML",
    "encoding": "a wrong decoding (donâ€™t)",
    "hidden": "characters without width",
    "whitespace": "stray spaces, tabs, line ends",
    "email": "e-mail addresses",
    "phone": "telephone numbers",
    "iban": "bank account numbers",
    "card": "payment cards",
    "flip": "labels changed to another",
}


def faults_line(outcomes: Sequence[Outcome]) -> str:
    """Say how many planted faults were found; changed labels apart, which only a person can mend.

    >>> faults_line([Outcome("html", 3, 2, (7,)), Outcome("flip", 5, None)])
    '2 of 3 planted faults found'
    >>> faults_line([Outcome("html", 3, 3), Outcome("flip", 5, 4, (7,))])
    '3 of 3 planted faults found; 4 of 5 changed labels called doubtful'
    """
    found, planted = faults_found(outcomes)
    said = f"{found:,} of {planted:,} planted faults found"
    flips = [one for one in outcomes if one.fault == "flip" and one.found is not None]
    if flips:
        said += f"; {flips[0].found:,} of {flips[0].planted:,} changed labels called doubtful"
    return said


def faults_found(outcomes: Sequence[Outcome]) -> tuple[int, int]:
    """Return how many planted faults were found, and how many there were, without labels."""
    texts = [one for one in outcomes if one.fault != "flip"]
    return sum(one.found or 0 for one in texts), sum(one.planted for one in texts)


def prepare_line(prepared: Mapping[str, Any], outcomes: Sequence[Outcome]) -> str:
    """Say what was kept, and what became of the faults."""
    rows = prepared["rows"]
    sides = ", ".join(f"{side} {rows[side]:,}" for side in ("train", "val", "test") if side in rows)
    kept = f"{rows['kept']:,} of {rows['read']:,} rows kept: {sides}"
    return f"{kept}; {faults_line(outcomes)}"


def fit_line(run: Run, metric: str) -> str:
    """Say how good the best epoch is on validation, and how fast the training was."""
    steps = max((points[-1][0] for points in run.curves.values()), default=0)
    said = f"{metric_title(metric)} on validation {number(run.metrics.get(f'val/{metric}'))}"
    rate = run.metrics.get(f"{THROUGHPUT}samples_per_second")
    speed = "" if rate is None else f", {number(rate)} samples a second"
    return f"{said} after {steps:,.0f} steps{speed}"


def test_line(evaluation: Evaluation) -> str:
    """Say how good the model is on test, and which labels it confuses most."""
    name = evaluation.main_metric
    ends = evaluation.intervals.get(name)
    interval = f" ({number(ends[0])} to {number(ends[1])})" if ends else ""
    said = f"{metric_title(name)} {number(evaluation.metrics.get(name))}{interval}"
    line = f"{said} on {evaluation.rows:,} test rows"
    pairs = most_confused(evaluation, limit=1)
    if pairs:
        label, other = label_text(pairs[0].label), label_text(pairs[0].predicted)
        line += f"; most often {label} is taken for {other} ({pairs[0].rows} rows)"
    return line


def export_line(exported: Exported) -> str:
    """Say what was taken, how large and fast it is, and what it costs."""
    taken = exported.winning
    size = "" if taken.megabytes is None else f"{taken.megabytes:.1f} MB, "
    shape = exported.shapes[0]
    return (
        f"{taken.name}: {size}{taken.milliseconds[shape]:.2f} ms at {shape}{_times(exported)}; "
        f"{points_text(exported.lost)} on test"
    )


def _times(exported: Exported) -> str:
    times = exported.times(exported.shapes[0])
    return "" if times is None else f", {times:.1f} times as fast as {REFERENCE}"


def score_line(answers: Sequence[NewAnswer]) -> str:
    """Say how many messages were answered, and how surely.

    >>> score_line([NewAnswer("a", "x", 0.9), NewAnswer("b", "y", 0.25)])
    '2 new messages answered, the surest with 0.90, the least sure with 0.25'
    """
    sure = [one.probability for one in answers]
    ends = f", the surest with {max(sure):.2f}, the least sure with {min(sure):.2f}" if sure else ""
    return f"{len(answers):,} new messages answered{ends}"

"""An export's report as Markdown, and the table of its candidates for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightning_tune.reports.display import (
    TASK_TITLES,
    flatten,
    label_text,
    metric_title,
    number,
    printable,
    setting,
)
from lightning_tune.reports.markdown import escape, markdown_table
from lightning_tune.reports.points import two_digits
from lightning_tune.tables import replace_file
from lightning_tune_export.ladder import Rung
from lightning_tune_export.report.record import ExportReport
from lightning_tune_export.report.words import (
    at_a_half,
    changed_heading,
    changed_share,
    headline,
    signed,
    signed_interval,
    state_of,
)

_FLIPS_SHOWN = 50
_CLASSES_SHOWN = 20
_PRINTED = 110  # columns of a file or a pipe, which wrap nothing by themselves


def export_markdown(report: ExportReport) -> str:
    """Return the report; what is long in the HTML page is shortened here."""
    half = at_a_half(report.comparison)
    parts = [
        _header(report),
        markdown_table("Budgets", ["Budget", "Measured", "Limit", "Left", ""], _gate(report)),
        markdown_table("Candidates", list(headings_of(report.rungs)), _candidates(report)),
        markdown_table(f"What changed{half}", _metric_headings(report), _metrics(report)),
        markdown_table(
            f"Classes that lost most{half}",
            ["Class", "Checkpoint", "Exported", "Points lost", "Rows"],
            _classes(report),
        ),
        markdown_table("Calibration error on test", ["", "ECE"], _errors(report)),
        markdown_table(
            f"Changed answers{half}",
            ["Row", "Where", "Label", "Checkpoint", "Exported"],
            _flips(report),
        ),
        *(
            markdown_table(title, ["", ""], _facts(values))
            for title, values in (
                ("Parity", report.parity),
                ("Pruning", report.pruning),
                ("Sizes, MB", report.sizes),
                ("Time, seconds", report.seconds),
                ("Recipe", report.settings),
                ("Provenance", report.provenance),
            )
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_markdown(path: Path, report: ExportReport) -> None:
    """Write the report; it shows no text of the data."""
    with replace_file(path) as temporary:
        temporary.write_text(export_markdown(report), encoding="utf-8")


def _header(report: ExportReport) -> str:
    about = (
        f"{TASK_TITLES[report.after.task]}, recipe {escape(report.recipe)}, winner "
        f"{escape(report.winner)}. {escape(headline(report))}"
    )
    notes = [f"> {escape(printable(note, limit=2000))}" for note in report.notes]
    return "\n\n".join([f"# {escape(printable(report.title, limit=120))}: export", about, *notes])


def _gate(report: ExportReport) -> list[list[str]]:
    return [
        [
            escape(check.name),
            f"{two_digits(check.measured)} {check.unit}",
            f"{check.budget:g} {check.unit}",
            two_digits(check.left),
            "kept" if check.passes else "missed",
        ]
        for check in report.checks
    ]


def headings_of(rungs: Sequence[Rung]) -> list[str]:
    """Return the headings of the table of candidates."""
    shapes = dict.fromkeys(shape for rung in rungs for shape in rung.timings)
    return [
        "Name",
        "MB",
        *(f"{shape}, ms" for shape in shapes),
        "Texts/s",
        "Points lost",
        changed_heading(rungs),
        "State",
    ]


def rows_of(rungs: Sequence[Rung], winner: str) -> list[list[str]]:
    """Return the table of candidates and baselines, a list of cells each, for `headings_of`."""
    shapes = list(dict.fromkeys(shape for rung in rungs for shape in rung.timings))
    rows = []
    for rung in rungs:
        found = rung.comparison
        timings = [rung.timings.get(shape) for shape in shapes]
        rows.append(
            [
                rung.name,
                "" if rung.megabytes is None else f"{rung.megabytes:.1f}",
                *("" if one is None else f"{one.p50:.2f} / {one.p95:.2f}" for one in timings),
                "" if rung.texts_per_second is None else f"{rung.texts_per_second:,.0f}",
                "" if found is None else two_digits(found.lost),
                "" if found is None else changed_share(found),
                state_of(rung, winner),
            ]
        )
    return rows


def _candidates(report: ExportReport) -> list[list[str]]:
    return [[escape(cell) for cell in row] for row in rows_of(report.rungs, report.winner)]


def _metric_headings(report: ExportReport) -> list[str]:
    more = [] if report.calibrated.thresholds is None else ["Bundle, with its thresholds"]
    return ["Metric", "Checkpoint", "Exported", "Change, 95 % interval", *more]


def _metrics(report: ExportReport) -> list[list[str]]:
    found = report.comparison
    rows = []
    for name in sorted(found.before, key=lambda name: name != found.metric):
        change = [signed(found.after[name] - found.before[name])]
        change += [signed_interval(found.intervals[name])] if name in found.intervals else []
        values = [number(found.before[name]), number(found.after[name]), ", ".join(change)]
        if report.calibrated.thresholds is not None:
            values.append(number(report.after.metrics[name]))
        rows.append([escape(metric_title(name, report.after.task)), *values])
    return rows


def _classes(report: ExportReport) -> list[list[str]]:
    ordered = sorted(report.comparison.classes, key=lambda each: -each.lost)[:_CLASSES_SHOWN]
    return [
        [
            escape(label_text(each.name)),
            number(each.before),
            number(each.after),
            two_digits(each.lost),
            f"{each.rows:,}",
        ]
        for each in ordered
    ]


def _errors(report: ExportReport) -> list[list[str]]:
    names = {
        "checkpoint": "checkpoint",
        "before": "exported, temperature 1",
        "after": f"exported, temperature {report.calibrated.temperature:.3f}",
    }
    return [
        [escape(names[name]), f"{error:.4f}"] for name, error in report.calibrated.errors.items()
    ]


def _flips(report: ExportReport) -> list[list[str]]:
    ordered = sorted(report.comparison.flips, key=lambda flip: -flip.margin)[:_FLIPS_SHOWN]
    return [
        [
            str(flip.row),
            escape(printable(flip.where, limit=120)),
            *(escape(label_text(label)) for label in (flip.label, flip.before, flip.after)),
        ]
        for flip in ordered
    ]


def _facts(values: Mapping[str, Any]) -> list[list[str]]:
    return [
        [escape(printable(key, limit=200)), escape(setting(value))]
        for key, value in flatten(values).items()
    ]


def show_candidates(
    rungs: Sequence[Rung], winner: str = "", *, console: Console | None = None
) -> None:
    """Print the table of candidates and baselines."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for at, heading in enumerate(headings_of(rungs)):
        table.add_column(heading, justify="left" if at == 0 else "right", no_wrap=at == 0)
    for rung, row in zip(rungs, rows_of(rungs, winner), strict=True):
        style = "bold cyan" if rung.name == winner else "dim" if rung.role == "baseline" else ""
        shown = (cell.partition(" / ")[0] for cell in row)  # medians alone: eighty columns
        table.add_row(*(Text(cell, style=style) for cell in shown))
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, _PRINTED)
    console.print(table)

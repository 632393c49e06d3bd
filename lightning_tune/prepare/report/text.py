"""The report of prepared data as Markdown, and the short one for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightning_tune.prepare.report.record import PrepareReport
from lightning_tune.prepare.report.words import is_spaceless, plain
from lightning_tune.reports.display import TASK_TITLES, flatten, label_text, printable, setting
from lightning_tune.reports.markdown import escape, markdown_table

_CLASSES_SHOWN = 100
_PRINTED = 110  # columns of a file or a pipe, which wrap nothing by themselves


def report_markdown(report: PrepareReport, title: str) -> str:
    """Return the report.

    Args:
        report: The record.
        title: Name of the data.
    """
    parts = [
        _header(report, title),
        markdown_table("Checks", ["Figure", "Value", "Warns", "Fails", ""], checks_of(report)),
        markdown_table("Steps", ["Step", "Rows in", "Rows out", "Dropped", ""], _steps(report)),
        markdown_table("Dropped rows", ["Step", "Reason", "Rows"], _reasons(report)),
        markdown_table("Classes", ["Class", *_columns(report.classes)], _classes(report)),
        markdown_table("Lengths", ["", *_columns(report.lengths)], _lengths(report)),
        _facts("Truncation", report.truncation or {}),
        _facts("Languages", report.languages or {}),
        _facts("Duplicates", report.duplicates),
        _facts("Leaks", report.leaks),
        _facts("Privacy", report.privacy or {}),
        _facts("Split", report.split),
        *(_facts(plain(name), values) for name, values in report.others().items()),
        markdown_table("Sources", ["Source", "For", "Read", "Kept", "Share"], _sources(report)),
        _facts("Recipe", report.recipe),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(report: PrepareReport, title: str) -> str:
    rows = report.rows
    task = "no labels" if report.task is None else TASK_TITLES[report.task]
    sides = ", ".join(
        f"{split} {rows[split]:,}" for split in ("train", "val", "test") if split in rows
    )
    about = (
        f"**{report.verdict}**. {task}. {rows['kept']:,} of {rows['read']:,} rows kept: {sides}."
    )
    notes = [f"> {escape(printable(note, limit=2000))}" for note in report.notes]
    return "\n\n".join([f"# {escape(printable(title, limit=120))}: data", about, *notes])


def checks_of(report: PrepareReport) -> list[list[str]]:
    """Return the checks, a list of cells each."""
    return [
        [
            each.name,
            f"{each.value:,.6g}",
            "" if each.warn is None else f"{each.warn:g}",
            "" if each.fail is None else f"{each.fail:g}",
            each.verdict,
        ]
        for each in report.checks
    ]


def _steps(report: PrepareReport) -> list[list[str]]:
    return [
        [
            step.name,
            f"{step.rows_in:,}",
            f"{step.rows_out:,}",
            f"{step.gone:,}",
            escape(told(step.counts)),
        ]
        for step in report.steps
    ]


def told(counts: Mapping[str, int]) -> str:
    """Say what a step counted, without what is 0.

    >>> told({"dropped": 3, "html": 2, "control": 0})
    'html 2'
    """
    return ", ".join(
        f"{name.replace('_', ' ')} {count:,}"
        for name, count in counts.items()
        if count and name != "dropped"
    )


def _reasons(report: PrepareReport) -> list[list[str]]:
    return [
        [step.name, escape(printable(reason, limit=200)), f"{rows:,}"]
        for step in report.steps
        for reason, rows in step.reasons.items()
    ]


def _columns(values: Mapping[str, Any]) -> list[str]:
    return list(values)


def _classes(report: PrepareReport) -> list[list[str]]:
    names = sorted({name for counts in report.classes.values() for name in counts})
    more = len(names) - _CLASSES_SHOWN
    told = [[f"and {more:,} more", *("" for _ in report.classes)]] if more > 0 else []
    rows = [
        [
            escape(label_text(name)),
            *(f"{counts.get(name, 0):,}" for counts in report.classes.values()),
        ]
        for name in names[:_CLASSES_SHOWN]
    ]
    return [*rows, *told]


def _lengths(report: PrepareReport) -> list[list[str]]:
    found = report.lengths.values()
    counted = ("characters", *(() if is_spaceless(report.lengths) else ("words",)), "tokens")
    units = [unit for unit in counted if any(unit in one for one in found)]
    return [
        [f"{unit}, {quantile}", *(_length(one.get(unit), quantile) for one in found)]
        for unit in units
        for quantile in ("p50", "p95", "max")
    ]


def _length(found: Mapping[str, int] | None, quantile: str) -> str:
    return "" if found is None else f"{found[quantile]:,}"


def _sources(report: PrepareReport) -> list[list[str]]:
    return [
        [
            escape(printable(one.name, limit=200)),
            one.split,
            f"{one.read:,}",
            f"{one.kept:,}",
            f"{100 * one.share:.1f} %",
        ]
        for one in report.sources
    ]


def _facts(title: str, values: Mapping[str, Any]) -> str:
    rows = [[escape(key), escape(setting(value))] for key, value in flatten(values).items()]
    return markdown_table(title, ["", ""], rows)


def show(report: PrepareReport, *, console: Console | None = None) -> None:
    """Print steps, checks that are not passed, and the verdict."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, _PRINTED)
    console.print(_table(["Step", "Rows in", "Rows out", "What"], _short_steps(report)))
    for each in report.checks:
        if each.verdict != "PASS":
            limit = each.fail if each.verdict == "FAIL" else each.warn
            line = f"{each.verdict}  {each.name} is {each.value:g}, its limit {limit:g}"
            console.print(Text(line, style="red" if each.verdict == "FAIL" else "yellow"))
    for note in report.notes:
        console.print(Text(f"note  {printable(note)}", style="yellow"))
    rows = report.rows
    sides = ", ".join(
        f"{split} {rows[split]:,}" for split in ("train", "val", "test") if split in rows
    )
    kept = f"{rows['kept']:,} of {rows['read']:,} rows: {sides}"
    console.print(Text(f"{report.verdict:<16} {kept}", style="bold"))


def _short_steps(report: PrepareReport) -> list[list[str]]:
    return [
        [step.name, f"{step.rows_in:,}", f"{step.rows_out:,}", told(step.counts)]
        for step in report.steps
    ]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for at, heading in enumerate(headings):
        table.add_column(heading, justify="right" if at in (1, 2) else "left", no_wrap=at < 3)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table

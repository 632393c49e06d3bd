"""What came of the rows: limits, steps one after the other, reasons to drop, and the inputs."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_tune.prepare.report.record import PrepareReport, StepRecord
from lightning_tune.prepare.report.text import told
from lightning_tune.prepare.report.words import STEPS, check_words, plain, share, shown
from lightning_tune.reports.display import printable
from lightning_tune.reports.elements import (
    Cell,
    Column,
    Part,
    key,
    section,
    stacked,
    table,
    verdict_chip,
)
from lightning_tune.reports.markup import Markup, breakable, element

KEPT, GONE = 0, 1
"""Colours of rows that stay and of rows that go, on all of the page."""


def limits(report: PrepareReport) -> Markup:
    """Each figure beside its limits."""
    columns = [
        Column("Figure"),
        Column("Measured", True),
        Column("Warns", True, "The last value that is fine"),
        Column("Fails", True, "The last value that is no failure"),
        Column(""),
    ]
    rows = []
    for check in report.checks:
        words = check_words(check.name)
        meaning = element("small", f" {words.meaning}") if words.meaning else None
        rows.append(
            [
                Cell([words.title, meaning]),
                Cell(shown(check.value, words.unit), check.value, kind="strong"),
                Cell(shown(check.warn, words.unit), check.warn),
                Cell(shown(check.fail, words.unit), check.fail),
                Cell(verdict_chip(check.verdict)),
            ]
        )
    lead = "The verdict is the worst of them. With FAIL no splits are written."
    return section("limits", "Limits", table(columns, rows, sortable=False), lead=lead)


def steps(report: PrepareReport) -> Markup:
    """The rows after each step, beside what the step dropped."""
    columns = [
        Column("Step"),
        Column("Rows in", True),
        Column("Dropped", True),
        Column("Rows out", True),
        Column("Counted"),
        Column("Of all rows that were read"),
    ]
    rows = [_step(step, report.rows["read"]) for step in report.steps]
    legend = [key(KEPT, "rows that stay"), key(GONE, "rows that go")]
    lead = "In this order. dropped.parquet names source and line of each row that went."
    body = table(columns, rows, sortable=False, kind="bars flow")
    return section("steps", "Steps", element("p", legend, class_="legend"), body, lead=lead)


def _step(step: StepRecord, read: int) -> list[Cell]:
    gone, stay = step.gone, step.rows_in - step.gone
    parts = [
        Part(stay / max(1, read), KEPT, f"{stay:,} rows stay"),
        Part(gone / max(1, read), GONE, f"{gone:,} rows go ({share(gone / max(1, read))})"),
    ]
    return [
        Cell(STEPS.get(step.name, plain(step.name))),
        Cell(f"{step.rows_in:,}"),
        Cell(f"{gone:,}", kind="strong" if gone else ""),
        Cell(f"{step.rows_out:,}"),
        Cell(printable(told(step.counts), limit=400), kind="soft"),
        Cell(stacked(parts)),
    ]


def reasons(report: PrepareReport) -> Markup | None:
    """Dropped rows by reason, the most frequent first."""
    found = [
        (rows, step.name, reason) for step in report.steps for reason, rows in step.reasons.items()
    ]
    if not found:
        return None
    found.sort(key=lambda one: -one[0])
    columns = [
        Column("Reason"),
        Column("Step"),
        Column("Rows", True),
        Column("Of all rows that were read"),
    ]
    read = max(1, report.rows["read"])
    rows = [
        [
            Cell(printable(reason, limit=200)),
            Cell(STEPS.get(step, plain(step))),
            Cell(f"{count:,}", count),
            Cell(bar_of(count / read, color=GONE, most=found[0][0] / read), count),
        ]
        for count, step, reason in found
    ]
    return section("reasons", "Dropped rows", table(columns, rows, kind="bars"))


def sources(report: PrepareReport) -> Markup:
    """The inputs, and their share of what is kept."""
    columns = [
        Column("Input"),
        Column("For"),
        Column("Read", True),
        Column("Kept", True),
        Column("Share of all rows kept"),
    ]
    most = max((one.share for one in report.sources), default=0.0)
    rows = [
        [
            Cell(breakable(printable(one.name, limit=200))),
            Cell(one.split),
            Cell(f"{one.read:,}", one.read),
            Cell(f"{one.kept:,}", one.kept),
            Cell(bar_of(one.share, color=KEPT, most=most), one.share),
        ]
        for one in report.sources
    ]
    return section("sources", "Sources", table(columns, rows, kind="bars"))


def bar_of(value: float, *, color: int, most: float) -> Markup:
    """A share as a bar, the greatest of the column filling it, with its number behind."""
    size = value / most if most else 0.0
    bar = stacked([Part(size, color, share(value))])
    return element("span", bar, element("span", share(value)), class_="measured")


def ranked(
    title: str, counts: Sequence[tuple[str, int, int]], *, color: int = KEPT, whole: str
) -> Markup:
    """A table of counts, each with the share that it is of others as a bar.

    Args:
        title: Heading of the names.
        counts: Name, count, and what the count is a share of.
        color: Of the bars.
        whole: Heading of the shares.
    """
    most = max((count / max(1, of) for _, count, of in counts), default=0.0)
    columns = [Column(title), Column("Count", True), Column(whole)]
    rows = [
        [
            Cell(printable(name, limit=120)),
            Cell(f"{count:,}", count),
            Cell(bar_of(count / max(1, of), color=color, most=most), count / max(1, of)),
        ]
        for name, count, of in counts
    ]
    return table(columns, rows, kind="bars")

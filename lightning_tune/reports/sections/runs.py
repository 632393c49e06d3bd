"""The dashboard's table: one line a run, what it reached and the settings that differ."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lightning_tune.reports.charts import DASHES, PALETTE
from lightning_tune.reports.comparison import best, differing, final, interval, short_names
from lightning_tune.reports.display import metric_title, number, printable, setting
from lightning_tune.reports.elements import Cell, Column, section, table
from lightning_tune.reports.markup import Markup, breakable, element
from lightning_tune.reports.runs import Run

SHOWN_AT_FIRST = PALETTE * len(DASHES)
"""More runs than this cannot be told apart by their lines; the others wait to be ticked."""

_SETTINGS_BESIDE = 6


def overview(runs: Sequence[Run], metric: str) -> Markup:
    """The table of runs, best first."""
    settings = differing(runs)
    beside = short_names(settings)
    title = metric_title(metric)
    columns = [
        Column(element("input", type="checkbox", name_="all-runs", checked=True, title="all runs")),
        Column("Run"),
        Column(f"{title}, test", True),
        Column("95 % interval", True),
        Column("Validation, best", True),
        Column("Steps", True),
        Column("Samples/s", True),
        *(Column(beside[name], True, name) for name in settings[:_SETTINGS_BESIDE]),
        Column("Written", True),
    ]
    rows = [_row(run, index, metric, settings) for index, run in enumerate(runs)]
    parts = [table(columns, rows, kind="runs")]
    if len(settings) > _SETTINGS_BESIDE:
        parts.append(_all_settings(runs, settings))
    lead = "Best first. Point at a run to bring its curves forward, untick it to hide them."
    if len(runs) > SHOWN_AT_FIRST:
        lead += f" The curves of the first {SHOWN_AT_FIRST} are shown; tick others to see theirs."
    return section("runs", "Runs", *parts, lead=lead)


def _row(run: Run, index: int, metric: str, settings: Sequence[str]) -> list[Cell]:
    tested, validated = final(run, f"test/{metric}"), best(run, metric)
    bounds = interval(run, f"test/{metric}")
    box = element(
        "input", type="checkbox", name_="run", value=index, checked=index < SHOWN_AT_FIRST,
        aria_label=f"show {printable(run.name)}",
    )  # fmt: skip
    steps = max((points[-1][0] for points in run.curves.values()), default=None)
    return [
        Cell(box, index),
        Cell([mark(index), printable(run.name, limit=120)], run.name, kind="run"),
        _number(tested, "strong"),
        Cell(f"{number(bounds[0])} to {number(bounds[1])}" if bounds else ""),
        _number(validated),
        Cell(f"{steps:,.0f}" if steps is not None else "", steps),
        _number(_speed(run)),
        *(_setting(run, name) for name in settings[:_SETTINGS_BESIDE]),
        Cell(f"{datetime.fromtimestamp(run.written):%Y-%m-%d %H:%M}", run.written),
    ]


def mark(index: int) -> Markup:
    """The colour and dash of a run's lines."""
    return element("i", class_=f"mark c{index % PALETTE} d{index // PALETTE % len(DASHES)}")


def _number(value: float | None, kind: str = "") -> Cell:
    return Cell("" if value is None else number(value), value, kind)


def _speed(run: Run) -> float | None:
    """The median, which a slow start and a validation in between do not move."""
    values = sorted(value for _, value in run.curves.get("throughput/samples_per_second", []))
    return values[len(values) // 2] if values else None


def _setting(run: Run, name: str) -> Cell:
    if name not in run.settings:
        return Cell("")
    value = run.settings[name]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(setting(value), float(value))
    shown = setting(value)
    return Cell(breakable(shown) if len(shown) > 24 else shown)


def _all_settings(runs: Sequence[Run], settings: Sequence[str]) -> Markup:
    columns = [Column("Setting"), *(Column([mark(at), run.name]) for at, run in enumerate(runs))]
    rows = [
        [Cell(breakable(printable(name))), *(Cell(_setting(run, name).shown) for run in runs)]
        for name in settings
    ]
    content = table(columns, rows, sortable=False, kind="tall")
    return element(
        "details", element("summary", f"All {len(settings)} settings that differ"), content
    )

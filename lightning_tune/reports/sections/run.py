"""What stands behind the numbers: training curves, data, settings, provenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning_tune.reports.charts import Frame, Line, line_chart
from lightning_tune.reports.curves import by_quantity, is_noisy, smooth, thin
from lightning_tune.reports.display import flatten, metric_title, number, printable, setting
from lightning_tune.reports.elements import (
    Cell,
    Column,
    facts,
    figure,
    key,
    section,
    table,
    verdict_chip,
)
from lightning_tune.reports.markup import Markup, element, join
from lightning_tune.reports.records import Evaluation, Point
from lightning_tune.reports.throughput import throughput_facts

_COLORS = {"train": 0, "val": 1, "test": 2}


def curves(evaluation: Evaluation) -> Markup | None:
    """One small chart for each quantity that training logged."""
    groups = by_quantity(evaluation.curves)
    if not groups:
        return None
    first = ["loss", evaluation.main_metric.replace("_", " ")]
    names = sorted(groups, key=lambda name: first.index(name) if name in first else len(first))
    charts = [_chart(name, groups[name]) for name in names]
    lead = "By training step. A noisy curve is drawn faintly below its moving average."
    return section("training", "Training", element("div", charts, class_="charts"), lead=lead)


def _chart(quantity: str, group: Mapping[str, list[Point]]) -> Markup:
    lines: list[Line] = []
    entries = []
    for index, (name, points) in enumerate(group.items()):
        color = _COLORS.get(name, index + len(_COLORS) if len(group) > 1 else 0)
        noisy = is_noisy(points)
        if noisy:
            lines.insert(0, Line(name, thin(points), color, "faint"))
        lines.append(Line(name, thin(smooth(points) if noisy else points), color))
        entries.append(key(color, name, number(points[-1][1])))
    title = metric_title(quantity.replace(" ", "_"))
    return figure(title, line_chart(lines, Frame(f"{title} by step")), legend=entries)


def speed(evaluation: Evaluation) -> Markup | None:
    """How fast the training was."""
    found = throughput_facts(evaluation)
    lead = "Means over the training that made these weights, validation left out."
    return section("speed", "Speed", facts(found), lead=lead) if found else None


def data(evaluation: Evaluation) -> Markup | None:
    """The summary of the data: what splits have in common as a table, the rest as facts."""
    summary = dict(evaluation.data_summary)
    if not summary:
        return None
    found = summary.pop("prepared", None)
    single = {key: value for key, value in summary.items() if not isinstance(value, Mapping)}
    nested = {key: value for key, value in summary.items() if isinstance(value, Mapping)}
    parts = [_side_by_side(nested)] if nested else []
    if single:
        parts.append(facts(single))
    if isinstance(found, Mapping):
        parts += [element("h3", "How it was prepared"), _prepared(found)]
    return section("data", "Data", *parts)


def _prepared(found: Mapping[str, Any]) -> Markup:
    """What `prepare` found when it made the splits; its own page has the rest."""
    told = {key: value for key, value in flatten(found).items() if key not in ("verdict", "missed")}
    missed = printable(str(found.get("missed") or ""), limit=200)
    chip = verdict_chip(printable(str(found.get("verdict", "")), limit=20))
    return join(element("p", chip, f" {missed}" if missed else None), facts(told))


def _side_by_side(groups: Mapping[str, Mapping[str, Any]]) -> Markup:
    flat = {name: flatten(values) for name, values in groups.items()}
    names = list(dict.fromkeys(name for values in flat.values() for name in values))
    columns = [Column(""), *(Column(printable(name, limit=60), True) for name in flat)]
    rows = [
        [Cell(printable(name, limit=120)), *(_value(values, name) for values in flat.values())]
        for name in names
    ]
    return table(columns, rows, sortable=False, kind="tall narrow")


def _value(values: Mapping[str, Any], name: str) -> Cell:
    value = values.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return Cell(f"{value:,}")
    return Cell(setting(value) if name in values else "")


def settings(evaluation: Evaluation) -> Markup | None:
    """The run's config, folded."""
    if not evaluation.settings:
        return None
    flat = flatten(evaluation.settings)
    folded = element(
        "details", element("summary", f"All {len(flat)} settings of the run"), facts(flat)
    )
    return section("settings", "Settings", folded)


def footer(evaluation: Evaluation) -> Markup | None:
    """Where the numbers come from."""
    return element("footer", facts(evaluation.provenance)) if evaluation.provenance else None

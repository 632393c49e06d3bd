"""The dashboard's panels: each metric's curves of all runs, and the final values as bars."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_tune.reports.axes import span
from lightning_tune.reports.charts import Frame, Line, line_chart
from lightning_tune.reports.comparison import final, interval
from lightning_tune.reports.curves import finite, is_noisy, smooth, thin
from lightning_tune.reports.display import number, printable
from lightning_tune.reports.elements import Axis, Cell, Column, figure, section, table
from lightning_tune.reports.markup import Markup, element
from lightning_tune.reports.panels import GROUPS, PANELS, Panel, matching
from lightning_tune.reports.runs import Run
from lightning_tune.reports.sections.runs import mark


def panels(runs: Sequence[Run]) -> list[Markup]:
    """Return one section for each group of panels that some run has values for."""
    sections = []
    for group in GROUPS:
        mine = [panel for panel in PANELS if panel.group == group]
        drawn = [drawing for panel in mine if (drawing := _panel(panel, runs)) is not None]
        if drawn:
            body = element("div", drawn, class_="charts")
            sections.append(section(group.lower(), group, body))
    return sections


def _panel(panel: Panel, runs: Sequence[Run]) -> Markup | None:
    return _bars(panel, runs) if panel.kind == "bar" else _curves(panel, runs)


def _curves(panel: Panel, runs: Sequence[Run]) -> Markup | None:
    behind: list[Line] = []
    lines: list[Line] = []
    # The best run is drawn last, so it lies on top.
    for index, run in reversed(list(enumerate(runs))):
        names = matching(panel, run.curves)
        for name in names:
            points = finite(run.curves[name])
            if not points:
                continue
            shown = run.name if len(names) == 1 else f"{run.name} {name}"
            if is_noisy(points):
                behind.append(Line(shown, thin(points), index, "faint", index))
                points = smooth(points)
            lines.append(Line(printable(shown, limit=80), thin(points), index, run=index))
    if not lines:
        return None
    return figure(
        panel.title, line_chart([*behind, *lines], Frame(f"{panel.group}: {panel.title} by step"))
    )


def _bars(panel: Panel, runs: Sequence[Run]) -> Markup | None:
    """Final values with intervals on one axis; bars from 0 would hide what sets runs apart."""
    name = panel.metrics[0]
    values = [(index, run, final(run, name)) for index, run in enumerate(runs)]
    held = [(index, run, value) for index, run, value in values if value is not None]
    if not held:
        return None
    ends = [value for _, _, value in held]
    ends += [end for _, run, _ in held for end in interval(run, name) or ()]
    axis = Axis(*span(ends))
    columns = [Column(""), Column("", True), Column(axis.heading())]
    rows = [
        [
            Cell([mark(index), printable(run.name, limit=60)], kind="run"),
            Cell(number(value)),
            Cell(axis.strip(value, interval(run, name), color=index)),
        ]
        for index, run, value in held
    ]
    return figure(panel.title, table(columns, rows, sortable=False, kind="forest"), kind="forest")

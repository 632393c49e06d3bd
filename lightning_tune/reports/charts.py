"""Line and scatter charts as inline SVG, coloured by the page's style sheet (light and dark)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lightning_tune.reports.axes import LogScale, Scale, span, tick_text
from lightning_tune.reports.markup import Markup, element, join
from lightning_tune.reports.records import Point

PALETTE = 8
"""Colours that the style sheet has (Okabe and Ito's, made readable on both backgrounds)."""

DASHES = ("", "6 3", "2 2.5")


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Args:
        name: Shown when pointed at.
        points: (x, y), by rising x.
        color: Index into the palette; dashes continue where it ends. None: grey, in the background.
        weight: "faint" stands behind a smoothed line and is not pointed at.
        run: Whose line it is, where a page can hide runs.
    """

    name: str
    points: Sequence[Point]
    color: int | None = 0
    weight: Literal["normal", "strong", "faint"] = "normal"
    run: int | None = None


@dataclass(frozen=True)
class Frame:
    """Size and axes of a chart, in pixels at its natural size.

    Args:
        title: What the chart shows, for screen readers.
        width: Of the drawing.
        height: Of the drawing.
        x: Range of the x axis; around the data where None.
        y: Range of the y axis; around the data where None.
        x_label: Stands below the axis.
        y_label: Stands above the axis.
        logarithmic: Whether equal ratios are equally far apart on the x axis.
    """

    title: str
    width: int = 360
    height: int = 220
    x: tuple[float, float] | None = None
    y: tuple[float, float] | None = None
    x_label: str = ""
    y_label: str = ""
    logarithmic: bool = False


def line_chart(lines: Sequence[Line], frame: Frame) -> Markup:
    """Draw lines over a grid; `lines` come in drawing order, the last one on top."""
    x_scale, y_scale = scales([point for line in lines for point in line.points], frame)
    paths = [_path(line, x_scale, y_scale) for line in lines]
    return drawn(frame, x_scale, y_scale, element("g", paths, class_="lines"))


def scatter_chart(points: Sequence[Point], frame: Frame) -> Markup:
    """Draw labels (x) against predictions (y), with the diagonal on which both agree."""
    both = frame.x or span([value for point in points for value in point], count=10)
    frame = Frame(**{**frame.__dict__, "x": both, "y": both})
    x_scale, y_scale = scales(points, frame)
    ideal = element(
        "line", class_="ideal", x1=x_scale(both[0]), y1=y_scale(both[0]), x2=x_scale(both[1]),
        y2=y_scale(both[1]),
    )  # fmt: skip
    dots = [element("circle", cx=x_scale(x), cy=y_scale(y), r=2.5) for x, y in points]
    return drawn(frame, x_scale, y_scale, join(ideal, element("g", dots, class_="dots")))


def scales(points: Sequence[Point], frame: Frame) -> tuple[Scale, Scale]:
    """Return the scales of both axes, around the points where the frame does not state them."""
    steps = [x for x, _ in points] or [0.0, 1.0]
    first, last = frame.x or (min(steps), max(steps))
    if first == last:
        first, last = first - 1, last + 1
    bottom, top = frame.y or span([y for _, y in points])
    floor = frame.height - (38 if frame.x_label else 24)
    ceiling = 20 if frame.y_label else 8
    across = LogScale if frame.logarithmic else Scale
    return across(first, last, 44, frame.width - 10), Scale(bottom, top, floor, ceiling)


def drawn(frame: Frame, x_scale: Scale, y_scale: Scale, body: Markup) -> Markup:
    """Return the chart: its grid, and over it what is drawn."""
    ends = (x_scale.low, x_scale.high, y_scale.low, y_scale.high)
    box = (x_scale.start, x_scale.end, y_scale.start, y_scale.end)
    return element(
        "svg",
        _grid(frame, x_scale, y_scale),
        body,
        class_="chart",
        viewBox=f"0 0 {frame.width} {frame.height}",
        role="img",
        aria_label=frame.title,
        data_plot=" ".join(f"{value:.9g}" for value in (*ends, *box)),
        data_log="" if frame.logarithmic else None,
    )


def _grid(frame: Frame, x_scale: Scale, y_scale: Scale) -> Markup:
    rows = [
        join(
            element("line", x1=x_scale.start, x2=x_scale.end, y1=y_scale(tick), y2=y_scale(tick)),
            element(
                "text", tick_text(tick), class_="end", x=x_scale.start - 7, y=y_scale(tick) + 3.5
            ),
        )
        for tick in y_scale.ticks
    ]
    columns = [
        element("text", tick_text(tick), class_="mid", x=x_scale(tick), y=y_scale.start + 16)
        for tick in x_scale.ticks
    ]
    middle = (x_scale.start + x_scale.end) / 2
    names = [
        element("text", frame.x_label, class_="mid name", x=middle, y=frame.height - 4),
        element("text", frame.y_label, class_="name", x=4.0, y=11.0),
    ]
    return element("g", rows, columns, names, class_="grid", aria_hidden="true")


def _path(line: Line, x_scale: Scale, y_scale: Scale) -> Markup:
    dash = DASHES[(line.color or 0) // PALETTE % len(DASHES)] or None
    if len(line.points) == 1:
        x, y = line.points[0]
        return element(
            "circle", cx=x_scale(x), cy=y_scale(y), r=3.0, class_=f"dot {_classes(line)}",
            data_name=line.name, data_run=line.run,
        )  # fmt: skip
    points = " ".join(f"{x_scale(x):g},{y_scale(y):g}" for x, y in line.points)
    return element(
        "polyline",
        class_=_classes(line),
        points=points,
        stroke_dasharray=dash,
        data_name=line.name if line.weight != "faint" else None,
        data_run=line.run,
    )


def _classes(line: Line) -> str:
    return f"{line.weight} {'grey' if line.color is None else f'c{line.color % PALETTE}'}"

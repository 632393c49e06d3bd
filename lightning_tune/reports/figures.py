"""Figures for trackers and files, by matplotlib without its global state: PNG or SVG bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_tune.reports.axes import LogScale, Scale, log_span, log_steps, span, tick_text
from lightning_tune.reports.curves import by_quantity
from lightning_tune.reports.display import metric_title, number, printable
from lightning_tune.reports.dots import beside
from lightning_tune.reports.records import Evaluation, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0b6cb4", "#d1580c", "#00876a", "#b04a93", "#b98500", "#3c9bd2", "#5d5f66", "#7a7416")
"""Okabe and Ito's palette for all kinds of colour vision, made readable on white."""

_NAMES_UP_TO = 40
_DOTS = (405.0, 278.0)
"""About the size of the axes of named dots, in points: names are placed before all is laid out."""
_COUNTS_UP_TO = 20


def confusion_figure(labels: Sequence[str], table: Sequence[Sequence[int]]) -> Figure:
    """Draw the confusion matrix, each row shaded by the share of its label.

    Up to 20 labels show counts, up to 40 their names, more the pattern alone.

    Args:
        labels: Names, in the order of the table.
        table: Rows by [label][prediction].
    """
    counts = np.asarray(table, dtype=np.float64)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    size = 2.4 + min(len(labels), 22) * 0.24
    figure, axes = _figure(size, size)
    right = np.eye(len(labels), dtype=bool)
    for shown, colors in ((right, "Blues"), (~right, "Oranges")):
        # A rare mistake must still be seen, so tints start well above white.
        tint = np.ma.masked_where(~shown | (counts == 0), 0.22 + 0.68 * shares)
        axes.imshow(tint, cmap=colors, vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="label", facecolor="#f5f5f1")
    axes.spines[:].set_visible(False)
    if len(labels) > _NAMES_UP_TO:
        axes.set(xticks=[], yticks=[])
        return figure
    names = [_plain(label) for label in labels]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    if len(labels) <= _COUNTS_UP_TO:
        _write_counts(axes, counts, shares)
    return figure


def _write_counts(axes: Axes, counts: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if shares[row, column] > 0.45 else "#1b1d22"
            shown = f"{count:.0f}"
            axes.text(column, row, shown, color=color, fontsize=8, ha="center", va="center")


def curves_figure(curves: Mapping[str, list[Point]]) -> Figure:
    """Draw one chart for each quantity that training logged, by step."""
    groups = by_quantity(curves)
    columns = min(3, max(1, len(groups)))
    rows = max(1, -(-len(groups) // columns))
    figure, grid = _grid(columns, rows)
    for axes, (quantity, group) in zip(grid, groups.items(), strict=False):
        for index, (name, points) in enumerate(group.items()):
            color = COLORS[index % len(COLORS)]
            axes.plot(*zip(*points, strict=True), color=color, linewidth=1.3, label=_plain(name))
        axes.set(xlabel="step")
        axes.set_title(metric_title(quantity.replace(" ", "_")), loc="left", fontweight="bold")
        axes.legend(frameon=False, fontsize=8)
    for axes in grid[len(groups) :]:
        axes.set_visible(False)
    return figure


def rate_figure(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    chosen: float | None,
) -> Figure:
    """Draw the losses of a learning-rate range test over the rates, and the one that was chosen."""
    figure, axes = _figure(6.4, 4.0)
    axes.plot(rates, losses, color="#cfcfc8", linewidth=0.9, label="each step")
    axes.plot(rates, smoothed, color=COLORS[0], linewidth=2.0, label="smoothed")
    if chosen is not None:
        axes.axvline(chosen, color=COLORS[1], linestyle="--", linewidth=1.3, label=f"{chosen:g}")
    axes.set(xlabel="learning rate", ylabel="loss", xscale="log")
    axes.legend(frameon=False, fontsize=8)
    return figure


def precision_recall_figure(
    curves: Mapping[str, list[Point]], areas: Mapping[str, float] | None = None
) -> Figure:
    """Draw the pooled curve strong, the labels with the smallest areas in colour, others in grey.

    Args:
        curves: Points (recall, precision) by label, and of all as "micro".
        areas: Average precision by label.
    """
    figure, axes = _figure(6.4, 4.4)
    areas = areas or {}
    names = sorted(
        (name for name in curves if name != "micro"), key=lambda name: areas.get(name, 0)
    )
    for name in names[3:]:
        axes.plot(*zip(*curves[name], strict=True), color="#cfcfc8", linewidth=0.9)
    for index, name in enumerate(names[:3]):
        label = f"{_plain(name)} {number(areas[name])}" if name in areas else _plain(name)
        axes.plot(*zip(*curves[name], strict=True), color=COLORS[index + 1], label=label)
    if curves.get("micro"):
        pooled = zip(*curves["micro"], strict=True)
        axes.plot(*pooled, color=COLORS[0], linewidth=2.4, label="all labels pooled")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def scatter_figure(points: Sequence[Point]) -> Figure:
    """Draw predictions against labels, with the line on which both agree."""
    figure, axes = _figure(5.2, 4.8)
    if points:
        labels, predictions = zip(*points, strict=True)
        axes.scatter(labels, predictions, s=12, color=COLORS[0], alpha=0.4, linewidths=0)
        axes.axline(points[0][:1] * 2, slope=1, color="#8a8e98", linestyle="--", linewidth=1)
    axes.set(xlabel="label", ylabel="prediction")
    return figure


def dots_figure(
    points: Mapping[str, Point],
    looks: Mapping[str, tuple[int, bool]],
    *,
    x_label: str,
    y_label: str,
    y: Point | None = None,
) -> Figure:
    """Draw points with their names beside them, x by ratios.

    Args:
        points: (x, y) by name.
        looks: Index of the colour by name, and whether it is drawn larger.
        x_label: Stands below the axis.
        y_label: Stands beside the axis.
        y: Range of the y axis; around the points where None.
    """
    figure, axes = _figure(6.4, 4.4)
    bounds = log_span(x for x, _ in points.values())
    low, high = y or span(value for _, value in points.values())
    across, down = LogScale(*bounds, 0, _DOTS[0]), Scale(low, high, _DOTS[1], 0)
    anchors = [(across(x), down(value)) for x, value in points.values()]
    widths = [4.3 * len(_plain(name)) for name in points]
    places = beside(anchors, widths, (0, 0, *_DOTS))
    for (name, point), anchor, place in zip(points.items(), anchors, places, strict=True):
        color, strong = COLORS[looks[name][0] % len(COLORS)], looks[name][1]
        axes.scatter(*point, s=70 if strong else 30, color=color)
        away = (place[0] - anchor[0], anchor[1] - place[1])
        axes.annotate(
            _plain(name),
            point,
            away,
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=color,
            arrowprops={"arrowstyle": "-", "color": "#cfcfc8"} if abs(away[1]) > 10 else None,
            fontweight="bold" if strong else "normal",
        )
    axes.set(xlabel=x_label, ylabel=y_label, xscale="log", xlim=bounds, ylim=(low, high))
    axes.set_xticks(log_steps(*bounds), [tick_text(step) for step in log_steps(*bounds)])
    axes.minorticks_off()
    return figure


def reliability_figure(curves: Mapping[str, Sequence[Point]]) -> Figure:
    """Draw the share of right answers by confidence, with the line on which both agree."""
    figure, axes = _figure(5.2, 4.8)
    axes.plot((0, 1), (0, 1), color="#8a8e98", linestyle="--", linewidth=1)
    for index, (name, points) in enumerate(curves.items()):
        color = COLORS[index % len(COLORS)]
        axes.plot(*zip(*points, strict=True), color=color, marker="o", label=_plain(name))
    axes.set(xlabel="confidence", ylabel="share right", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def figures_of(evaluation: Evaluation) -> dict[str, Figure]:
    """Return the figures that a record has data for, under the names that trackers show.

    Args:
        evaluation: The record; no figure shows a text of the data.
    """
    found = {}
    if evaluation.confusion:
        found["confusion_matrix"] = confusion_figure(evaluation.labels, evaluation.confusion)
    if evaluation.precision_recall:
        areas = {row.name: row.average_precision or 0.0 for row in evaluation.per_class}
        found["precision_recall"] = precision_recall_figure(evaluation.precision_recall, areas)
    if evaluation.scatter:
        found["predictions"] = scatter_figure(evaluation.scatter)
    return found


def to_bytes(figure: Figure, format: Literal["png", "svg"] = "png") -> bytes:
    """Return a figure as the content of a file; the same figure gives the same bytes."""
    import matplotlib

    buffer = io.BytesIO()
    metadata = {"Date": None} if format == "svg" else None
    with matplotlib.rc_context({"svg.hashsalt": "lightning-tune"}), warnings.catch_warnings():
        # A label in a script that the font lacks shows boxes; the report pages show it right.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(buffer, format=format, dpi=160, metadata=metadata)
    return buffer.getvalue()


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure, (axes,) = _grid(1, 1, width, height)
    return figure, axes


def _grid(
    columns: int, rows: int, width: float = 4.2, height: float = 3.0
) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = [figure.add_subplot(rows, columns, index + 1) for index in range(rows * columns)]
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[:].set_color("#b8b8b0")
        axes.tick_params(labelsize=8, color="#b8b8b0")
        axes.xaxis.label.set_fontsize(9)
        axes.yaxis.label.set_fontsize(9)
        axes.title.set_fontsize(10)
    return figure, grid


def _plain(name: str) -> str:
    """A name without mathematics: matplotlib would read what stands between dollar signs."""
    shown = printable(name, limit=200)
    return (shown if len(shown) <= 28 else f"{shown[:27]}…").replace("$", r"\$")

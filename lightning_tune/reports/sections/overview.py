"""How good the model is, at a glance: the deciding metric, the others with intervals, the notes."""

from __future__ import annotations

from itertools import chain
from math import ceil, floor

from lightning_tune.reports.display import (
    TASK_TITLES,
    counted,
    label_text,
    metric_title,
    number,
    percent,
    printable,
)
from lightning_tune.reports.elements import Axis, Cell, Column, section, table
from lightning_tune.reports.markup import Child, Markup, element
from lightning_tune.reports.records import Evaluation

_UNBOUNDED = frozenset({"loss", "mae", "mse", "rmse"})
SPLIT_TITLES = {"test": "Test", "val": "Validation", "train": "Training"}


def header(evaluation: Evaluation, links: dict[str, str]) -> Markup:
    """Title, size and kind of the task, links to the sections, the figures that matter most."""
    split = SPLIT_TITLES.get(evaluation.split, printable(evaluation.split))
    about = [
        TASK_TITLES[evaluation.task],
        f"{counted(evaluation.rows, 'row')} of the {evaluation.split} split",
    ]
    if evaluation.labels:
        about.insert(1, f"{len(evaluation.labels)} labels")
    anchors = [element("a", title, href=f"#{name}") for name, title in links.items()]
    return element(
        "header",
        element("p", f"{split} report", class_="eyebrow"),
        element("h1", printable(evaluation.title, limit=120) or "Evaluation"),
        element("p", " · ".join(about), class_="about"),
        element("div", _hero(evaluation), class_="hero"),
        notes(evaluation.notes),
        element("nav", anchors),
    )


def notes(texts: list[str]) -> Markup | None:
    """What a reader has to know before trusting the numbers."""
    if not texts:
        return None
    entries = [element("li", printable(text, limit=2000)) for text in texts]
    return element("ul", entries, class_="notes")


def _hero(evaluation: Evaluation) -> list[Markup]:
    name = evaluation.main_metric
    interval = evaluation.intervals.get(name)
    below = f"95 % interval {number(interval[0])} to {number(interval[1])}" if interval else ""
    figures = [stat(metric_title(name), number(evaluation.metrics.get(name)), below, "main")]
    if evaluation.confusion:
        right = sum(row[index] for index, row in enumerate(evaluation.confusion))
        wrong = evaluation.rows - right
        share = percent(wrong / evaluation.rows)
        figures.append(stat("Rows wrong", f"{wrong:,}", f"{share} of {evaluation.rows:,}"))
    held = [row for row in evaluation.per_class if row.support]
    if held:
        weakest = min(held, key=lambda row: row.f1)
        below = f"{label_text(weakest.name)}, {counted(weakest.support, 'row')}"
        figures.append(stat("Weakest label, F1", number(weakest.f1), below))
    if "mae" in evaluation.metrics and name != "mae":
        below = "in the label's own unit"
        figures.append(stat(metric_title("mae"), number(evaluation.metrics["mae"]), below))
    return figures


def stat(title: str, value: str, below: str, kind: str = "") -> Markup:
    """A figure with its name above and what it is compared with below."""
    return element(
        "div",
        element("span", title, class_="name"),
        element("span", value, class_="value"),
        element("span", below, class_="below"),
        class_=f"stat {kind}".strip(),
    )


def metrics(evaluation: Evaluation) -> Markup:
    """Every metric with its interval, as numbers and on one axis."""
    names = sorted(evaluation.metrics, key=lambda name: name != evaluation.main_metric)
    axis = _axis(evaluation)
    columns = [
        Column("Metric"),
        Column("Value", True),
        Column("95 % interval", True),
        Column(axis.heading() if axis else None),
    ]
    rows = [_metric(evaluation, name, axis) for name in names]
    lead = "Intervals: bootstrap over the rows." if evaluation.intervals else None
    return section(
        "metrics", "Metrics", table(columns, rows, sortable=False, kind="metrics"), lead=lead
    )


def _axis(evaluation: Evaluation) -> Axis | None:
    """An axis around the metrics that live between -1 and 1, at least a fifth wide."""
    bounded = [name for name in evaluation.metrics if name not in _UNBOUNDED]
    ends = [evaluation.metrics[name] for name in bounded]
    ends += chain.from_iterable(evaluation.intervals.get(name, ()) for name in bounded)
    inside = [end for end in ends if abs(end) <= 1]
    if not inside:
        return None
    low, high = floor(10 * min(inside)) / 10, ceil(10 * max(inside)) / 10
    return Axis(max(-1.0, min(low, high - 0.2)), min(1.0, max(high, low + 0.2)))


def _metric(evaluation: Evaluation, name: str, axis: Axis | None) -> list[Cell]:
    value, interval = evaluation.metrics[name], evaluation.intervals.get(name)
    title: Child = printable(metric_title(name, evaluation.task), limit=80)
    if name == evaluation.main_metric:
        title = element("strong", title)
    return [
        Cell(title),
        Cell(number(value), kind="strong"),
        Cell(f"{number(interval[0])} to {number(interval[1])}" if interval else ""),
        Cell(axis.strip(value, interval) if axis and name not in _UNBOUNDED else None),
    ]

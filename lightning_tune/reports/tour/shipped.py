"""How small and fast the bundle is against PyTorch, and what it says of new messages."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_tune.reports.axes import span
from lightning_tune.reports.charts import Frame, Line, line_chart
from lightning_tune.reports.display import label_text, metric_title, number, percent, printable
from lightning_tune.reports.elements import Cell, Column, bar, figure, key, section, table
from lightning_tune.reports.markup import Markup, breakable, element
from lightning_tune.reports.points import change_text
from lightning_tune.reports.records import Point
from lightning_tune.reports.tour.record import REFERENCE, Candidate, Exported, NewAnswer

_UNSURE = 0.5


def bundle(exported: Exported) -> Markup:
    """Every form of the model that was measured, and what the one that was taken costs."""
    metric = metric_title(exported.metric)
    shapes = exported.shapes
    slowest = {
        shape: max(one.milliseconds.get(shape, 0.0) for one in exported.candidates)
        for shape in shapes
    }
    columns = [
        Column("Form of the model"),
        Column("MB", True, "The model's file, where the form has one of its own"),
        *(Column(f"{shape}, ms", True, "Median; texts x tokens") for shape in shapes),
        Column("Texts/s", True, "Validation texts in batches of like length"),
        Column(f"{metric}, val", True),
        Column("Points lost", True),
    ]
    rows = [_row(one, exported.winner, slowest) for one in exported.candidates]
    lead = (
        f"Timed in turn on this machine. {exported.winner} was taken: the fastest that keeps the "
        "budgets of the command on validation; among those that are as fast within 5 %, the one "
        "that changes the fewest answers."
    )
    body = [table(columns, rows), _cost(exported), _frontier(exported)]
    return section("bundle", "How small and fast", *body, lead=lead)


def _row(one: Candidate, winner: str, slowest: dict[str, float]) -> list[Cell]:
    name = element("strong", one.name) if one.name == winner else element("span", one.name)
    mark = element("span", "taken", class_="chip hit") if one.name == winner else None
    return [
        Cell([name, " ", mark], one.name),
        Cell("" if one.megabytes is None else f"{one.megabytes:.1f}", one.megabytes),
        *(_time(one.milliseconds.get(shape), longest) for shape, longest in slowest.items()),
        Cell("" if one.texts_per_second is None else f"{one.texts_per_second:,.0f}",
             one.texts_per_second),
        Cell("" if one.value is None else number(one.value), one.value),
        Cell("" if one.lost is None else f"{one.lost:.2f}", one.lost),
    ]  # fmt: skip


def _time(milliseconds: float | None, longest: float) -> Cell:
    if milliseconds is None:
        return Cell("")
    return Cell(bar(milliseconds / (longest or 1.0), f"{milliseconds:,.2f}"), milliseconds)


def _cost(exported: Exported) -> Markup:
    """Say what the bundle loses on the test split, which was read once, for it."""
    before, after = (_with_interval(*one) for one in (exported.before, exported.after))
    said = (
        f"On {exported.rows:,} test rows: {metric_title(exported.metric)} {before} in PyTorch, "
        f"{after} in the bundle; {change_text(exported.lost, exported.lost_interval)}, "
        f"{round(exported.flipped * exported.rows):,} answers changed."
    )
    return element("p", said, class_="said")


def _with_interval(value: float, ends: Point | None) -> str:
    return number(value) + ("" if ends is None else f" ({number(ends[0])} to {number(ends[1])})")


def _frontier(exported: Exported) -> Markup | None:
    """Each form as a dot: time of one text against the main metric on validation."""
    shape = exported.shapes[0]
    dots = {
        one.name: (one.milliseconds[shape], one.value)
        for one in exported.candidates
        if shape in one.milliseconds and one.value is not None
    }
    if not dots:
        return None
    metric = metric_title(exported.metric)
    frame = Frame(
        f"{metric} on validation against time",
        720,
        320,
        span([0.0, *(point[0] for point in dots.values())]),
        span([point[1] for point in dots.values()]),
        f"ms, {shape}",
        f"{metric}, val",
    )
    lines = [Line(name, [point], color) for color, (name, point) in enumerate(dots.items())]
    legend = [key(color, name, f"{point[0]:.2f} ms") for color, (name, point)
              in enumerate(dots.items())]  # fmt: skip
    drawn = figure("", line_chart(lines, frame), legend=legend, kind="large")
    title = element("h3", "Further left is faster, higher is better")
    return element("div", title, drawn, class_="block")


def speed_up(exported: Exported) -> str:
    """Say how many times as fast as PyTorch the bundle is at one text; nothing if not timed."""
    times = exported.times(exported.shapes[0])
    return "" if times is None else f"{times:.1f} times as fast as {REFERENCE}"


def answered(answers: Sequence[NewAnswer]) -> Markup | None:
    """New messages and what the bundle says of them."""
    if not answers:
        return None
    columns = [Column("Message"), Column("Label"), Column("Probability", True)]
    rows = [
        [
            Cell(element("span", printable(one.text, limit=400), dir="auto")),
            Cell(
                breakable(label_text(one.label)), kind="" if one.probability < _UNSURE else "strong"
            ),
            Cell(bar(one.probability, percent(one.probability)), one.probability),
        ]
        for one in answers
    ]
    lead = (
        "Answered by the bundle, without PyTorch. The model has a label for everything, for the "
        "last two messages as well, which fit none: see how sure it is of them all the same."
    )
    return section("answers", "New messages", table(columns, rows, sortable=False), lead=lead)

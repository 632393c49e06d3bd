"""Named dots over two axes as inline SVG: each name stands beside its dot, none over another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightning_tune.reports.axes import Scale
from lightning_tune.reports.charts import PALETTE, Frame, drawn, scales
from lightning_tune.reports.display import printable
from lightning_tune.reports.markup import Markup, element, join
from lightning_tune.reports.records import Point

Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""

_LETTER = 5.9  # pixels of a letter at the size that the style sheet gives, on the wide side
_LINE = 13.0
_AWAY = 8.0


@dataclass(frozen=True)
class Dot:
    """A dot of a chart.

    Args:
        name: Stands beside it.
        point: (x, y).
        color: Index into the palette.
        strong: Whether it is drawn larger, its name in bold.
    """

    name: str
    point: Point
    color: int = 0
    strong: bool = False


def dots_chart(dots: Sequence[Dot], frame: Frame, *, limit: float | None = None) -> Markup:
    """Draw dots with their names.

    Args:
        dots: What is drawn; at most some twenty, so that the names find room.
        frame: Size and axes.
        limit: Where a dashed line is drawn across; None: nowhere.
    """
    x_scale, y_scale = scales([dot.point for dot in dots], frame)
    anchors = [(x_scale(dot.point[0]), y_scale(dot.point[1])) for dot in dots]
    widths = [_LETTER * len(_name(dot)) for dot in dots]
    area = (x_scale.start, y_scale.end, x_scale.end, y_scale.start)
    places = beside(anchors, widths, area)
    named = [
        join(_leader(anchor, place, width), _text(dot, place))
        for dot, anchor, place, width in zip(dots, anchors, places, widths, strict=True)
    ]
    circles = [_circle(dot, anchor) for dot, anchor in zip(dots, anchors, strict=True)]
    body = join(
        _line(limit, x_scale, y_scale),
        element("g", named, class_="named"),
        element("g", circles, class_="lines"),
    )
    return drawn(frame, x_scale, y_scale, body)


def beside(anchors: Sequence[Point], widths: Sequence[float], area: Box) -> list[Point]:
    """Return where each name begins, its left end and its middle: right of its dot, where it fits.

    Else left of it, or some lines higher or lower: no name lies over another, or over a dot.

    Args:
        anchors: The dots.
        widths: Of their names.
        area: Where names may stand.

    >>> beside([(50.0, 50.0), (50.0, 51.0)], [40.0, 40.0], (0.0, 0.0, 200.0, 100.0))
    [(58.0, 50.0), (2.0, 51.0)]
    """
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in anchors]
    found = []
    for (x, y), width in zip(anchors, widths, strict=True):
        steps = [sign * _LINE * step / 2 for step in range(40) for sign in (-1, 1)]
        tried = [(left, y + step) for step in steps for left in (x + _AWAY, x - _AWAY - width)]
        free = (place for place in tried if _fits(_box(place, width), area, taken))
        place = next(free, tried[0])
        taken.append(_box(place, width))
        found.append(place)
    return found


def _box(place: Point, width: float) -> Box:
    left, middle = place
    return left, middle - _LINE / 2, left + width, middle + _LINE / 2


def _fits(box: Box, area: Box, taken: Sequence[Box]) -> bool:
    left, top, right, bottom = box
    inside = area[0] <= left and area[1] <= top and right <= area[2] and bottom <= area[3]
    return inside and not any(
        left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
        for other in taken
    )


def _name(dot: Dot) -> str:
    return printable(dot.name, limit=40)


def _text(dot: Dot, place: Point) -> Markup:
    kind = f"c{dot.color % PALETTE}{' strong' if dot.strong else ''}"
    return element(
        "text", _name(dot), x=round(place[0], 1), y=round(place[1] + 3.8, 1), class_=kind
    )


def _leader(anchor: Point, place: Point, width: float) -> Markup | None:
    """A thin line from a dot to a name that does not stand at its height."""
    if abs(anchor[1] - place[1]) < _LINE:
        return None
    end = place[0] - 2 if place[0] > anchor[0] else place[0] + width + 2
    return element("line", x1=anchor[0], y1=anchor[1], x2=round(end, 1), y2=round(place[1], 1))


def _circle(dot: Dot, anchor: Point) -> Markup:
    return element(
        "circle", cx=anchor[0], cy=anchor[1], r=5.0 if dot.strong else 3.5,
        class_=f"dot normal c{dot.color % PALETTE}", data_name=_name(dot),
    )  # fmt: skip


def _line(limit: float | None, x_scale: Scale, y_scale: Scale) -> Markup | None:
    if limit is None:
        return None
    height = y_scale(limit)
    return element("line", x1=x_scale.start, x2=x_scale.end, y1=height, y2=height, class_="limit")

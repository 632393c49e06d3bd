"""Histograms as inline SVG: shares of rows by bin, the first series filled, others as steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightning_tune.reports.axes import Scale, span, tick_text
from lightning_tune.reports.markup import Markup, element, join

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 8, 34
"""Room around the bins, in pixels."""

_APART = 36.0
"""Pixels between two numbers below the axis, at least."""

_EVERY = (1, 2, 5, 10, 20, 50)


@dataclass(frozen=True)
class Series:
    """The rows of one group by bin.

    Args:
        name: Shown when pointed at.
        rows: Rows in each bin.
        color: Index into the palette; None: filled in grey, behind the others.
    """

    name: str
    rows: Sequence[int]
    color: int | None = 0

    @property
    def shares(self) -> list[float]:
        """Percent of the rows in each bin; 0 without rows."""
        total = sum(self.rows)
        return [100 * rows / total if total else 0.0 for rows in self.rows]


def histogram(
    edges: Sequence[float],
    series: Sequence[Series],
    *,
    title: str,
    unit: str,
    size: tuple[int, int] = (360, 210),
) -> Markup:
    """Draw how values are spread; each bin says what it holds when pointed at.

    Args:
        edges: Ends of the bins, one more than bins; each is drawn as wide as the others.
        series: What is drawn, those in grey first.
        title: What it shows, for screen readers.
        unit: What is counted, such as "words".
        size: Width and height in pixels, at its natural size.
    """
    width, height = size
    bins = len(edges) - 1
    shares = [one.shares for one in series]
    across = Scale(0, bins, _LEFT, width - _RIGHT)
    top = span([0.0, *(value for each in shares for value in each)])[1]
    up = Scale(0, top, height - _BOTTOM, _TOP)
    shapes = [
        _filled(each, across, up) if one.color is None else _steps(one, each, across, up)
        for one, each in zip(series, shares, strict=True)
    ]
    return element(
        "svg",
        _grid(edges, across, up, unit),
        shapes,
        [_over(_told(edges, series, shares, at, unit), at, across, up) for at in range(bins)],
        class_="histogram",
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=title,
    )


def _filled(shares: Sequence[float], across: Scale, up: Scale) -> Markup:
    bars = [
        element(
            "rect",
            class_="bin",
            x=across(at) + 0.5,
            y=up(share),
            width=across(at + 1) - across(at) - 1,
            height=up(0) - up(share),
        )
        for at, share in enumerate(shares)
        if share
    ]
    return element("g", bars)


def _steps(one: Series, shares: Sequence[float], across: Scale, up: Scale) -> Markup:
    points = [(across(0), up(0))]
    for at, share in enumerate(shares):
        points += [(across(at), up(share)), (across(at + 1), up(share))]
    points.append((across(len(shares)), up(0)))
    shown = " ".join(f"{x:g},{y:g}" for x, y in points)
    return element("polyline", class_=f"normal c{(one.color or 0) % 8}", points=shown)


def _grid(edges: Sequence[float], across: Scale, up: Scale, unit: str) -> Markup:
    rows = [
        join(
            element("line", x1=across.start, x2=across.end, y1=up(tick), y2=up(tick)),
            element(
                "text", f"{tick_text(tick)} %", class_="end", x=across.start - 6, y=up(tick) + 3.5
            ),
        )
        for tick in up.ticks
    ]
    # Where the last bin is a wide one, its end stands out of line with the others.
    regular = edges if edges[-1] - edges[-2] <= 1.01 * (edges[1] - edges[0]) else edges[:-1]
    columns = [
        element("text", tick_text(edges[at]), class_="mid", x=across(at), y=up.start + 16)
        for at in labelled(regular, across)
    ]
    name = element(
        "text", unit, class_="mid name", x=(across.start + across.end) / 2, y=up.start + 31
    )
    return element("g", rows, columns, name, class_="grid", aria_hidden="true")


def labelled(edges: Sequence[float], across: Scale) -> list[int]:
    """Return which edges get a number: as many as stand apart, at equal distances.

    >>> labelled([0, 5, 10, 15, 20, 25], Scale(0, 5, 0, 150))
    [0, 2, 4]
    """
    width = across(1) - across(0)
    every = next((few for few in _EVERY if few * width >= _APART), len(edges))
    return list(range(0, len(edges), every))


def _told(
    edges: Sequence[float],
    series: Sequence[Series],
    shares: Sequence[Sequence[float]],
    at: int,
    unit: str,
) -> str:
    told = ", ".join(
        f"{one.name} {each[at]:.3g} % ({one.rows[at]:,})"
        for one, each in zip(series, shares, strict=True)
    )
    return f"{_range(edges, at)} {unit}: {told}"


def _over(told: str, at: int, across: Scale, up: Scale) -> Markup:
    """An invisible bar over a bin, which tells what the bin holds."""
    return element(
        "rect",
        class_="over",
        x=across(at),
        y=up.end,
        width=across(at + 1) - across(at),
        height=up.start - up.end,
        data_tip=told,
    )


def _range(edges: Sequence[float], at: int) -> str:
    """Name a bin; bins of whole numbers end before the next one begins."""
    low, high = edges[at], edges[at + 1]
    if not all(isinstance(edge, int) for edge in edges):
        return f"{low:.4g} to {high:.4g}"
    return f"{low:,}" if high - low == 1 else f"{low:,} to {high - 1:,}"

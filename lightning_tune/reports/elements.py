"""The parts that every page is made of: sections, tables, bars, lists of facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_tune.reports.axes import tick_text
from lightning_tune.reports.display import printable, setting
from lightning_tune.reports.markup import Child, Markup, element


@dataclass(frozen=True)
class Column:
    """A column of a table: numbers stand to the right, in figures of equal width."""

    title: Child
    numeric: bool = False
    note: str | None = None


@dataclass(frozen=True)
class Cell:
    """A cell: what it shows, and the value that it sorts by."""

    shown: Child
    value: float | str | None = None
    kind: str = ""


def section(name: str, title: str, *body: Child, lead: Child = None) -> Markup:
    """A section of a page with an anchor, a heading and a sentence below it."""
    sentence = element("p", lead, class_="lead") if lead else None
    return element("section", element("h2", title), sentence, *body, id=name)


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    sortable: bool = True,
    kind: str = "",
) -> Markup:
    """A table inside a box that scrolls sideways by itself, so that the page never does."""
    headings = [
        element("th", column.title, class_="num" if column.numeric else None, title=column.note)
        for column in columns
    ]
    lines = [
        element("tr", [_cell(cell, column) for cell, column in zip(row, columns, strict=True)])
        for row in rows
    ]
    content = element(
        "table",
        element("thead", element("tr", headings)),
        element("tbody", lines),
        class_="sortable" if sortable else None,
    )
    return element("div", content, class_=f"scroll {kind}".strip())


def _cell(cell: Cell, column: Column) -> Markup:
    classes = " ".join(filter(None, ("num" if column.numeric else "", cell.kind)))
    return element("td", cell.shown, class_=classes or None, data_value=cell.value)


def bar(share: float, shown: str) -> Markup:
    """A number with a bar of its size in [0, 1] beside it."""
    fill = element("i", style=f"width:{100 * min(1.0, max(0.0, share)):.1f}%")
    return element("span", element("span", fill, class_="track"), shown, class_="bar")


@dataclass(frozen=True)
class Part:
    """A part of a bar: its size in [0, 1] of the whole, its colour (None: grey) and what it is."""

    share: float
    color: int | None
    tip: str


def stacked(parts: Sequence[Part]) -> Markup:
    """A bar of several parts, side by side, that fills its column."""
    pieces = [
        element(
            "i",
            class_="grey" if part.color is None else f"c{part.color % 8}",
            style=f"width:{100 * min(1.0, part.share):.2f}%",
            data_tip=part.tip,
        )
        for part in parts
        if part.share > 0
    ]
    return element("span", pieces, class_="stacked")


def verdict_chip(verdict: str) -> Markup:
    """PASS, WARN or FAIL, in its colour."""
    return element("span", verdict, class_=f"chip {verdict_kind(verdict)}")


def verdict_kind(verdict: str) -> str:
    """Return the class of the style sheet that colours a verdict.

    >>> verdict_kind("WARN"), verdict_kind("else")
    ('warn', 'both')
    """
    return verdict.lower() if verdict in ("PASS", "WARN", "FAIL") else "both"


@dataclass(frozen=True)
class Axis:
    """The axis that several values share, in a column of a table."""

    low: float
    high: float

    def heading(self) -> Markup:
        """The ends of the axis, at both edges of the column."""
        ends = [element("span", tick_text(end)) for end in (self.low, self.high)]
        return element("span", ends, class_="ends")

    def strip(
        self, value: float, interval: tuple[float, float] | None, *, color: int | None = None
    ) -> Markup:
        """A value as a dot and its interval as a band; nothing where they do not fit."""
        low, high = interval or (value, value)
        slack = 1e-6 * (self.high - self.low)  # the axis is rounded, the values are not
        if min(low, value) < self.low - slack or max(high, value) > self.high + slack:
            return Markup("")
        left, width = self._share(low), self._share(high) - self._share(low)
        band = element("i", style=f"left:{left:.2f}%;width:{width:.2f}%")
        dot = element("b", style=f"left:{self._share(value):.2f}%")
        kind = "strip" if color is None else f"strip c{color % 8}"
        return element("span", band, dot, class_=kind)

    def _share(self, value: float) -> float:
        return 100 * (value - self.low) / (self.high - self.low)


def facts(values: Mapping[str, Any]) -> Markup:
    """Names and values in columns that fill the page."""
    entries = [
        element("div", element("dt", printable(str(key), limit=120)), element("dd", setting(value)))
        for key, value in values.items()
    ]
    return element("dl", entries, class_="facts")


def figure(title: str, drawing: Markup, *, legend: Child = None, kind: str = "") -> Markup:
    """A drawing below its title and legend."""
    caption = element("figcaption", element("span", title, class_="title"), legend)
    return element("figure", caption, drawing, class_=kind or None)


def key(color: int | None, name: str, value: str = "") -> Markup:
    """An entry of a legend."""
    mark = element("i", class_="grey" if color is None else f"c{color % 8}")
    return element("span", mark, printable(name, limit=60), " ", element("b", value), class_="key")

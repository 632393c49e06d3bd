"""The confusion matrix as inline SVG: right answers in blue, mistakes in orange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightning_tune.reports.display import percent, printable
from lightning_tune.reports.markup import Markup, element

LABELS_UP_TO = 40
"""More labels than this are not written at the sides: they would not be readable."""

_COUNTS_UP_TO = 20
_NAME_LENGTH = 22


@dataclass(frozen=True)
class _Layout:
    cell: float
    left: float
    top: float

    @classmethod
    def of(cls, labels: Sequence[str]) -> _Layout:
        largest = 68.0 if len(labels) < 5 else 52.0 if len(labels) < 8 else 38.0
        cell = max(6.5, min(largest, 560 / len(labels)))
        if len(labels) > LABELS_UP_TO:
            return cls(cell, 22, 22)
        longest = max(len(_short(label)) for label in labels)
        return cls(cell, 24 + 6.3 * longest, 26 + 4.6 * longest)


def confusion_svg(labels: Sequence[str], table: Sequence[Sequence[int]]) -> Markup:
    """Draw rows by label and columns by prediction; every cell says what it holds when pointed at.

    Args:
        labels: Names, in the order of the table.
        table: Rows by [label][prediction].
    """
    layout = _Layout.of(labels)
    side = layout.cell * len(labels)
    # Slanted column names reach over the right edge.
    width, height = layout.left + side + layout.top * 0.75, layout.top + side + 4
    ground = element(
        "rect", class_="ground", x=layout.left, y=layout.top, width=side, height=side, rx=3
    )
    return element(
        "svg",
        ground,
        [_row(labels, table, index, layout) for index in range(len(labels))],
        _names(labels, layout) if len(labels) <= LABELS_UP_TO else None,
        _directions(layout, side),
        class_="heatmap",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        style=f"max-width:{width:.0f}px",
        role="img",
        aria_label="Confusion matrix: rows are labels, columns are predictions",
    )


def _row(
    labels: Sequence[str], table: Sequence[Sequence[int]], index: int, layout: _Layout
) -> list[Markup]:
    total = sum(table[index])
    cells = []
    for other, rows in enumerate(table[index]):
        if rows:
            tip = f"{_short(labels[index])} → {_short(labels[other])}: {rows:,} of {total:,} rows"
            cells.append(_cell(layout, index, other, rows, rows / total, tip))
    return cells


def _cell(layout: _Layout, index: int, other: int, rows: int, share: float, tip: str) -> Markup:
    x, y = layout.left + other * layout.cell, layout.top + index * layout.cell
    # A rare mistake must still be seen, the more so where cells are small.
    gap, faintest = (1.0, 0.16) if layout.cell > 12 else (0.5, 0.4)
    square = element(
        "rect",
        class_="hit" if index == other else "miss",
        x=x + gap / 2,
        y=y + gap / 2,
        width=layout.cell - gap,
        height=layout.cell - gap,
        rx=2.5 if layout.cell > 12 else 1.0,
        fill_opacity=round(faintest + (1 - faintest) * share, 3),
        data_tip=f"{tip} ({percent(share)})",
    )
    if layout.cell < 560 / _COUNTS_UP_TO:
        return square
    dark = " on" if share > 0.45 else ""
    text = element(
        "text",
        str(rows),
        class_=f"mid count{dark}",
        x=x + layout.cell / 2,
        y=y + layout.cell / 2 + 4,
    )
    return element("g", square, text)


def _names(labels: Sequence[str], layout: _Layout) -> list[Markup]:
    names = []
    for index, label in enumerate(labels):
        middle = (index + 0.5) * layout.cell
        x, y = layout.left + middle + 3, layout.top - 8
        names += [
            element(
                "text", _short(label), class_="end", x=layout.left - 8, y=layout.top + middle + 4
            ),
            element("text", _short(label), x=x, y=y, transform=f"rotate(-45 {x:.1f} {y:.1f})"),
        ]
    return names


def _directions(layout: _Layout, side: float) -> list[Markup]:
    middle = layout.top + side / 2
    return [
        element("text", "predicted", class_="name", x=layout.left, y=11.0),
        element(
            "text", "label", class_="mid name", x=11.0, y=middle,
            transform=f"rotate(-90 11 {middle:.1f})",
        ),
    ]  # fmt: skip


def _short(label: str) -> str:
    shown = printable(label, limit=200)
    return shown if len(shown) <= _NAME_LENGTH else f"{shown[: _NAME_LENGTH - 1]}…"

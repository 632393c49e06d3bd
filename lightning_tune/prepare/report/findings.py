"""What was wrong with the rows: duplicates, texts in two splits, what tells a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning_tune.prepare.report.flow import GONE, bar_of, ranked
from lightning_tune.prepare.report.record import PrepareReport
from lightning_tune.prepare.report.words import DUPLICATES, KINDS, SPLITS, Words, plain
from lightning_tune.reports.elements import Cell, Column, section, table
from lightning_tune.reports.markup import Markup, element


def duplicates(report: PrepareReport) -> Markup:
    """Texts that stand several times in train, by how they are alike."""
    of = max(1, report.rows["for_train"])
    known = [name for name in DUPLICATES if report.duplicates.get(name) is not None]
    rest = [name for name in report.duplicates if name not in DUPLICATES]
    counts = {name: report.duplicates[name] or 0 for name in (*known, *rest)}
    most = max(counts.values()) / of
    columns = [Column("What"), Column("Found", True), Column("Share of the rows for train")]
    rows = [_duplicate(name, count, of, most) for name, count in counts.items()]
    lead = f"Among the {report.rows['for_train']:,} rows for train, after cleaning."
    body = table(columns, rows, sortable=False, kind="bars")
    return section("duplicates", "Duplicates", body, lead=lead)


def _duplicate(name: str, count: int, of: int, most: float) -> list[Cell]:
    words = DUPLICATES.get(name, Words(plain(name)))
    inside = words.title[:1].islower()  # a part of what stands above, and of texts no share
    bar = None if name == "conflicting_texts" else bar_of(count / of, color=GONE, most=most)
    return [
        Cell([words.title, element("small", f" {words.meaning}")], kind="inside" if inside else ""),
        Cell(f"{count:,}", count, kind="" if inside else "strong"),
        Cell(bar),
    ]


def leaks(report: PrepareReport) -> Markup:
    """Texts that stand in two splits: as they came, and as they are written."""
    found, left = report.leaks["found"], report.leaks["left"]
    tied = report.split.get("tied", 0)
    if not found:
        lead = (
            "Validation and test were split off after duplicates were taken out; "
            f"{tied:,} rows that would have tied two of them together went. "
            "The rows that are written were searched once more."
        )
        return section("leaks", "Leaks", _left(left), lead=lead)
    columns = [
        Column("Rows"),
        Column("To the letter", True, "Texts exactly as they were read"),
        Column("The same text", True, "Case and spacing aside"),
        Column("Near", True, "Rows that went because they differ in a few characters"),
        Column("Left", True, "Among the rows that are written, counted anew"),
    ]
    near: Mapping[str, int] | None = report.leaks["near"]
    rows = [
        [
            Cell(_pair(name)),
            Cell(f"{report.leaks['raw'][name]:,}"),
            Cell(f"{count:,}", kind="strong" if count else ""),
            Cell(_near_cell(near, name)),
            Cell(f"{left.get(name, 0):,}"),
        ]
        for name, count in found.items()
    ]
    lead = (
        "A text stays in the most precious split that has it: test, then validation. "
        f"{report.leaks['removed']:,} rows left the others."
    )
    return section("leaks", "Leaks", table(columns, rows, sortable=False), lead=lead)


def _left(left: Mapping[str, int]) -> Markup:
    columns = [Column("Rows that are written"), Column("Left", True)]
    rows = [[Cell(_pair(name)), Cell(f"{count:,}")] for name, count in left.items()]
    return table(columns, rows, sortable=False, kind="narrow")


def _pair(name: str) -> str:
    """Name two splits.

    >>> _pair("val_in_train")
    'Validation rows whose text stands in train'
    """
    precious, _, other = name.partition("_in_")
    where = SPLITS.get(other, other).lower()
    return f"{SPLITS.get(precious, precious)} rows whose text stands in {where}"


def _near_cell(near: Mapping[str, int] | None, name: str) -> str:
    """Show the rows that were near to one of the more precious split."""
    precious, _, other = name.partition("_in_")
    return "" if near is None else f"{near.get(f'{other}_near_{precious}', 0):,}"


def privacy(report: PrepareReport) -> Markup | None:
    """What was redacted, by kind; the values themselves are nowhere kept."""
    if report.privacy is None:
        return None
    items: Mapping[str, int] = report.privacy["items"]
    found = sorted(((kind, n) for kind, n in items.items() if n), key=lambda one: (-one[1], one[0]))
    total = sum(items.values())
    named = [(KINDS.get(kind, plain(kind)), count, total) for kind, count in found]
    body = ranked("Kind", named, whole="Share of all items", color=GONE) if named else None
    searched: Mapping[str, Any] = report.recipe.get("privacy") or {}
    kinds = [*searched.get("kinds", ()), *(["name"] if searched.get("names") else [])]
    absent = ", ".join(KINDS.get(kind, plain(kind)) for kind in kinds if not items.get(kind))
    rest = element("p", f"Looked for and not found: {absent}.", class_="about") if absent else None
    lead = f"{report.privacy['rows']:,} texts changed. What was found is counted and nowhere kept."
    return section("privacy", "Privacy", body, rest, lead=lead)

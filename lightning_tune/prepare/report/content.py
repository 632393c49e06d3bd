"""What the rows hold: classes, scores, lengths, tokens, languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning_tune.prepare.report.figures import Histogram
from lightning_tune.prepare.report.flow import GONE, ranked
from lightning_tune.prepare.report.record import PrepareReport
from lightning_tune.prepare.report.words import SPLITS, is_spaceless, plain, share
from lightning_tune.reports.display import label_text
from lightning_tune.reports.elements import (
    Cell,
    Column,
    Part,
    figure,
    key,
    section,
    stacked,
    table,
)
from lightning_tune.reports.histogram import Series, histogram
from lightning_tune.reports.markup import Markup, breakable, element

COLORS: Mapping[str, int | None] = {"before": None, "train": 0, "val": 1, "test": 2}
_CLASSES_SHOWN = 500
_SCROLLS = 40  # classes from which on the table scrolls
_QUANTILES = {"p50": "median", "p95": "95th percentile", "max": "longest"}
_SIDE_BY_SIDE = {1: ("large square", (660, 260)), 2: ("split", (510, 230))}
"""How few histograms are laid out, and their size in pixels."""


def classes(report: PrepareReport) -> Markup | None:
    """Rows of each class before and by split, the largest first."""
    if not report.classes:
        return None
    before = report.classes["before"]
    splits = {name: counts for name, counts in report.classes.items() if name != "before"}
    kept = {
        name: sum(counts.get(name, 0) for counts in splits.values())
        for name in {name for counts in report.classes.values() for name in counts}
    }
    names = sorted(kept, key=lambda name: (-kept[name], -before.get(name, 0), name))
    most = max(max(kept[name], before.get(name, 0)) for name in names)
    columns = [
        Column("Class"),
        Column("Before", True, "As they were read"),
        *(Column(SPLITS.get(split, split), True) for split in splits),
        Column("Rows"),
    ]
    rows = [
        [
            Cell(breakable(label_text(name))),
            Cell(f"{before.get(name, 0):,}", before.get(name, 0)),
            *(Cell(_with_share(counts, name), counts.get(name, 0)) for counts in splits.values()),
            Cell(_class_bar(name, before.get(name, 0), splits, most), kept[name]),
        ]
        for name in names[:_CLASSES_SHOWN]
    ]
    legend = [*(key(COLORS[split], SPLITS[split]) for split in splits), key(None, "dropped")]
    body = table(columns, rows, kind="bars tall" if len(rows) > _SCROLLS else "bars")
    return section(
        "classes", "Classes", element("p", legend, class_="legend"), body, lead=_lead(names, report)
    )


def _lead(names: list[str], report: PrepareReport) -> str:
    lead = "Behind each count its share of the split."
    if report.task == "multilabel":
        lead += " A row counts for each of its labels."
    if len(names) > _CLASSES_SHOWN:
        lead += f" The {_CLASSES_SHOWN} largest of {len(names):,}; report.json has all."
    return lead


def _with_share(counts: Mapping[str, int], name: str) -> Markup:
    rows, total = counts.get(name, 0), max(1, sum(counts.values()))
    part = element("small", f" {100 * rows / total:.1f} %")
    return element("span", f"{rows:,}", part)


def _class_bar(
    name: str, before: int, splits: Mapping[str, Mapping[str, int]], most: int
) -> Markup:
    rows = {split: counts.get(name, 0) for split, counts in splits.items()}
    gone = max(0, before - sum(rows.values()))
    parts = [
        Part(count / most, COLORS[split], f"{SPLITS[split]}: {count:,} rows")
        for split, count in rows.items()
    ]
    return stacked([*parts, Part(gone / most, None, f"dropped: {gone:,} rows")])


def scores(report: PrepareReport) -> Markup | None:
    """How the scores of a regression are spread."""
    found = report.histograms.get("scores")
    if found is None:
        return None
    lead = "Share of the rows of each split by score."
    return section("scores", "Scores", *_spread({"scores": found}), lead=lead)


def lengths(report: PrepareReport) -> Markup:
    """How long texts are: a histogram of each unit, and the quantiles."""
    drawn = {
        unit: found
        for unit, found in report.histograms.items()
        if unit != "scores" and not (unit == "words" and is_spaceless(report.lengths))
    }
    lead = "Share of the rows by length; the last bin holds all that is longer."
    return section("lengths", "Lengths", *_spread(drawn), _quantiles(report.lengths), lead=lead)


def _spread(found: Mapping[str, Histogram]) -> list[Markup]:
    """One histogram for each unit, below the legend that they share."""
    names = dict.fromkeys(name for one in found.values() for name in one if name != "edges")
    legend = [key(COLORS[name], SPLITS.get(name, plain(name))) for name in names]
    kind, size = _SIDE_BY_SIDE.get(len(found), ("charts", (360, 210)))
    drawn = [
        figure(plain(unit) if len(found) > 1 else "", _drawing(one, unit, size))
        for unit, one in found.items()
    ]
    return [element("p", legend, class_="legend"), element("div", drawn, class_=kind)]


def _drawing(found: Histogram, unit: str, size: tuple[int, int]) -> Markup:
    series = [
        Series(SPLITS.get(name, plain(name)), [int(rows) for rows in counts], COLORS[name])
        for name, counts in found.items()
        if name != "edges"
    ]
    return histogram(found["edges"], series, title=f"{plain(unit)} of a row", unit=unit, size=size)


def _quantiles(found: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Markup:
    units = dict.fromkeys(unit for of_unit in found.values() for unit in of_unit)
    if is_spaceless(found):
        units.pop("words")
    columns = [Column(""), *(Column(SPLITS.get(name, plain(name)), True) for name in found)]
    rows = [
        [Cell(f"{plain(unit)}, {title}"), *(_length(each.get(unit), at) for each in found.values())]
        for unit in units
        for at, title in _QUANTILES.items()
    ]
    return table(columns, rows, sortable=False, kind="narrow")


def _length(values: Mapping[str, int] | None, at: str) -> Cell:
    return Cell("") if values is None else Cell(f"{values[at]:,}")


def truncation(report: PrepareReport) -> Markup | None:
    """Rows with more tokens than an encoder is to read."""
    if report.truncation is None:
        return None
    found: Mapping[str, Any] = report.truncation
    counts = [(SPLITS[split], count, report.rows[split]) for split, count in found["rows"].items()]
    lead = (
        f"{share(found['share'])} of the rows have more than {found['max_length']:,} tokens of "
        f"{(report.recipe.get('tokens') or {}).get('tokenizer', 'the tokenizer')}."
    )
    body = ranked("Split", counts, whole="Share of the split", color=GONE)
    return section("truncation", "Truncation", body, lead=lead)


def languages(report: PrepareReport) -> Markup | None:
    """Rows in each language."""
    if report.languages is None:
        return None
    total = sum(report.languages.values())
    counts = [(name, count, total) for name, count in report.languages.items()]
    body = ranked("Language", counts, whole="Share of the rows looked at")
    lead = "Told by py3langid; short texts and doubtful guesses are unsure."
    return section("languages", "Languages", body, lead=lead)

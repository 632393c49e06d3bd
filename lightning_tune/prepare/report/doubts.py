"""What models say of train: labels that are probably wrong, and what edited copies keep of theirs.

Both parts of the record come as plain values, which may lack what was not looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning_tune.prepare.report.flow import GONE, KEPT, ranked
from lightning_tune.prepare.report.words import plain, share
from lightning_tune.reports.display import label_text, printable
from lightning_tune.reports.elements import facts, section
from lightning_tune.reports.markup import Markup, element

_CLASSES_SHOWN = 100


def suspects(found: Mapping[str, Any]) -> Markup:
    """Suspected labels by the label that they have; the texts are in a file of their own."""
    lead = f"{found.get('rows', 0):,} of {found.get('of', 0):,} rows of train were looked at"
    lead += f", in {found['mode']} mode." if "mode" in found else "."
    if "found" in found:
        lead += f" {found['found']:,} labels may be another ({share(found['share'])})."
    if found.get("noise") is not None:
        lead += f" Confident learning takes {share(found['noise'])} of all labels for wrong."
    total = sum((found.get("classes") or {}).values())
    table = _by_class(found, total, "Suspected label", "Share of the suspects", color=GONE)
    told = {
        "dropped from train": found.get("dropped"),
        "rare classes": found.get("rare_classes"),
        "outliers": found.get("outliers"),
    }
    return section("suspects", "Suspected labels", table, _told(told), _outliers(found), lead=lead)


def _outliers(found: Mapping[str, Any]) -> Markup | None:
    places = [str(place).rpartition(":") for place in found.get("outlier_rows") or ()]
    if not places:
        return None
    lines: dict[str, list[str]] = {}
    for source, _, line in places:
        lines.setdefault(source, []).append(line)
    lead = (
        f"{found.get('outliers', len(places)):,} texts are like no other: of another language or "
        f"script, made by a machine, letters at random. The {len(places)} strangest, by line:"
    )
    told = [lead, *(f"{printable(name, limit=200)}: {', '.join(lines[name])}" for name in lines)]
    return element("div", [element("p", line, class_="about") for line in told])


def augmentation(found: Mapping[str, Any]) -> Markup:
    """Edited copies by kind of edit and by class, and how many kept their label."""
    lead = f"{found.get('copies', 0):,} copies of {found.get('originals', 0):,} rows of train."
    kept = found.get("label_kept") or {}
    if kept.get("share") is not None:
        lead += (
            f" Of {kept['known']:,} that were asked about and whose original was known, "
            f"{share(kept['share'])} keep their label."
        )
    edits: Mapping[str, int] = found.get("edits") or {}
    total = sum(edits.values())
    counts = [(plain(name), count, total) for name, count in edits.items()]
    by_edit = ranked("Edit", counts, whole="Share of the edits") if counts else None
    total = sum((found.get("classes") or {}).values())
    by_class = _by_class(found, total, "Class", "Share of the copies", color=KEPT)
    told = {name: found.get(name) for name in ("unchanged", "repeated", "near")}
    return section("augmentation", "Edited copies", by_edit, by_class, _told(told), lead=lead)


def _by_class(
    found: Mapping[str, Any], total: int, title: str, whole: str, *, color: int
) -> Markup | None:
    classes: Mapping[str, int] = found.get("classes") or {}
    most = sorted(classes.items(), key=lambda one: (-one[1], one[0]))
    rows = [(label_text(name), count, total) for name, count in most if count]
    if len(rows) > _CLASSES_SHOWN:
        rest = rows[_CLASSES_SHOWN:]
        rows = [*rows[:_CLASSES_SHOWN], (f"{len(rest):,} more", sum(n for _, n, _ in rest), total)]
    return ranked(title, rows, whole=whole, color=color) if rows else None


def _told(values: Mapping[str, int | None]) -> Markup | None:
    known = {name: f"{count:,}" for name, count in values.items() if count is not None}
    return facts(known) if known else None

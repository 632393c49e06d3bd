"""What a reader of the report should know besides the figures, a sentence each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lightning_tune.data.labels import joins_told
from lightning_tune.prepare.labels import class_counts
from lightning_tune.prepare.pipeline import OWN, Found, Job


def notes_of(found: Found, job: Job) -> list[str]:
    """Return what there is to say of classes, of splits and of how inputs are written."""
    classes: Sequence[str] = () if found.labels is None else found.labels.names
    joined = joined_classes(found)
    return [
        *_quoted(found),
        *_alike(classes),
        *([joined] if joined else []),
        *_absent(found),
        *_split_off(found, job),
    ]


def joined_classes(found: Found) -> str:
    """Say that classes look like several labels of a row in one string; "" where they do not."""
    if found.labels is None or found.labels.kind != "multiclass":
        return ""
    return joins_told(found.labels.names, "give --label_separator")


def _alike(names: Sequence[str]) -> list[str]:
    """Return a note on classes whose names differ in case or spacing alone.

    >>> _alike(["Card", "bill", "card"])
    ["the classes 'Card' and 'card' differ in case or spacing alone."]
    """
    first: dict[str, str] = {}
    notes = []
    for name in names:
        other = first.setdefault(" ".join(name.casefold().split()), name)
        if other != name:
            notes.append(f"the classes {other!r} and {name!r} differ in case or spacing alone.")
    return notes


def _absent(found: Found) -> list[str]:
    if found.labels is None or found.labels.kind == "regression":
        return []
    notes = []
    for split, table in found.splits.items():
        there = class_counts(table)
        absent = [name for name in found.labels.names if name not in there]
        if absent:
            shown = ", ".join(repr(name) for name in absent[:5])
            more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
            notes.append(f"{split} has no row of {shown}{more}.")
    return notes


def _split_off(found: Found, job: Job) -> list[str]:
    """Return a note on a split that was taken from the input beside one of the user's own."""
    if not found.own:
        return []
    named = " and ".join(f"--{split}" for split in found.own)
    return [
        f"{found.splits[split].num_rows:,} rows of the input went to {split}, as {named} alone was "
        f"named; name your own with --{split}, or set --recipe.split.{split}_share 0 for none."
        for split in OWN
        if split not in found.own and split in found.splits
    ]


def _quoted(found: Found) -> list[str]:
    counts: Counter[str] = Counter()
    for one, count in zip(found.opened, found.collected.noted.quoted, strict=False):
        counts[one.input] += count
    return [
        f"{count:,} texts of {name} are quoted as in CSV and were taken as they are, quotes and "
        "all; --format.quoting true reads them without."
        for name, count in counts.items()
        if count
    ]

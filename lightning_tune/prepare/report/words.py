"""The words of the report's page: what limits, steps and counts are called, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Words:
    """How a figure is named and read.

    Args:
        title: Its name.
        meaning: What is counted.
        unit: How its value is shown.
    """

    title: str
    meaning: str = ""
    unit: Literal["share", "points", "count"] = "count"


CHECKS: Mapping[str, Words] = {
    "dropped": Words("Rows dropped", "of all rows", "share"),
    "duplicates": Words("Duplicates", "rows for train whose text stands earlier", "share"),
    "conflicts": Words(
        "Contradictions", "rows for train whose text stands under several labels", "share"
    ),
    "leaks": Words(
        "Leaks", "of your validation and test rows, those whose text stood in train", "share"
    ),
    "truncated": Words("Truncated", "written rows with more tokens than max_length", "share"),
    "class_rows": Words("Rarest class", "its rows in train"),
    "class_gap": Words(
        "Class gap", "between a class's share in a split and in all rows, at most", "points"
    ),
    "suspects": Words(
        "Suspected labels", "rows of train looked at whose label may be another", "share"
    ),
    "agreement": Words("Agreement", "Krippendorff's alpha of the annotators, at least"),
    "label_kept": Words("Labels kept", "edited copies that keep their label, at least", "share"),
    "leaks_left": Words("Leaks left", "written rows that still stand in two splits"),
}

STEPS: Mapping[str, str] = {
    "collect": "Read",
    "duplicates": "Exact duplicates",
    "near": "Near duplicates",
    "leaks": "Leaks",
    "privacy": "Redact",
    "quality": "Look at labels",
    "augment": "Edited copies",
}

DUPLICATES: Mapping[str, Words] = {
    "exact_text": Words("Exact duplicates", "the text stands earlier, case and spacing aside"),
    "exact_raw": Words("as they were read", "the same text to the letter, before any cleaning"),
    "near": Words("Near duplicates", "the text differs from an earlier one in a few characters"),
    "conflicting_rows": Words("Contradictions", "the text stands under several labels"),
    "conflicting_texts": Words("distinct texts", "that these rows share"),
}

SPLITS: Mapping[str, str] = {"train": "Train", "val": "Validation", "test": "Test"}

KINDS: Mapping[str, str] = {
    "email": "E-mail addresses",
    "phone": "Phone numbers",
    "iban": "IBANs",
    "card": "Card numbers",
    "national_id": "National ids",
    "ip": "IP addresses",
    "url": "URLs with credentials",
    "birth_date": "Dates of birth",
    "address": "Street addresses",
    "name": "Names of persons",
}


def is_spaceless(lengths: Mapping[str, Mapping[str, Mapping[str, int]]]) -> bool:
    """Whether most texts are in a script without spaces, where words say nothing.

    >>> is_spaceless({"before": {"characters": {"p50": 78}, "words": {"p50": 1}}})
    True
    """
    before = lengths["before"]
    return before["words"]["p50"] <= 1 and before["characters"]["p50"] > 10


def plain(name: str) -> str:
    """Return a key as words.

    >>> plain("near_other_label")
    'Near other label'
    """
    spaced = name.replace("_", " ")
    return spaced[:1].upper() + spaced[1:]


def check_words(name: str) -> Words:
    """Return the words of a limit."""
    return CHECKS.get(name, Words(plain(name)))


def shown(value: float | None, unit: str) -> str:
    """Show a figure in its unit.

    >>> shown(0.142857, "share"), shown(0.5, "points"), shown(1200, "count"), shown(None, "share")
    ('14.3 %', '0.5 points', '1,200', '')
    """
    if value is None:
        return ""
    if unit == "share":
        return share(value)
    return f"{value:,.6g}" + (" points" if unit == "points" else "")


def share(value: float) -> str:
    """Show a share in [0, 1] as a percentage, a small one with two digits.

    >>> share(0.142857), share(0.00123), share(0.0), share(1)
    ('14.3 %', '0.12 %', '0 %', '100 %')
    """
    percent = 100 * value
    return f"{percent:.2g} %" if abs(percent) < 1 else f"{round(percent, 1):g} %"

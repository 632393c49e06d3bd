"""What privacy leaves as it is: names of classes and groups, told of where they tell a person."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from lightning_tune.prepare.pipeline import Found
from lightning_tune.prepare.privacy import PrivacySettings, Redactor

_FIX = "privacy redacts texts alone; give them names of another kind"


def unredacted_notes(found: Found, settings: PrivacySettings | None) -> list[str]:
    """Return a note on classes, and one on groups, that hold what is redacted in texts.

    Args:
        found: What the steps found.
        settings: What is redacted; None: nothing.
    """
    if settings is None or not settings.kinds:
        return []
    groups = {
        name
        for table in found.splits.values()
        if "group" in table.column_names
        for name in pc.unique(table["group"]).drop_null().to_pylist()
    }
    classes = () if found.labels is None else found.labels.names
    redactor = Redactor(PrivacySettings(kinds=settings.kinds))
    return [*_note(redactor, "classes", classes), *_note(redactor, "groups", sorted(groups))]


def _note(redactor: Redactor, what: str, names: Sequence[str]) -> list[str]:
    redacted = redactor(names)
    kinds = ", ".join(kind.replace("_", " ") for kind in redacted.counts)
    told = f"the names of {redacted.rows:,} of {len(names):,} {what} hold what looks like {kinds}"
    return [f"{told}: {_FIX}."] if redacted.rows else []

"""Edited copies of training rows, after the originals; each row's copies depend on it alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError, nearest
from lightning_tune.prepare.augment.edits import EDIT_KINDS, WORD_EDITS, Draw, EditKind
from lightning_tune.prepare.augment.translating import TranslationSettings, check_models
from lightning_tune.prepare.keys import content_key
from lightning_tune.prepare.rows import AUGMENTED
from lightning_tune.words.split import SplitText
from lightning_tune.words.synonyms import Synonyms, read_synonyms

Translate = Callable[[Sequence[str]], Sequence[str]]
"""Texts -> the same texts said otherwise: into another language and back."""


@dataclass(frozen=True)
class AugmentSettings:
    """How training rows are multiplied.

    Args:
        edits: What is done, any of synonym, swap, delete, insert, typo, ocr, translate; each copy
            is made by one of them.
        copies: Copies of each row, at least 0; of 0.5 every second row, by chance, has one.
        by_class: Copies for rows of single classes, in place of `copies`.
        share: Share of a text's words that an edit changes, in (0, 1]; at least one word.
        thesaurus: File of words that mean the same, for synonym.
        translation: The two models of translate, there and back.
        seed: Decides about edits.

    Raises:
        ConfigError: if a value is out of its range, or synonym has no thesaurus.
    """

    edits: tuple[EditKind, ...] = ("insert",)
    copies: float = 1.0
    by_class: dict[str, float] | None = None
    share: float = 0.1
    thesaurus: str | None = None
    translation: TranslationSettings | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for edit in self.edits:
            if edit not in EDIT_KINDS:
                raise ConfigError(
                    f"augment.edits={edit!r} is not one of {', '.join(EDIT_KINDS)}."
                    + nearest(str(edit), EDIT_KINDS)
                )
        if not self.edits:
            raise ConfigError("augment.edits is empty; name edits, or leave augment out.")
        if "synonym" in self.edits and self.thesaurus is None:
            raise ConfigError(
                "augment.edits has synonym, and augment.thesaurus names no file of synonyms; name "
                "one, or leave synonym out."
            )
        for name, copies in [("copies", self.copies), *(self.by_class or {}).items()]:
            if not 0 <= copies <= 100:
                raise ConfigError(f"augment: {name}={copies} copies a row is outside 0 to 100.")
        if not 0 < self.share <= 1:
            raise ConfigError(f"augment.share={self.share} is outside (0, 1]; 0.1 is usual.")


@dataclass(frozen=True)
class Augmented:
    """Training rows with their copies.

    Args:
        table: The originals in their order, then the copies; `augmented` names the edit.
        counts: By documented names: `originals`, `copies`, `unchanged` (no edit changed the text)
            and `repeated` (the copy stood there already, or is a text to avoid).
        by_edit: Copies by edit.
        rows: The row that each copy was made of, as its position among the originals.
    """

    table: pa.Table
    counts: dict[str, int]
    by_edit: dict[str, int]
    rows: list[int]

    @property
    def copies(self) -> pa.Table:
        """The copies alone."""
        return self.table.slice(self.counts["originals"])

    def without(self, goes: NDArray[np.bool_], why: str) -> Augmented:
        """Return it without some of the copies, [copies], counted under a name."""
        first = self.counts["originals"]
        stays = np.concatenate([np.ones(first, np.bool_), ~goes])
        edits = Counter(self.copies.filter(pa.array(~goes))[AUGMENTED].to_pylist())
        count = int(goes.sum())
        return Augmented(
            table=self.table.filter(pa.array(stays)),
            counts={**self.counts, "copies": self.counts["copies"] - count, why: count},
            by_edit={name: edits[name] for name in self.by_edit},
            rows=[row for row, gone in zip(self.rows, goes.tolist(), strict=True) if not gone],
        )


@dataclass(frozen=True)
class _Copy:
    row: int
    edit: EditKind
    text: str


def augment(
    table: pa.Table,
    settings: AugmentSettings,
    *,
    translate: Translate | None = None,
    avoid: Collection[str] = frozenset(),
) -> Augmented:
    """Add edited copies to training rows; of pairs the first text is edited.

    Args:
        table: Training rows: text, text_pair where there is one, label.
        settings: What is done, and how often.
        translate: What says texts otherwise, for the edit translate.
        avoid: Content keys that no copy may have: those of validation and test texts.

    Raises:
        ConfigError: if translate is asked for and nothing translates, or a class is unknown.
        DataError: if the thesaurus cannot be read.
    """
    if "translate" in settings.edits and translate is None:
        check_models(None)
    texts, pairs, labels = (_column(table, name) for name in ("text", "text_pair", "label"))
    _check_classes(settings, labels)
    synonyms = None if settings.thesaurus is None else read_synonyms(settings.thesaurus)
    wanted = [
        copy
        for row, (text, pair, label) in enumerate(zip(texts, pairs, labels, strict=True))
        for copy in _copies(row, text, content_key(text, pair), label, settings, synonyms)
    ]
    made = _translated(wanted, translate)
    known = {content_key(text, pair) for text, pair in zip(texts, pairs, strict=True)} | set(avoid)
    kept: list[_Copy] = []
    unchanged = repeated = 0
    for copy in made:
        key = content_key(copy.text, pairs[copy.row])
        if copy.text == texts[copy.row] or not copy.text.strip():
            unchanged += 1
        elif key in known:
            repeated += 1
        else:
            known.add(key)
            kept.append(copy)
    names = [copy.edit for copy in kept]
    return Augmented(
        table=_with_copies(table, kept),
        counts={
            "originals": table.num_rows,
            "copies": len(kept),
            "unchanged": unchanged,
            "repeated": repeated,
        },
        by_edit={name: names.count(name) for name in settings.edits},
        rows=[copy.row for copy in kept],
    )


def _copies(
    row: int,
    text: str,
    key: str,
    label: Any,
    settings: AugmentSettings,
    synonyms: Synonyms | None,
) -> list[_Copy]:
    """Return the copies of one row; those to translate still have the text as it is."""
    random = _random(settings.seed, key)
    wanted = _wanted(label, settings)
    count = int(wanted) + (random.random() < wanted % 1)
    if not count:
        return []
    split = SplitText.of(text, synonyms or (), synonyms.longest if synonyms else 1)
    return [_copy(row, split, key, number, settings, synonyms) for number in range(count)]


def _copy(
    row: int,
    split: SplitText,
    key: str,
    number: int,
    settings: AugmentSettings,
    synonyms: Synonyms | None,
) -> _Copy:
    random = _random(settings.seed, f"{key}:{number}")
    text = split.spelled({})
    for edit in random.sample(settings.edits, len(settings.edits)):
        if edit == "translate":
            return _Copy(row, edit, text)
        changed = WORD_EDITS[edit](split, Draw(random, settings.share, synonyms))
        if changed != text:
            return _Copy(row, edit, changed)
    return _Copy(row, settings.edits[0], text)


def _random(seed: int, key: str) -> Random:
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return Random(int.from_bytes(digest, "big"))


def _wanted(label: Any, settings: AugmentSettings) -> float:
    by_class = settings.by_class or {}
    held = label if isinstance(label, list) else [label]
    return max((by_class[name] for name in held if name in by_class), default=settings.copies)


def _translated(copies: list[_Copy], translate: Translate | None) -> list[_Copy]:
    asked = [at for at, copy in enumerate(copies) if copy.edit == "translate"]
    if not asked or translate is None:
        return copies
    said = list(translate([copies[at].text for at in asked]))
    if len(said) != len(asked):
        raise ConfigError(
            f"translate gave {len(said)} texts back for {len(asked)}; it has to give one for each."
        )
    made = list(copies)
    for at, text in zip(asked, said, strict=True):
        made[at] = _Copy(copies[at].row, "translate", text)
    return made


def _with_copies(table: pa.Table, kept: Sequence[_Copy]) -> pa.Table:
    copies = table.take(pa.array([copy.row for copy in kept], pa.int64()))
    place = table.schema.get_field_index("text")
    texts = pa.array([copy.text for copy in kept], table.schema.field("text").type)
    copies = copies.set_column(place, table.schema.field("text"), texts)
    named = pa.array([copy.edit for copy in kept], pa.string())
    return pa.concat_tables(
        [
            table.append_column(AUGMENTED, pa.nulls(table.num_rows, pa.string())),
            copies.append_column(AUGMENTED, named),
        ]
    ).unify_dictionaries()


def _column(table: pa.Table, name: str) -> list[Any]:
    if name not in table.column_names:
        return [None] * table.num_rows
    values: list[Any] = table[name].to_pylist()
    return values


def _check_classes(settings: AugmentSettings, labels: Sequence[Any]) -> None:
    held = (label if isinstance(label, list) else [label] for label in labels)
    names = {str(name) for row in held for name in row}
    for name in settings.by_class or {}:
        if name not in names:
            raise ConfigError(
                f"augment.by_class names {name!r}, which is no label of the training rows."
                + nearest(name, names)
            )

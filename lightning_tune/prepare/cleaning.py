"""Cleaning, row by row: encodings, HTML, hidden characters, Unicode form, white space, length."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.markup import without_markup
from lightning_tune.prepare.rows import KEPT, Outcome, drop, pairs_of

STEP = "clean"

_PLAIN = re.compile(r"[!-%'-;=-~]++(?: [!-%'-;=-~]++)*+")
"""Printable ASCII with single spaces and neither < nor &: nothing of it can change."""
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
# Marks without width or ink. Joiners stay between letters of scripts that need them, and in emoji.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a]"
    "|[\u200c\u200d](?![\u0600-\U0010ffff])|(?<![\u0600-\U0010ffff])[\u200c\u200d]"
)
_BREAKS = re.compile("[\x85\u2028\u2029]")

REASONS = (
    "the text is missing",
    "the text is empty once it is clean",
    "the text is shorter than clean.min_characters",
    "the text is longer than clean.max_characters",
    "the label is missing",
)
MISSING, EMPTY, SHORT, LONG, UNLABELLED = range(len(REASONS))


@dataclass(frozen=True)
class CleanSettings:
    """What is cleaned, in this order.

    Args:
        encoding: Whether texts that were decoded wrongly are mended ("cafÃ©"), by ftfy.
        html: Whether tags, comments, scripts and entities of HTML are taken out.
        control: Whether control characters and marks without width are taken out.
        unicode: The Unicode normal form; null: as it is.
        whitespace: Whether runs of white space become one space, and none at the ends.
        labels: Whether white space at the ends of labels is taken out, so that "a " is "a".
        min_characters: Least length of a text that stays, in characters, at least 1.
        max_characters: Greatest length of a text that stays, in characters; null: any.
    """

    encoding: bool = True
    html: bool = True
    control: bool = True
    unicode: Literal["NFC", "NFKC"] | None = "NFC"
    whitespace: bool = True
    labels: bool = True
    min_characters: int = 1
    max_characters: int | None = None

    def __post_init__(self) -> None:
        if self.min_characters < 1:
            raise ConfigError(f"clean.min_characters={self.min_characters} has to be at least 1.")
        if self.max_characters is not None and self.max_characters < self.min_characters:
            raise ConfigError(
                f"clean.max_characters={self.max_characters} is below "
                f"clean.min_characters={self.min_characters}; raise it."
            )


@dataclass(frozen=True)
class CleanStep:
    """Cleans some rows; works on each row alone.

    Its counts are the rows that each part changed (`encoding`, `html`, `control`, `unicode`,
    `whitespace`, `labels`) or dropped (`dropped`).

    Args:
        settings: What is cleaned.
    """

    settings: CleanSettings

    def __call__(self, table: pa.Table) -> Outcome:
        """Return the rows that stay, clean."""
        cleaner = Cleaner(self.settings)
        texts, pairs = table["text"].to_pylist(), pairs_of(table)
        clean = [cleaner(text or "") for text in texts]
        columns = {"text": clean}
        codes = self._codes(texts, clean)
        changed = cleaner.flags
        if pairs is not None:
            columns["text_pair"] = [cleaner(text or "") for text in pairs]
            seconds = self._codes(pairs, columns["text_pair"])
            codes = np.where(codes == KEPT, seconds, codes)
            changed = changed[: len(texts)] | cleaner.flags[len(texts) :]
        trimmed = 0
        if "label" in table.column_names:
            if self.settings.labels:
                table, trimmed = trim_labels(table)
            missing = table["label"].is_null().to_numpy()
            codes = np.where((codes == KEPT) & missing, UNLABELLED, codes)
        for name, values in columns.items():
            at = table.column_names.index(name)
            table = table.set_column(at, name, pa.array(values, pa.string()))
        kept, dropped = drop(table, codes, REASONS, step=STEP)
        counts = {"dropped": dropped.num_rows, **_changed(cleaner.names, changed)}
        counts |= {"labels": trimmed} if self.settings.labels else {}
        return Outcome(kept, dropped, counts)

    def _codes(self, texts: Sequence[str | None], clean: Sequence[str]) -> NDArray[np.int8]:
        codes = np.full(len(clean), KEPT, np.int8)
        shortest, longest = self.settings.min_characters, self.settings.max_characters
        for at, text in enumerate(clean):
            if len(text) < shortest or not text or text.isspace():
                before = texts[at]
                blank = before is None or not before or before.isspace()
                left = bool(text) and not text.isspace()
                codes[at] = MISSING if blank else SHORT if left else EMPTY
            elif longest is not None and len(text) > longest:
                codes[at] = LONG
        return codes


def trim_labels(table: pa.Table) -> tuple[pa.Table, int]:
    """Return the rows with no white space at the ends of labels, and how many had some.

    A label of nothing else is missing, in a list too. Scores stay as they are.
    """
    column = table["label"]
    if pa.types.is_list(column.type):
        filled, changed = _trimmed_lists(column)
    elif pa.types.is_string(column.type):
        trimmed = pc.utf8_trim_whitespace(column)
        changed = pc.sum(pc.not_equal(trimmed, column)).as_py() or 0
        filled = pc.if_else(pc.equal(trimmed, ""), None, trimmed)
    else:
        return table, 0
    return table.set_column(table.column_names.index("label"), "label", filled), int(changed)


def _trimmed_lists(column: pa.ChunkedArray) -> tuple[pa.Array, int]:
    before = column.to_pylist()
    after = [
        None if names is None else list(dict.fromkeys(filter(None, map(str.strip, names))))
        for names in before
    ]
    changed = sum(one != other for one, other in zip(before, after, strict=True))
    return pa.array(after, column.type), changed


def _changed(names: Sequence[str], flags: NDArray[np.uint8]) -> dict[str, int]:
    return {name: int((flags >> bit & 1).sum()) for bit, name in enumerate(names)}


class Cleaner:
    """Cleans texts and remembers which part changed which.

    Args:
        settings: What is cleaned.
    """

    def __init__(self, settings: CleanSettings) -> None:
        parts = _parts(settings)
        self.names = [name for name, _ in parts]
        self._functions = [function for _, function in parts]
        self._flags: list[int] = []

    @property
    def flags(self) -> NDArray[np.uint8]:
        """Which parts changed each text so far, a bit each, [n] uint8."""
        return np.array(self._flags, np.uint8)

    def __call__(self, text: str) -> str:
        """Return a text clean."""
        flags = 0
        if _PLAIN.fullmatch(text) is None:
            for bit, function in enumerate(self._functions):
                after = function(text)
                if after != text:
                    flags |= 1 << bit
                    text = after
        self._flags.append(flags)
        return text


def clean(text: str, settings: CleanSettings = CleanSettings()) -> str:  # frozen
    r"""Return one text clean.

    >>> clean("<b>caf\u00c3\u00a9</b>\u200b  &amp; bar\n")
    'café & bar'
    """
    return Cleaner(settings)(text)


def _parts(settings: CleanSettings) -> list[tuple[str, Callable[[str], str]]]:
    parts: list[tuple[str, Callable[[str], str]]] = []
    if settings.encoding:
        parts.append(("encoding", _mended()))
    if settings.html:
        parts.append(("html", without_markup))
    if settings.control:
        parts.append(("control", without_hidden))
    if settings.unicode is not None:
        parts.append(("unicode", partial(unicodedata.normalize, settings.unicode)))
    if settings.whitespace:
        parts.append(("whitespace", _single_spaces))
    return parts


def without_hidden(text: str) -> str:
    r"""Return a text without control characters and marks that have no width.

    Tabs and line ends stay; joiners stay where emoji, or Arabic and Indic scripts, need them.

    >>> without_hidden("pay\u200bpal\x07")
    'paypal'
    """
    text = _CONTROL.sub("", text)
    return text if text.isascii() else _BREAKS.sub("\n", _INVISIBLE.sub("", text))


def _single_spaces(text: str) -> str:
    return " ".join(text.split())


def _mended() -> Callable[[str], str]:
    """Return what mends a wrong decoding and nothing else; what is ASCII cannot be wrong."""
    import ftfy

    config = ftfy.TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=True,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        normalization=None,
        explain=False,
    )
    return lambda text: (
        text if text.isascii() and "\x1b" not in text else ftfy.fix_text(text, config)
    )

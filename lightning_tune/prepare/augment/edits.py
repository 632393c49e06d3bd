"""Edits of a whole text that should leave its label: of its words, and of letters in them.

Synonyms, swaps and deletions are those of EDA, Wei and Zou 2019, https://arxiv.org/abs/1901.11196;
inserted punctuation is AEDA's, Karimi et al. 2021, https://arxiv.org/abs/2108.13230. Typing errors
are those of `words.edits`, misreadings those of `words.scans`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from lightning_tune.words.edits import EDITS, Variants
from lightning_tune.words.scans import misread
from lightning_tune.words.split import SplitText
from lightning_tune.words.synonyms import Synonyms

EditKind = Literal["synonym", "swap", "delete", "insert", "typo", "ocr", "translate"]
EDIT_KINDS: tuple[EditKind, ...] = get_args(EditKind)

_MARKS = (".", ";", "?", ":", "!", ",")
_TYPOS = tuple(EDITS[name] for name in ("swap", "drop", "insert", "repeat", "keyboard"))


@dataclass(frozen=True)
class Draw:
    """What an edit may use.

    Args:
        random: Decides where and how; made of the text's content, so that it is the row's own.
        share: Share of the words to edit, in (0, 1]; at least one word always is.
        synonyms: Words that mean the same, where a file of them is given.
    """

    random: Random
    share: float
    synonyms: Synonyms | None = None

    def some(self, places: list[int], words: int) -> list[int]:
        """Return which of the places to edit in a text of so many words, in order."""
        count = min(len(places), max(1, round(self.share * words)))
        return sorted(self.random.sample(places, count))


Edit = Callable[[SplitText, Draw], str]


def replace_by_synonyms(text: SplitText, draw: Draw) -> str:
    """Words give way to others that mean the same."""
    if draw.synonyms is None:
        return text.spelled({})
    return _by_variants(text, draw, [draw.synonyms.of])


def swap_words(text: SplitText, draw: Draw) -> str:
    """Neighbouring words change places; what stands between them stays.

    >>> swap_words(SplitText.of("one, two"), Draw(Random(0), 0.5))
    'two, one'
    """
    words = list(text.words)
    for at in draw.some(list(range(len(words) - 1)), len(words)) if len(words) > 1 else ():
        words[at], words[at + 1] = words[at + 1], words[at]
    return text.spelled(dict(enumerate(words)))


def delete_words(text: SplitText, draw: Draw) -> str:
    """Words are left out, never all of them, with the space behind each."""
    if len(text.words) < 2:
        return text.spelled({})
    gone = set(draw.some(list(range(len(text.words))), len(text.words))[: len(text.words) - 1])
    parts = [text.gaps[0]]
    for at, (word, gap) in enumerate(zip(text.words, text.gaps[1:], strict=True)):
        parts += [gap if not gap.isspace() else ""] if at in gone else [word, gap]
    return "".join(parts).strip()


def insert_marks(text: SplitText, draw: Draw) -> str:
    """Punctuation marks are put before words."""
    places = draw.some(list(range(len(text.words))), len(text.words)) if text.words else []
    return text.spelled({at: f"{draw.random.choice(_MARKS)} {text.words[at]}" for at in places})


def mistype(text: SplitText, draw: Draw) -> str:
    """Letters are swapped, left out, doubled, or hit beside."""
    return _by_variants(text, draw, _TYPOS)


def misread_words(text: SplitText, draw: Draw) -> str:
    """Characters are read as others that look like them."""
    return _by_variants(text, draw, [misread])


def _by_variants(text: SplitText, draw: Draw, kinds: list[Variants] | tuple[Variants, ...]) -> str:
    made = {at: [one for kind in kinds for one in kind(word)] for at, word in enumerate(text.words)}
    places = [at for at, variants in made.items() if variants]
    if not places:
        return text.spelled({})
    return text.spelled(
        {at: draw.random.choice(made[at]) for at in draw.some(places, len(text.words))}
    )


WORD_EDITS: Mapping[EditKind, Edit] = {
    "synonym": replace_by_synonyms,
    "swap": swap_words,
    "delete": delete_words,
    "insert": insert_marks,
    "typo": mistype,
    "ocr": misread_words,
}
"""All but back-translation, which a model does."""

"""A text as words and what stands between them, so that words can be changed and nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Han characters and kana, which are written without spaces."""
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0dff\u0e31-\u0eff\u1000-\u109f"
"""Signs that belong to the letter before them and are no letters to a regular expression."""
_LETTER = rf"(?:(?![_{_UNSPACED}])[\w{_MARKS}])"
_INSIDE = rf"(?:(?![{_UNSPACED}])[\w{_MARKS}])"
"""What a word goes on with, where spaces stand between words."""
_RUN = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|{_LETTER}+(?:['\u2019-]{_LETTER}+)*")
_SPACELESS = re.compile(rf"[{_UNSPACED}]")


def is_unspaced(word: str) -> bool:
    """Whether a word is of a script without spaces.

    >>> is_unspaced("\u96fb\u5f71"), is_unspaced("film")
    (True, False)
    """
    return _SPACELESS.match(word) is not None


def whole(word: str) -> re.Pattern[str]:
    """Return what finds a word or phrase where it stands as a whole, in any case.

    Where the word begins or ends with a character of a script without spaces nothing tells whether
    it stands as a whole there, so that it is found wherever it stands; and a word of another script
    may stand between such characters.

    >>> whole("film").search("FILM!"), whole("film").search("films")
    (<re.Match object; span=(0, 4), match='FILM'>, None)
    >>> whole("\u96fb\u5f71").search("\u770b\u96fb\u5f71\u4e86").span()
    (1, 3)
    """
    before = "" if is_unspaced(word[:1]) else rf"(?<!{_INSIDE})"
    after = "" if is_unspaced(word[-1:]) else rf"(?!{_INSIDE})"
    return re.compile(rf"{before}{re.escape(word)}{after}", re.IGNORECASE)


def spaced(text: str) -> str:
    """Put spaces around each character of a script without spaces.

    >>> spaced("the \u96fb\u5f71")
    'the  \u96fb  \u5f71 '
    """
    return _SPACELESS.sub(r" \g<0> ", text)


@dataclass(frozen=True)
class WordChange:
    """A word that was replaced.

    Args:
        before: The word as it stood.
        after: What stands for it.
        start: Position of `after` in the changed text, in characters.
    """

    before: str
    after: str
    start: int


@dataclass(frozen=True)
class SplitText:
    """The words of a text.

    Args:
        words: The words.
        gaps: What stands before, between and after them, one more than there are words.
    """

    words: tuple[str, ...]
    gaps: tuple[str, ...]

    @classmethod
    def of(cls, text: str, known: Collection[str] = frozenset(), longest: int = 1) -> SplitText:
        """Split a text.

        Args:
            text: Any text.
            known: Words of scripts without spaces: the longest that fits is taken, else one
                character.
            longest: Characters of the longest of these.

        >>> SplitText.of("It's good, very!").words
        ("It's", 'good', 'very')
        """
        spans = [span for run in _RUN.finditer(text) for span in _inside(run, known, longest)]
        ends = [0, *(end for _, end in spans)]
        starts = [*(start for start, _ in spans), len(text)]
        return cls(
            words=tuple(text[start:end] for start, end in spans),
            gaps=tuple(text[end:start] for end, start in zip(ends, starts, strict=True)),
        )

    def spelled(self, changed: Mapping[int, str]) -> str:
        """Return the text with some words replaced, by their position."""
        words = [changed.get(at, word) for at, word in enumerate(self.words)]
        return self.gaps[0] + "".join(
            word + gap for word, gap in zip(words, self.gaps[1:], strict=True)
        )

    def without(self, left_out: range) -> str:
        """Return the text without some words that follow each other."""
        return self.spelled(dict.fromkeys(left_out, ""))

    def changes(self, changed: Mapping[int, str]) -> list[WordChange]:
        """Return what `spelled` replaces, and where it then stands."""
        found, at = [], 0
        for position, (gap, word) in enumerate(zip(self.gaps, self.words, strict=False)):
            at += len(gap)
            if position in changed:
                found.append(WordChange(word, changed[position], at))
            at += len(changed.get(position, word))
        return found


def _inside(run: re.Match[str], known: Collection[str], longest: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of the words in a run of letters."""
    start, end = run.span()
    if run["unspaced"] is None:
        yield start, end
        return
    while start < end:
        ends = range(min(end, start + longest), start + 1, -1)
        stop = next((stop for stop in ends if run.string[start:stop] in known), start + 1)
        yield start, stop
        start = stop

"""Drop the characters of a very long text that cannot matter, before a tokenizer works on them.

A text is tokenized up to a number of characters. Where this yields clearly more tokens than are
needed, the rest cannot matter; where it does not, four times as many characters are tried, up to
the whole text. The cut stands at white space where there is some nearby, so tokenizers that work
word by word give exactly the ids of the whole text. Those that segment a whole sentence may differ
within a few tokens of the cut, which `MARGIN` keeps out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

CHARACTERS_PER_TOKEN = 16  # natural text has 2 to 6
MARGIN = 16  # tokens next to the cut that are not trusted
_WORD = 256  # WordPiece gives up on words of more than 100 characters, whatever follows

Clip = Callable[[str, int], str]


def front(text: str, limit: int) -> str:
    """Return up to `limit` characters from the start, without a word that the limit cuts.

    >>> front("some words here", 12)
    'some words'
    """
    if len(text) <= limit:
        return text
    cut = text[:limit]
    tail = cut[-_WORD:]
    space = re.search(r"\s\S*\Z", tail)
    return cut[: len(cut) - len(tail) + space.start()] if space else cut


def back(text: str, limit: int) -> str:
    """Return up to `limit` characters from the end, without a word that the limit cuts.

    >>> back("some words here", 7)
    'here'
    """
    if len(text) <= limit:
        return text
    cut = text[-limit:]
    space = re.search(r"\s", cut[:_WORD])
    return cut[space.end() :] if space else cut


def tokenize_ends(
    texts: Sequence[str], needed: int, clip: Clip, tokenize: Callable[[list[str]], list[list[int]]]
) -> list[list[int]]:
    """Return at least the `needed` tokens of one end of each text, or all that the text has.

    Args:
        texts: Texts of any length.
        needed: How many tokens can matter.
        clip: `front` or `back`, the end that is needed.
        tokenize: Turns each text into token ids.
    """
    limit = first_limit(needed)
    bodies = tokenize([clip(text, limit) for text in texts])
    while short := [
        at
        for at, text in enumerate(texts)
        if len(text) > limit and len(bodies[at]) < needed + MARGIN
    ]:
        limit *= 4
        again = tokenize([clip(texts[at], limit) for at in short])
        for at, body in zip(short, again, strict=True):
            bodies[at] = body
    return bodies


def first_limit(needed: int) -> int:
    """Return how many characters are tokenized at first.

    >>> first_limit(126)
    2272
    """
    return CHARACTERS_PER_TOKEN * (needed + MARGIN)

"""What a scanner makes of a word: characters, and pairs of them, that look alike in print."""

from __future__ import annotations

_CONFUSED = (
    *(("0", "o"), ("0", "O"), ("1", "l"), ("1", "I"), ("l", "I"), ("l", "i"), ("i", "j")),
    *(("2", "Z"), ("5", "S"), ("5", "s"), ("6", "b"), ("8", "B"), ("9", "g"), ("g", "q")),
    *(("c", "e"), ("e", "o"), ("h", "b"), ("n", "u"), ("f", "t"), ("v", "y"), ("D", "O")),
    *(("rn", "m"), ("cl", "d"), ("vv", "w"), ("ri", "n"), ("li", "h"), ("nn", "m"), ("E", "F")),
)
_BOTH_WAYS = (*_CONFUSED, *((other, one) for one, other in _CONFUSED))


def misread(word: str) -> list[str]:
    """A character or a pair is read as another.

    >>> misread("corn")
    ['eorn', 'coru', 'com', 'c0rn', 'cern', 'corri']
    """
    return [
        word[:at] + other + word[at + len(one) :]
        for one, other in _BOTH_WAYS
        for at in range(len(word))
        if word.startswith(one, at)
    ]

"""Many shapes of numbers as one regular expression that reads what they share once."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PARTS = {
    "9": "[0-9]",
    "A": "[A-Za-z]",
    "X": "[0-9Xx]",
    "*": "[0-9A-Za-z]",
    "-": r"[ \-]",
    " ": "[ ]",
    "+": r"[+\-]",
}
_Trie = dict[str, "_Trie"]
_END = ""  # the key under which a shape ends


def any_shape(shapes: Iterable[str]) -> tuple[re.Pattern[str], list[str]]:
    """Compile shapes, as Identifier spells them, into one search.

    It does not consume what it finds: a number that proves wrong may hold the head of another.

    Returns:
        A pattern, in which the group that matched says which shape it is and ends where that ends;
        the shapes in the order of the groups, from group 1.

    >>> pattern, shapes = any_shape(["99-9", "99A"])
    >>> found = pattern.search("7 45a")
    >>> shapes[found.lastindex - 1], found.start(), found.end(found.lastindex)
    ('99A', 2, 5)
    """
    trie: _Trie = {}
    for shape in sorted(shapes):
        node = trie
        for part in re.findall(r".\??", shape):
            node = node.setdefault(part, {})
        node[_END] = {}
    ordered: list[str] = []
    body = _alternatives(trie, "", ordered)
    start = r"(?<![0-9])(?<![0-9]\.)(?:(?=[0-9])|(?<![A-Za-z])(?=[A-Za-z]))"
    return re.compile(f"{start}(?={body})"), ordered


def _end(shape: str) -> str:
    """Write the empty group of a shape, and what may not follow."""
    if shape[-1] == "!":
        before = rf"(?<![0-9]{{4}}[ \-][\s\S]{{{len(shape) - 1}}})"
        return rf"(){before}(?![0-9]|[ \-][0-9]{{4}}(?![0-9]))"
    return "()(?![0-9])" if shape[-1] == "9" else "()(?![0-9A-Za-z])"


def _alternatives(node: _Trie, shape: str, ordered: list[str]) -> str:
    """Write a node of the trie, and note each shape where its group opens."""
    ways = []
    for part, below in node.items():
        if part == _END:
            ordered.append(shape)
            ways.append(_end(shape))
        else:
            mark = "" if part == "!" else _PARTS.get(part[0], re.escape(part[0])) + part[1:]
            ways.append(mark + _alternatives(below, shape + part, ordered))
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"

"""Where something was found: from, to, and what; never the text itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

Found = tuple[int, int]
"""First character and the one behind the last."""

Find = Callable[[str], Iterator[Found]]
"""A detector: yields what it finds in a text, in time that grows with its length."""


class Span(NamedTuple):
    """A stretch of text of one kind.

    Args:
        start: First character.
        end: The one behind the last.
        kind: What it is.
    """

    start: int
    end: int
    kind: str


def merged(spans: Iterable[Span], kinds: Sequence[str]) -> list[Span]:
    """Join spans that overlap, so that all that any detector found goes.

    Args:
        spans: At least one, in any order.
        kinds: All kinds; the earlier of two names the whole.

    Returns:
        In the order of the text.

    >>> merged([Span(4, 9, "phone"), Span(0, 6, "iban")], ["iban", "phone"])
    [Span(start=0, end=9, kind='iban')]
    """
    first, *others = sorted(spans)
    joined: list[Span] = []
    start, end, kind = first
    for span in others:
        if span.start < end:
            end = max(end, span.end)
            if span.kind != kind:
                kind = min(kind, span.kind, key=kinds.index)
        else:
            joined.append(Span(start, end, kind))
            start, end, kind = span
    return [*joined, Span(start, end, kind)]

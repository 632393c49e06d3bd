"""Where something was found: from, to, and what; never the text itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

Found = tuple[int, int]
"""First character and the one behind the last."""

Find = Callable[[str], Iterator[Found]]
"""A detector: yields what it finds in a text, in time that grows with its length."""


Span = tuple[int, int, str]
"""First character, the one behind the last, and the kind."""


def merged(spans: Iterable[Span], kinds: Sequence[str]) -> list[Span]:
    """Join spans that overlap, so that all that any detector found goes.

    Args:
        spans: At least one, in any order.
        kinds: All kinds; the earlier of two names the whole.

    Returns:
        In the order of the text.

    >>> merged([(4, 9, "phone"), (0, 6, "iban")], ["iban", "phone"])
    [(0, 9, 'iban')]
    """
    (start, end, kind), *others = sorted(spans)
    joined: list[Span] = []
    for next_start, next_end, next_kind in others:
        if next_start < end:
            end = max(end, next_end)
            if next_kind != kind:
                kind = min(kind, next_kind, key=kinds.index)
        else:
            joined.append((start, end, kind))
            start, end, kind = next_start, next_end, next_kind
    return [*joined, (start, end, kind)]

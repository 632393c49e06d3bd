"""Connected components by a search through the graph, to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

Components = Callable[[int, Iterable[tuple[int, int]]], list[int]]


@pytest.fixture
def components() -> Components:
    """The earliest row of each row's component, given the number of rows and the edges."""

    def search(rows: int, edges: Iterable[tuple[int, int]]) -> list[int]:
        near: list[list[int]] = [[] for _ in range(rows)]
        for left, right in edges:
            near[left].append(right)
            near[right].append(left)
        earliest = [-1] * rows
        for start in range(rows):
            waiting = [start] if earliest[start] < 0 else []
            while waiting:
                row = waiting.pop()
                if earliest[row] < 0:
                    earliest[row] = start
                    waiting += near[row]
        return earliest

    return search

"""Connected components, each known by its earliest row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Clusters:
    """Rows that were found to belong together.

    >>> clusters = Clusters(4)
    >>> clusters.join(np.array([3, 2]), np.array([1, 3]))
    >>> clusters.earliest.tolist()
    [0, 1, 1, 1]
    """

    def __init__(self, rows: int) -> None:
        self.earliest: NDArray[np.int64] = np.arange(rows)
        """The earliest row of each row's cluster, [rows]."""

    def join(self, left: NDArray[np.intp], right: NDArray[np.intp]) -> None:
        """Join the clusters of each pair of rows, two arrays [pairs].

        Every round hangs a cluster's earliest row under an earlier one, so half of those that can
        be joined are gone after each.
        """
        while True:
            ours, theirs = self.earliest[left], self.earliest[right]
            apart = ours != theirs
            if not apart.any():
                return
            left, right = left[apart], right[apart]
            ours, theirs = ours[apart], theirs[apart]
            np.minimum.at(self.earliest, np.maximum(ours, theirs), np.minimum(ours, theirs))
            self._shorten()

    def apart(self, left: NDArray[np.intp], right: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return which pairs are not known to belong together, [pairs]."""
        apart: NDArray[np.bool_] = self.earliest[left] != self.earliest[right]
        return apart

    def _shorten(self) -> None:
        while True:
            shorter = self.earliest[self.earliest]
            if (shorter == self.earliest).all():
                return
            self.earliest = shorter

"""The search for near duplicates among many texts, in time that grows with their number."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from lightning_tune.prepare.near.buckets import neighbours
from lightning_tune.prepare.near.clusters import Clusters
from lightning_tune.prepare.near.edits import are_near
from lightning_tune.prepare.near.minhash import band_keys
from lightning_tune.prepare.near.settings import NearSettings

_CHUNK_ROWS = 16_384
_CHUNK_CHARACTERS = 2_000_000
_WORTH_PROCESSES = 4 * _CHUNK_ROWS  # below it a process starts for longer than it works


def near_duplicates(
    texts: Sequence[str], settings: NearSettings, *, processes: int = 1
) -> NDArray[np.int64]:
    """Find texts that differ in few characters.

    Args:
        texts: Any texts.
        settings: What counts as near, and how hard it is looked for.
        processes: How many processes hash and how many threads compare, at least 1.

    Returns:
        For each text the index of the earliest one of its cluster, its own where it stands alone,
        [texts].

    >>> texts = ["Where is my new card?", "Hello", "where is  my new card", "Where is my mew card?"]
    >>> near_duplicates(texts, NearSettings()).tolist()
    [0, 1, 0, 0]
    """
    return near_pairs(texts, settings, processes=processes).clusters


@dataclass(frozen=True)
class NearFound:
    """What a search found.

    Args:
        clusters: For each text the index of the earliest one of its cluster, [texts].
        numbers: For each text the number of what of it is compared; equal ones have one, [texts].
        measured: Pairs of numbers that were counted to be near, as greater * texts + lesser,
            ascending. Not all there are: what a chain of pairs joins is not compared again.
    """

    clusters: NDArray[np.int64]
    numbers: NDArray[np.int64]
    measured: NDArray[np.int64]

    def known(self, row: int, others: Sequence[int]) -> NDArray[np.bool_]:
        """Return which of several texts are known to be near to one, [others]."""
        number, compared = self.numbers[row], self.numbers[list(others)]
        if not len(self.measured):
            equal: NDArray[np.bool_] = compared == number
            return equal
        pairs = _named(np.full_like(compared, number), compared, len(self.numbers))
        at = np.minimum(np.searchsorted(self.measured, pairs), len(self.measured) - 1)
        found: NDArray[np.bool_] = (compared == number) | (self.measured[at] == pairs)
        return found


def near_pairs(texts: Sequence[str], settings: NearSettings, *, processes: int = 1) -> NearFound:
    """Find texts that differ in few characters, and the pairs of them that were compared.

    Near duplicates of near duplicates belong together, as connected components. The result does not
    depend on the number of processes.

    Args:
        texts: Any texts.
        settings: What counts as near, and how hard it is looked for.
        processes: How many processes hash and how many threads compare, at least 1.

    >>> texts = ["Where is my new card?", "Hello", "Where is my mew card?"]
    >>> found = near_pairs(texts, NearSettings())
    >>> found.clusters.tolist(), found.known(2, [0, 1]).tolist()
    ([0, 1, 0], [True, False])
    """
    plain, first, inverse = _distinct(texts, settings.characters)
    clusters = Clusters(len(plain))
    compared = np.array([*plain, None], object)[:-1]  # None keeps numpy from reading into texts
    lengths = np.fromiter(map(len, plain), np.int64, len(plain))
    measured = [np.zeros(0, np.int64)]
    keys = _keys(plain, settings, processes)
    for band, band_of_keys in enumerate(keys):
        for left, right in neighbours(band_of_keys, keys[(band + 1) % len(keys)]):
            new = clusters.apart(left, right)
            left, right = left[new], right[new]
            near = are_near(
                compared,
                lengths,
                (left, right),
                similarity=settings.similarity,
                threads=processes,
            )
            clusters.join(left[near], right[near])
            measured.append(_named(left[near], right[near], len(texts)))
    return NearFound(
        first[clusters.earliest][inverse], inverse, np.unique(np.concatenate(measured))
    )


def _named(left: NDArray[np.int64], right: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return a number for each pair, whichever of the two stands first."""
    named: NDArray[np.int64] = np.maximum(left, right) * count + np.minimum(left, right)
    return named


def plain_text(text: str, characters: int) -> str:
    r"""Return what of a text is compared: no case, single spaces, a bounded length.

    >>> plain_text("  Hello\n WORLD ", 7)
    'hello w'
    """
    return " ".join(text[: 2 * characters].casefold().split())[:characters]


def _distinct(
    texts: Sequence[str], characters: int
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct plain texts, the row where each is first, and which one each row is."""
    numbers: dict[str, int] = {}
    first: list[int] = []
    inverse = np.empty(len(texts), np.int64)
    for row, text in enumerate(texts):
        number = numbers.setdefault(plain_text(text, characters), len(numbers))
        if number == len(first):
            first.append(row)
        inverse[row] = number
    return list(numbers), np.array(first, np.int64), inverse


def _keys(texts: list[str], settings: NearSettings, processes: int) -> NDArray[np.uint32]:
    keys = np.empty((settings.bands, len(texts)), np.uint32)
    done = 0
    for some in _mapped(texts, settings, processes):
        keys[:, done : done + some.shape[1]] = some
        done += some.shape[1]
    return keys


def _mapped(
    texts: list[str], settings: NearSettings, processes: int
) -> Iterable[NDArray[np.uint32]]:
    work = functools.partial(band_keys, settings=settings)
    if processes == 1 or len(texts) < _WORTH_PROCESSES:
        yield from map(work, _chunks(texts))
        return
    # A forked copy of a process with threads can hang.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, _chunks(texts))


def _chunks(texts: list[str]) -> Iterator[list[str]]:
    """Cut texts into chunks of bounded size, the same ones whoever works on them."""
    chunk: list[str] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text)
        if len(chunk) == _CHUNK_ROWS or characters >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk

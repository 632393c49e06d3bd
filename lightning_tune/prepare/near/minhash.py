"""MinHash and its bands: the more shingles texts share, the likelier they get equal keys.

On the resemblance and containment of documents (Broder 1997),
https://doi.org/10.1109/SEQUEN.1997.666900; bands as in Mining of Massive Datasets, chapter 3,
http://www.mmds.org. A pair of Jaccard similarity J meets in a band of h hashes with probability
J**h, in one of b bands with 1 - (1 - J**h)**b.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lightning_tune.prepare.near.settings import NearSettings
from lightning_tune.prepare.near.shingles import mix, rectangles


def multipliers(count: int) -> NDArray[np.uint32]:
    """Return odd numbers; to multiply by one modulo 2**32 reorders all 32-bit hashes.

    >>> bool((multipliers(8) % 2 == 1).all())
    True
    """
    drawn = np.random.default_rng(0).integers(0, 1 << 32, count, dtype=np.uint32)
    return drawn | np.uint32(1)


def minima(hashed: NDArray[np.uint32], factors: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the least hash of each set under each order.

    Args:
        hashed: Hashed shingles, [most, rows].
        factors: One odd number an order, [orders].

    Returns:
        [orders, rows].

    >>> sets = np.array([[3, 7], [10, 7]], np.uint32)
    >>> minima(sets, np.array([1, 2**32 - 1], np.uint32)).tolist()
    [[3, 7], [4294967286, 4294967289]]
    """
    least = np.empty((len(factors), hashed.shape[1]), np.uint32)
    reordered = np.empty_like(hashed)
    for factor, row in zip(factors, least, strict=True):
        np.multiply(hashed, factor, out=reordered)
        np.minimum.reduce(reordered, axis=0, out=row)
    return least


def band_keys(texts: Sequence[str], settings: NearSettings) -> NDArray[np.uint32]:
    """Return each text's key in each band.

    Args:
        texts: Texts of at least 1 character.
        settings: Shingles, bands and hashes a band.

    Returns:
        [bands, texts].
    """
    factors = multipliers(settings.bands * settings.hashes)
    keys = np.empty((settings.bands, len(texts)), np.uint32)
    for rows, hashed in rectangles(texts, settings.shingle):
        least = minima(hashed, factors).reshape(settings.bands, settings.hashes, len(rows))
        keys[:, rows] = _joined(least)
    return keys


def _joined(least: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Turn the hashes of each band into one key: [bands, hashes, rows] -> [bands, rows]."""
    keys = np.zeros((least.shape[0], least.shape[2]), np.uint32)
    for place in range(least.shape[1]):
        keys *= np.uint32(0x9E3779B1)
        keys += least[:, place]
        keys = mix(keys)
    return keys

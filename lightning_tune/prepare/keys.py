"""What a text is known by, whatever its case and spacing: 16 hexadecimal digits."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def content_key(text: str, pair: str | None = None) -> str:
    """Return the key of a text, or of a pair of texts.

    Case, spacing and compatibility forms of Unicode make no difference.

    >>> content_key("Where is  my card?") == content_key("where is my card? ")
    True
    >>> content_key("ab", "c") == content_key("a", "bc")
    False
    """
    return _digest(_plain(text), None if pair is None else _plain(pair)).hex()


def content_keys(
    texts: Sequence[str], pairs: Sequence[str | None] | None = None
) -> NDArray[np.uint64]:
    """Return the keys of many texts as numbers, [n] uint64.

    >>> f"{content_keys(['Hello'])[0]:016x}" == content_key("hello")
    True
    """
    seconds = [None] * len(texts) if pairs is None else pairs
    found = (
        _digest(_plain(text), None if pair is None else _plain(pair))
        for text, pair in zip(texts, seconds, strict=True)
    )
    return _as_numbers(b"".join(found))


def raw_keys(
    texts: Sequence[str | None], pairs: Sequence[str | None] | None = None
) -> NDArray[np.uint64]:
    """Return the keys of texts exactly as they stand, [n] uint64; 0 where one is missing."""
    seconds = [None] * len(texts) if pairs is None else pairs
    found = (
        bytes(8) if text is None else _digest(text, pair)
        for text, pair in zip(texts, seconds, strict=True)
    )
    return _as_numbers(b"".join(found))


def _plain(text: str) -> str:
    if text.isascii():  # nothing there has another compatibility form, and case folds to lower
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _digest(text: str, pair: str | None) -> bytes:
    joined = text if pair is None else f"{text}\0{pair}"
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _as_numbers(digests: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(digests, ">u8").astype(np.uint64)

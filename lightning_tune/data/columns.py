"""Flat binary columns: written as a stream with a checksum, read back as memory maps."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import IO, Any, TypedDict

import numpy as np
from numpy.typing import DTypeLike, NDArray

_BLOCK = 1 << 20  # bytes


class ColumnSpec(TypedDict):
    """What the file of a column must be: its dtype, its size and its checksum."""

    dtype: str
    bytes: int
    crc32: int


class ColumnWriter:
    """Appends arrays of one dtype to a new file that only its owner may read.

    As a context manager it closes the file, finished or not.
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._file = open_private(path)
        self._bytes = 0
        self._crc = 0

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, values: Any) -> None:
        """Write values (an array, a list of numbers, or bytes) at the end."""
        raw = values if isinstance(values, bytes) else np.asarray(values, self._dtype).tobytes()
        self._file.write(raw)
        self._bytes += len(raw)
        self._crc = zlib.crc32(raw, self._crc)

    def finish(self) -> ColumnSpec:
        """Bring the file to disk, close it and say what it must be."""
        sync_and_close(self._file)
        return {"dtype": self._dtype.str, "bytes": self._bytes, "crc32": self._crc}


def open_private(path: Path) -> IO[bytes]:
    """Open a new file for writing that only its owner may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def sync_and_close(file: IO[bytes]) -> None:
    """Flush a file down to the disk and close it."""
    with file:
        file.flush()
        os.fsync(file.fileno())


def open_column(path: Path, spec: ColumnSpec) -> NDArray[Any]:
    """Map a column into memory, read-only."""
    if spec["bytes"] == 0:  # an empty file cannot be mapped
        return np.empty(0, spec["dtype"])
    return np.asarray(np.memmap(path, spec["dtype"], mode="r"))


def is_intact(path: Path, spec: ColumnSpec) -> bool:
    """Return whether a column's file is there, complete and unchanged."""
    if not path.is_file() or path.stat().st_size != spec["bytes"]:
        return False
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc == spec["crc32"]

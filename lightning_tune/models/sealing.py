"""A digest at the end of a zip archive, as PyTorch writes its files: a changed byte is found.

The digest stands in the archive's comment, which readers of zip files pass over, so that a sealed
file is an ordinary checkpoint to every other program. It covers all bytes before the comment.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO
from zipfile import ZipFile

_MARK = b"lightning_tune sha256 "
_SEAL = len(_MARK) + 64
_END = b"PK\x05\x06"  # of the record that ends a zip file: 22 bytes, the comment's length last
_END_SIZE = 22
_CHUNK = 1 << 22


class DamagedFileError(Exception):
    """A file is not what was written: a byte was changed, or the end is missing."""


class SealingWriter:
    """Writes to an open file and counts all bytes in, for the digest that `seal` puts at its end.

    Args:
        file: Opened for writing, at its beginning.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.name = getattr(file, "name", "")
        self._file = file
        self._digest = hashlib.sha256()
        self._held = b""  # the last bytes: the record that `seal` has to change

    def write(self, data: bytes) -> int:
        """Write all but what may be the end."""
        view = memoryview(data).cast("B")
        if len(view) >= _END_SIZE:
            self._put(self._held)
            self._put(view[:-_END_SIZE])
            self._held = bytes(view[-_END_SIZE:])
        else:
            held = self._held + view
            self._put(held[:-_END_SIZE])
            self._held = held[-_END_SIZE:]
        return len(view)

    def flush(self) -> None:
        """Flush what was written so far."""
        self._file.flush()

    def seal(self) -> None:
        """Write the end with the digest.

        Raises:
            ValueError: if what was written is no zip archive without a comment.
        """
        if not (self._held.startswith(_END) and self._held.endswith(b"\0\0")):
            raise ValueError("what was written does not end as a zip archive")
        self._put(self._held[:-2] + struct.pack("<H", _SEAL))
        self._file.write(_MARK + self._digest.hexdigest().encode())

    def _put(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        self._file.write(data)


def verify(path: Path) -> None:
    """Check a zip archive by its seal; one that has none, by the checksums of its members.

    A file that has not changed since it was found good is not read again.

    Raises:
        DamagedFileError: if it is not what was written.
        OSError: if it cannot be read.
    """
    stat = path.stat()
    _verify(path.resolve(), stat.st_size, stat.st_mtime_ns, stat.st_ino)


def seal_of(path: Path) -> str:
    """Return the digest that a sealed file ends with.

    Raises:
        DamagedFileError: if it ends with none.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _SEAL))
        end = file.read()
    if not end.startswith(_MARK):
        raise DamagedFileError("it is not sealed")
    return end[len(_MARK) :].decode("ascii", "replace")


@lru_cache(maxsize=64)
def _verify(path: Path, size: int, mtime: int, inode: int) -> None:
    if size < _END_SIZE:
        raise DamagedFileError("too short")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[-_SEAL:-64] == _MARK:
            _verify_seal(data)
        elif data[-_END_SIZE:].startswith(_END) and data[-2:] == b"\0\0":
            _verify_members(path)
        else:
            raise DamagedFileError("its end is missing")


def _verify_seal(data: mmap.mmap) -> None:
    found = hashlib.sha256()
    with memoryview(data) as view:
        for start in range(0, len(data) - _SEAL, _CHUNK):
            found.update(view[start : min(start + _CHUNK, len(data) - _SEAL)])
    if data[-64:] != found.hexdigest().encode():
        raise DamagedFileError("its bytes are not those that were written")


def _verify_members(path: Path) -> None:
    try:
        with ZipFile(path) as archive:
            bad = archive.testzip()
    except Exception as err:  # broken bytes make zipfile raise whatever they hit
        raise DamagedFileError(str(err)) from err
    if bad is not None:
        raise DamagedFileError(f"{bad} is damaged")

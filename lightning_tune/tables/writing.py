"""Writing files whole or not at all: tables, and any other file through `replace_file`."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lightning_tune.errors import ConfigError, nearest
from lightning_tune.tables.writers import WRITERS, Columns, Kind, Writer

_FULL_OR_FORBIDDEN = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


@contextmanager
def replace_file(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; once written, it takes the place of `path` at once.

    The content is flushed to the disk before the name changes, and the folder after it, so that a
    crash leaves the old file or the new one. On an error the temporary file is removed and `path`
    stays as it was.

    Args:
        path: The file to write; its folder is made where it is missing.
        private: Whether only the owner may read it.

    Raises:
        ConfigError: if the folder cannot be written to or the disk is full.
    """
    temporary = path.parent / f".{path.name[:100]}.{secrets.token_hex(4)}.tmp"
    mode = 0o600 if private else 0o666
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        yield temporary
        if private:
            temporary.chmod(mode)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as err:
        if err.errno not in _FULL_OR_FORBIDDEN:
            raise
        raise ConfigError(
            f"{path} cannot be written: {os.strerror(err.errno)}; make room, or name another place."
        ) from err
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_rows(path: Path, columns: Columns, *, private: bool = True) -> None:
    """Write columns of equal length as .parquet, .csv, .tsv or .jsonl, by the extension of `path`.

    A two-dimensional array is a column of lists. CSV and TSV hold lists as JSON, and None as "".
    Lone surrogates, which no UTF-8 file can hold, are written as U+FFFD.

    Args:
        path: The file to write, whole or not at all.
        columns: The values by column name.
        private: Whether only the owner may read it.

    Raises:
        ConfigError: if the extension is none of these, or the file cannot be written.
        DataError: if a value does not fit into a TSV file, which has no quoting.
    """
    if len({len(values) for values in columns.values()}) > 1:
        raise ValueError(f"columns differ in length: { {n: len(v) for n, v in columns.items()} }")
    with open_rows(path, private=private) as writer:
        writer.append(columns)


@contextmanager
def open_rows(
    path: Path, kinds: Mapping[str, Kind] | None = None, *, private: bool = True
) -> Iterator[Writer]:
    """Yield a writer of a file that appears whole, once all rows are in it, or not at all.

    Args:
        path: The file to write, as for `write_rows`.
        kinds: What each column holds, where the first rows may not tell; None: they do.
        private: Whether only the owner may read it.

    Raises:
        ConfigError: if the extension is none of these, or the file cannot be written.
        DataError: if a value does not fit into a TSV file, which has no quoting.
    """
    check_extension(path)
    with replace_file(path, private=private) as temporary:
        writer = WRITERS[path.suffix](temporary, kinds)
        try:
            yield writer
        except BaseException:
            with suppress(OSError):  # the first error says what is wrong
                writer.close()
            raise
        writer.close()


def check_extension(path: Path) -> None:
    """Refuse a file to write whose extension tells no format.

    Raises:
        ConfigError: naming those there are.
    """
    if path.suffix not in WRITERS:
        raise ConfigError(
            f"{path}: cannot write the extension {path.suffix!r}; use one of {', '.join(WRITERS)}."
            + nearest(path.suffix, WRITERS)
        )

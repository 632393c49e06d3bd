"""Writing files whole or not at all: tables, and any other file through `replace_file`."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lightning_tune.errors import ConfigError, DataError, nearest

_SURROGATE = re.compile("[\ud800-\udfff]")
_SPECIAL = re.compile(r'[",\r\n]')
T = TypeVar("T")
Values = Sequence[Any] | np.ndarray

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
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as err:
        if err.errno not in _FULL_OR_FORBIDDEN:
            raise
        raise ConfigError(
            f"{path} cannot be written: {os.strerror(err.errno)}; make room, or name another place."
        ) from err
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_rows(path: Path, columns: Mapping[str, Values], *, private: bool = True) -> None:
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
    writer = _WRITERS.get(path.suffix)
    if writer is None:
        raise ConfigError(
            f"{path}: cannot write the extension {path.suffix!r}; use one of {', '.join(_WRITERS)}."
            + nearest(path.suffix, _WRITERS)
        )
    if len({len(values) for values in columns.values()}) > 1:
        raise ValueError(f"columns differ in length: { {n: len(v) for n, v in columns.items()} }")
    with replace_file(path, private=private) as temporary:
        writer(temporary, columns)


def _write_parquet(path: Path, columns: Mapping[str, Values]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {}
    for name, values in columns.items():
        if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
            arrays[name] = pa.array(values if values.ndim == 1 else list(values))
        else:
            arrays[name] = pa.array([_clean(value) for value in _plain(values)])
    pq.write_table(pa.table(arrays), path)


def _write_csv(path: Path, columns: Mapping[str, Values]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for row in chain([list(columns)], _records(columns, _cell)):
            file.write(_csv_line(row))


def _csv_line(row: Sequence[str]) -> str:
    """Return a record of RFC 4180; the csv module leaves a lone carriage return unquoted."""
    if list(row) == [""]:
        return '""\n'
    cells = ('"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell for cell in row)
    return ",".join(cells) + "\n"


def _write_tsv(path: Path, columns: Mapping[str, Values]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("\t".join(columns) + "\n")
        for number, row in enumerate(_records(columns, _cell), 1):
            for name, cell in zip(columns, row, strict=True):
                if "\t" in cell or "\n" in cell or "\r" in cell:
                    raise DataError(
                        f"{name!r} of row {number} holds a tab or a line end, which a .tsv cannot "
                        "hold; write .csv, .jsonl or .parquet."
                    )
            file.write("\t".join(row) + "\n")


def _write_jsonl(path: Path, columns: Mapping[str, Values]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for row in _records(columns, _clean):
            record = dict(zip(columns, row, strict=True))
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


_WRITERS: dict[str, Callable[[Path, Mapping[str, Values]], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".jsonl": _write_jsonl,
}


def _records(columns: Mapping[str, Values], convert: Callable[[Any], T]) -> Iterator[list[T]]:
    for row in zip(*(_plain(values) for values in columns.values()), strict=True):
        yield [convert(value) for value in row]


def _plain(values: Values) -> Iterable[Any]:
    if not isinstance(values, np.ndarray):
        return values
    if values.dtype == np.float32:  # the shortest text that reads back as the same float32
        values = values.astype(str).astype(float)
    plain: list[Any] = values.tolist()
    return plain


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    return [_clean(part) for part in value] if isinstance(value, list | tuple) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    value = _clean(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)

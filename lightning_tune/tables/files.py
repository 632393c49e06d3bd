"""Finding, opening and hashing the files that a user names: local paths, globs and fsspec URLs."""

from __future__ import annotations

import glob
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lightning_tune.errors import ConfigError, DataError, nearest


def is_url(source: str) -> bool:
    """Return whether fsspec has to open it.

    >>> is_url("s3://bucket/train.csv"), is_url("data/train.csv")
    (True, False)
    """
    return "://" in source


def expand(source: str | Sequence[str]) -> list[str]:
    """Return the files that a path, a glob, an fsspec URL or a list of them means, globs sorted.

    Raises:
        DataError: if one of them means no file; it names the nearest file there is.
        ConfigError: if a URL's protocol is unknown, or needs a package that is not installed.
    """
    if not isinstance(source, str):
        if not source:
            raise ConfigError("the list of data files is empty; name at least one file.")
        return [file for part in source for file in expand(part)]
    if not source.strip():
        raise ConfigError(f"the data path {source!r} is empty; name a file.")
    return _expand_url(source) if is_url(source) else _expand_local(source)


def _expand_local(source: str) -> list[str]:
    path = Path(source).expanduser()
    if path.is_dir():
        raise DataError(
            f"{source} is a folder; name a file, a glob such as {str(path / '*.csv')!r}, "
            "or a folder that prepare wrote."
        )
    if path.exists():
        if not path.is_file():  # what the first look at it takes is gone for the second
            raise DataError(
                f"{source} is a pipe or a device, and a table is read more than once; write it to "
                "a file, and name that."
            )
        return [str(path)]
    if not glob.has_magic(source):
        raise missing_file(source)
    matches = glob.glob(str(path), recursive=True)  # noqa: PTH207  # Path.glob wants a relative one
    found = sorted(file for file in matches if Path(file).is_file())
    if not found:
        raise DataError(f"no file matches {source!r}.{_nearest_file(path)}")
    return found


def _expand_url(source: str) -> list[str]:
    system, path = _file_system(source)
    if not glob.has_magic(path):
        if system.isfile(path):
            return [source]
        raise DataError(f"{source} does not exist, or is not a file; correct the URL.")
    found = sorted(str(file) for file in system.glob(path) if system.isfile(file))
    if not found:
        raise DataError(f"no file matches {source!r}; correct the URL.")
    return [system.unstrip_protocol(file) for file in found]


def _file_system(source: str) -> tuple[Any, str]:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(source)
    except ImportError as err:
        raise ConfigError(
            f"{source}: its protocol needs a package that is missing: {err}."
        ) from err
    except ValueError as err:
        protocol = source.split("://", 1)[0]
        raise ConfigError(
            f"{source}: the protocol {protocol!r} is unknown to fsspec."
            + nearest(protocol, fsspec.available_protocols())
        ) from err
    return system, str(path)


def missing_file(source: str) -> DataError:
    """Return the error for a local file that is not there; it names the nearest one."""
    return DataError(f"{source} does not exist.{_nearest_file(Path(source).expanduser())}")


def _nearest_file(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f" There is no folder {str(folder)!r}."
    hint = nearest(path.name, sorted(entry.name for entry in folder.iterdir()))
    return hint or " Correct the path."


@contextmanager
def open_binary(source: str) -> Iterator[IO[bytes]]:
    """Open a file or URL for reading bytes; .gz files are decompressed.

    Raises:
        DataError: if it is missing, or cannot be opened or read to its end.
    """
    try:
        with _open_raw(source) as file:
            if source.lower().endswith(".gz"):
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield unpacked  # type: ignore[misc]  # it reads as IO[bytes] does
            else:
                yield file
    except FileNotFoundError as err:
        raise missing_file(source) from err
    except (OSError, EOFError, zlib.error) as err:
        reason = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
        raise DataError(f"{source} cannot be read: {reason}.") from err


def _open_raw(source: str) -> IO[bytes]:
    if is_url(source):
        system, path = _file_system(source)
        file: IO[bytes] = system.open(path, "rb")
        return file
    return Path(source).expanduser().open("rb")


def digest(source: str) -> str:
    """Return the sha256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        DataError: if it is missing or cannot be read.
    """
    with open_binary(source) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]

"""Folders that appear whole or not at all; what a killed process had begun goes with the next."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lightning_tune.errors import ConfigError
from lightning_tune.tables.writing import sync


def check_output(output: Path) -> None:
    """Refuse a place where no new folder can be.

    Raises:
        ConfigError: if something is there already, or nothing can be written there.
    """
    if output.name in ("", ".."):  # of a folder that is there, which no other can take the place of
        raise ConfigError(f"output={str(output)!r} names no new folder; give it a name of its own.")
    if output.is_dir() and any(output.iterdir()):
        raise ConfigError(
            f"output={str(output)!r} exists and is not empty; name a new folder, or remove it."
        )
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output={str(output)!r} is a file; name a new folder.")
    above = next(folder for folder in output.absolute().parents if folder.exists())
    if not above.is_dir():
        raise ConfigError(f"output={str(output)!r}: {above} is no folder; name another place.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"output={str(output)!r}: {above} cannot be written to; name another.")


@contextmanager
def appearing(output: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a hidden folder beside `output`; once filled, it becomes `output` at once.

    Everything in it is flushed to the disk before. On an error nothing stays behind.

    Args:
        output: The folder to make; those above it are made where they are missing.
        private: Whether only the owner may look into it.

    Raises:
        ConfigError: if something else is at `output` by then.
    """
    with passing(output, private=private) as hidden:
        yield hidden
        for folder, _, names in os.walk(hidden):
            for place in (*(Path(folder) / name for name in names), Path(folder)):
                sync(place)
        check_output(output)
        hidden.rename(output)
        sync(output.absolute().parent)


@contextmanager
def passing(output: Path, *, private: bool = True) -> Iterator[Path]:
    """Yield a hidden folder beside `output`, for work on it, which is gone in the end.

    The folder is locked as long as its process lives, so that hidden folders of this output which
    nobody holds, those of processes that were killed, are known and removed first.

    Args:
        output: The folder to make; those above it are made where they are missing.
        private: Whether only the owner may look into the hidden one.
    """
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(output)
    hidden, lock = _hidden(output, 0o700 if private else 0o777)
    try:
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        os.close(lock)


def remove_leftovers(output: Path) -> None:
    """Remove the hidden folders of this output whose process is gone; others are left alone."""
    name = re.escape(output.name[:100])
    named = re.compile(rf"\.{name}\.[0-9a-f]{{8}}\.tmp")
    for folder in output.absolute().parent.iterdir():
        if named.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            _remove_unheld(folder)


def _remove_unheld(folder: Path) -> None:
    with suppress(OSError):  # it went meanwhile, or is another user's
        lock = os.open(folder, os.O_RDONLY)
        try:
            if _lock(lock) is True:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _hidden(output: Path, mode: int) -> tuple[Path, int]:
    """Make a hidden folder and lock it; the lock ends with the process, however that ends."""
    while True:
        hidden = output.absolute().parent / f".{output.name[:100]}.{secrets.token_hex(4)}.tmp"
        hidden.mkdir(mode=mode)
        with suppress(FileNotFoundError):  # another process took it for a leftover before the lock
            lock = os.open(hidden, os.O_RDONLY)
            if _lock(lock) is not False and hidden.is_dir():
                return hidden, lock
            os.close(lock)


def _lock(descriptor: int) -> bool | None:
    """Return whether the lock was got; None where there are none, and leftovers stay."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # on Windows
        return None
    except OSError as err:
        return False if err.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True

"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_tune.errors import ConfigError
from lightning_tune.tables.writing import sync


def check_output(output: Path) -> None:
    """Refuse a place where no new folder can be.

    Raises:
        ConfigError: if something is there already, or nothing can be written there.
    """
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
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    hidden = output.absolute().parent / f".{output.name[:100]}.{secrets.token_hex(4)}.tmp"
    hidden.mkdir(mode=0o700 if private else 0o777)
    try:
        yield hidden
        for folder, _, names in os.walk(hidden):
            for place in (*(Path(folder) / name for name in names), Path(folder)):
                sync(place)
        check_output(output)
        hidden.rename(output)
        sync(output.absolute().parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)

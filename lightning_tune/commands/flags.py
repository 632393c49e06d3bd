"""A command's own flags, in errors that name the settings of `fit`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import get_type_hints

from lightning_tune.errors import ConfigError, DataError


@contextmanager
def own_flags(command: Callable[..., None]) -> Iterator[None]:
    """Name a command's flags in errors of tables: `--text` where `fit` has `data.text`.

    Args:
        command: Its function.
    """
    try:
        yield
    except (DataError, ConfigError) as err:
        flags = flags_of(command)
        named = rf"(?<![\w./\\-])data\.({'|'.join(flags)})\b"
        raise type(err)(re.sub(named, lambda found: flags[found[1]], str(err))) from err


def flags_of(command: Callable[..., None]) -> dict[str, str]:
    """Return the flag of each parameter, and of each field of one that groups several.

    >>> def command(output: str): ...
    >>> flags_of(command)
    {'output': '--output'}
    """
    hints = {name: hint for name, hint in get_type_hints(command).items() if name != "return"}
    grouped = {
        field.name: f"--{name}.{field.name}"
        for name, hint in hints.items()
        if is_dataclass(hint)
        for field in fields(hint)
    }
    return grouped | {name: f"--{name}" for name in hints}

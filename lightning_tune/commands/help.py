"""`fit --help` and its like: every setting of data, model and trainer, default and meaning."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any, get_type_hints

import docstring_parser
from lightning.pytorch import Trainer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightning_tune.cli import COMMANDS, PROGRAM
from lightning_tune.commands.settings import shipped_configs
from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.training.module import TextClassifier

HIDDEN = frozenset({"self", "architecture", "labels"})
"""Arguments that a checkpoint or a link fills."""


def show(command: str, own: dict[str, str], defaults: dict[str, Any]) -> None:
    """Print the help of a command that trains or evaluates.

    Args:
        command: fit, validate, test or predict.
        own: The command's own flags and what they mean.
        defaults: Trainer settings whose default is ours.
    """
    console = Console()
    console.print(Text(f"usage: {PROGRAM} {command} [-c CONFIG]... [--SECTION.NAME VALUE]..."))
    console.print(Text(f"\n{COMMANDS[command].summary.capitalize()}.\n"))
    console.print(_table("options", [(flag, "", meaning) for flag, meaning in own.items()]))
    console.print(_table("data", list(_settings("data", TextDataModule))))
    console.print(_table("model", list(_settings("model", TextClassifier))))
    console.print(_table("trainer", list(_settings("trainer", Trainer, defaults))))
    names = ", ".join(shipped_configs())
    console.print(Text(f"shipped configs  {names}"))


def _table(title: str, rows: list[tuple[str, str, str]]) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold italic",
        box=None,
        show_header=False,
        pad_edge=False,
    )
    table.add_column(no_wrap=True, style="bold")
    table.add_column(max_width=22)
    table.add_column()
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _settings(
    prefix: str, kind: type, defaults: dict[str, Any] | None = None
) -> Iterator[tuple[str, str, str]]:
    """Yield flag, default and meaning of each argument; a settings group yields its own fields."""
    init: Any = kind.__init__  # type: ignore[misc]
    hints = get_type_hints(init)
    meanings = {**_meanings(kind.__doc__), **_meanings(init.__doc__)}
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in HIDDEN:
            continue
        default = (defaults or {}).get(name, parameter.default)
        hint = hints.get(name)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            yield from _settings(f"{prefix}.{name}", hint)
        else:
            shown = "required" if default is parameter.empty else _value(default)
            yield f"--{prefix}.{name}", shown, meanings.get(name, "")


def _value(default: Any) -> str:
    if dataclasses.is_dataclass(default):
        return type(default).__name__
    return "null" if default is None else str(default)


def _meanings(docstring: str | None) -> dict[str, str]:
    """Return the first sentence on each argument, without markup."""
    parsed = docstring_parser.parse(inspect.cleandoc(docstring or ""))
    return {param.arg_name: _first_sentence(param.description or "") for param in parsed.params}


def _first_sentence(text: str) -> str:
    plain = re.sub(r":class:`~?[\w.]*?(\w+)`", r"\1", " ".join(text.split())).replace("`", "")
    return re.split(r"(?<=\.)\s(?=[A-Z])", plain)[0]

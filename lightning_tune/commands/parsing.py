"""A parser whose errors are one line: what was set, to which value, and what it may be."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from itertools import pairwise
from typing import Any, NoReturn, get_type_hints

from jsonargparse import (  # type: ignore[attr-defined]
    ActionConfigFile,
    ArgumentParser,
    Namespace,
)

from lightning_tune.cli import PROGRAM
from lightning_tune.commands.settings import Setting, given
from lightning_tune.errors import ConfigError, nearest
from lightning_tune.serving.typed import decode


class OneLineErrors:
    """Makes a jsonargparse parser raise ConfigError instead of printing its usage and exiting.

    Attributes:
        settings: What the user gave, so that an error can say where a value came from.
        options: The flags there are, so that an error can name the nearest.
    """

    settings: Sequence[Setting] = ()
    options: Sequence[str] = ()

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ConfigError with the cause in one line."""
        options = self.options or self._own_options()
        raise ConfigError(explain(message, self.settings, options)) from ex

    def _own_options(self) -> list[str]:
        """Return the flags of a parser that jsonargparse made itself, as for a nested dataclass."""
        actions = getattr(self, "_actions", ())
        return [option for action in actions for option in action.option_strings]


class FunctionParser(OneLineErrors, ArgumentParser):
    """The parser of a command that is one typed function."""


def run_function(function: Callable[..., int | None], name: str, args: Sequence[str]) -> int:
    """Run a command that is one typed function: options and help come from signature and docstring.

    Args:
        function: Returns an exit code, or None for 0.
        name: The command.
        args: The words after it.
    """
    parser = FunctionParser(prog=f"{PROGRAM} {name}", allow_abbrev=False)
    parser.add_argument(
        "-c", "--config", action=ActionConfigFile, help="A YAML file with these options."
    )
    parser.add_function_arguments(function, as_positional=False)
    parser.settings = given(args)
    parser.options = [f"--{parameter}" for parameter in inspect.signature(function).parameters]
    values = parser.parse_args(list(args)).as_dict()
    values.pop("config", None)
    return function(**as_hinted(function, values)) or 0


def with_values(args: Sequence[str], *flags: str) -> list[str]:
    """Give flags that may stand alone the value that they have then: true.

    Args:
        args: The words of a command line.
        flags: The flags.

    >>> with_values(["--weak", "--several", "false", "--seed", "1"], "--weak", "--several")
    ['--weak=true', '--several', 'false', '--seed', '1']
    """
    return [
        f"{arg}=true" if arg in flags and after.lower() not in ("true", "false") else arg
        for arg, after in pairwise([*args, ""])
    ]


def as_hinted(function: Callable[..., Any], values: dict[str, Any]) -> dict[str, Any]:
    """Make the dataclasses that a function takes of the mappings that the parser gives."""
    hints = get_type_hints(function)
    return {
        name: decode(hints[name], _plain(value), name) if is_dataclass(hints[name]) else value
        for name, value in values.items()
    }


def _plain(value: Any) -> Any:
    """Return a value with the parser's own mappings, which stand in lists too, as dictionaries."""
    if isinstance(value, Namespace):
        value = value.as_dict()
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def explain(message: str, settings: Sequence[Setting], options: Sequence[str] = ()) -> str:
    r"""Turn a parser's message into one line that names key, value and rule.

    Args:
        message: What jsonargparse would print; of a union it lists an error for each type.
        settings: What the user gave.
        options: The flags there are.

    >>> explain('Parser key "lr":\n  Expected a <class \'float\'>. Got value: abc', [])
    "lr='abc' is not a float."
    """
    key = _search(r'Parser key "([^"]+)"', message)
    if key is None:
        return _unkeyed(message, settings, options)
    explained = _search(r"\n\s+- (?!Expected|Not a valid|Unable to)(.+)", message)
    if explained is not None:  # one level below
        nested = re.match(r"'(\S+)'( is not a setting.*)", explained)
        if nested is not None and "NestedArg(" in message:
            return f"--{key}.{nested[1]}{nested[2]}"
        inside = explained.startswith(key) or "NestedArg(" in message
        return explained if inside else f"{_source(key, settings)}{explained}"
    value = _search(r"(?:Got value|Given value): (.*)", message)
    where = _locate(key, settings, value)
    expected = _expected(message, value)
    if expected and value is not None:
        return f"{where} is not {expected}"
    cause = " ".join(line.strip() for line in message.splitlines()[1:] if line.strip())
    return f"{where}: {cause or message}"


def _unkeyed(message: str, settings: Sequence[Setting], options: Sequence[str]) -> str:
    option = _search(r"(?:Option|does not accept option) '([^']+)'", message)
    if option is not None:
        matching = [s for s in settings if s.key.split(".")[-1] == option]
        where = f"{matching[-1].source}: {matching[-1].key!r}" if matching else repr(option)
        return f"{where} is not a setting.{nearest(option, [o.strip('-') for o in options])}"
    unknown = _search(r"unrecognized arguments: (.*)", message)
    if unknown is not None:
        word = unknown.split()[0].partition("=")[0]
        return f"{word} is not an option; --help lists those there are.{nearest(word, options)}"
    without = _search(r"argument (\S+): expected one argument", message)
    if without is not None:
        return f"{without} needs a value after it."
    missing = _search(r"(?:arguments are required|Key) *:? *\"?([\w.]+)\"?", message)
    if missing is not None and "required" in message:
        name = {"backbone": "model.backbone"}.get(missing, missing)
        return f"{name} is missing; give --{name}, or a config with -c."
    return " ".join(message.split())


def _source(key: str, settings: Sequence[Setting]) -> str:
    """Return the file or flag that a key is from, to stand before a sentence."""
    sources = [s.source for s in settings if s.key.replace("+", "").startswith(key)]
    return f"{sources[-1]}: {key}: " if sources else f"{key}: "


def _locate(key: str, settings: Sequence[Setting], value: str | None) -> str:
    matching = [s for s in settings if s.key == key or s.key.endswith(f".{key}")]
    exact = [s for s in matching if value is None or str(s.value) == value] or matching
    if exact:
        return f"{exact[-1].key}={exact[-1].value!r} (from {exact[-1].source})"
    return f"{key}={value!r}" if value is not None else key


def _expected(message: str, value: str | None) -> str:
    names = re.findall(r"Expected an? <class '([\w.]+)'>", message)
    options = ["null" if name == "NoneType" else "a " + name.rsplit(".", 1)[-1] for name in names]
    options = [option.replace("a int", "an int") for option in options]
    literals = re.findall(r"Expected (?:a |an )?typing\.Literal\[([^\]]*)\]", message)
    choices = [choice.strip("'") for literal in literals for choice in literal.split(", ")]
    if choices:
        options.insert(0, f"one of {', '.join(dict.fromkeys(choices))}")
    hint = nearest(value, choices) if value and choices else ""
    return f"{' or '.join(dict.fromkeys(options))}.{hint}" if options else ""


def _search(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found.group(1) if found else None

"""A parser whose errors are one line: what was set, to which value, and what it may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser

from lightning_tune.cli import PROGRAM
from lightning_tune.commands.settings import Setting
from lightning_tune.errors import ConfigError, nearest


class OneLineErrors:
    """Makes a jsonargparse parser raise ConfigError instead of printing its usage and exiting.

    Attributes:
        settings: What the user gave, so that an error can say where a value came from.
    """

    settings: Sequence[Setting] = ()

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ConfigError with the cause in one line."""
        raise ConfigError(explain(message, self.settings)) from ex


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
    parser.add_argument("-c", "--config", action=ActionConfigFile, help="A YAML file with these options.")
    parser.add_function_arguments(function, as_positional=False)
    values = parser.parse_args(list(args)).as_dict()
    values.pop("config", None)
    return function(**values) or 0


def explain(message: str, settings: Sequence[Setting]) -> str:
    """Turn a parser's message into one line that names key, value and rule.

    >>> explain('Parser key "lr":\\n  Expected a <class \\'float\\'>. Got value: abc', [Setting("model.lr", "abc", "--model.lr")])
    "model.lr='abc' (from --model.lr) is not a float."
    """
    if "NestedArg(" in message:  # a flag inside model or data: the cause was explained one level below
        return _search(r"Errors:\n\s+- (.*)", message) or message
    key = _search(r'Parser key "([^"]+)"', message)
    if key is None:
        return _unkeyed(message, settings)
    value = _search(r"(?:Got value|Given value): (.*)", message)
    class_name = _search(r"Expected a dot import path string: (\S+)", message) or _search(
        r"Import path (\S+?)(?: |$)", message
    )
    where = _locate(key, settings, value)
    if class_name is not None and "." not in class_name:
        return f"{where}: there is no class {class_name!r}.{nearest(class_name, _class_names())} A class of your own is named package.module.Class."
    expected = _expected(message, value)
    if expected and value is not None:
        return f"{where} is not {expected}"
    cause = " ".join(line.strip() for line in message.splitlines()[1:] if line.strip())
    return f"{where}: {cause or message}"


def _unkeyed(message: str, settings: Sequence[Setting]) -> str:
    option = _search(r"(?:Option|does not accept option) '([^']+)'", message)
    if option is not None:
        matching = [s for s in settings if option in s.key.split(".") or s.key.endswith(option)]
        where = f"{matching[-1].source}: {matching[-1].key!r}" if matching else repr(option)
        return f"{where} is not a setting."
    unknown = _search(r"unrecognized arguments: (.*)", message)
    if unknown is not None:
        return f"{unknown.split()[0]} is not an option; --help lists those there are."
    missing = _search(r"(?:arguments are required|Key) *:? *\"?([\w.]+)\"?", message)
    if missing is not None and "required" in message:
        name = missing if "." in missing else f"model.{missing}"
        return f"{name} is missing; give --{name}, or a config with -c."
    return " ".join(message.split())


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


def _class_names() -> list[str]:
    """Names that a config may use without a module path: callbacks, loggers, objectives, ours first."""
    import lightning.pytorch.callbacks as callbacks
    import lightning.pytorch.loggers as loggers

    from lightning_tune.training.objectives import Objective

    return [kind.__name__ for kind in Objective.__subclasses__()] + [*callbacks.__all__, *loggers.__all__]

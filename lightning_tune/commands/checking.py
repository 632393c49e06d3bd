"""Whether settings can be as given: every key against the signatures, every value against its type.

The parser checks them once more; here it is asked one value at a time, so that errors name a key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, get_args, get_origin

from jsonargparse import ArgumentError, ArgumentParser

from lightning_tune.commands.rules import RULES, from_yaml
from lightning_tune.commands.settings import Setting
from lightning_tune.commands.signatures import (
    GROUPS,
    bases_in,
    describe,
    find_class,
    group_classes,
    group_in,
    is_spec,
    parameters,
    subclasses,
    without_classes,
)
from lightning_tune.errors import ConfigError, nearest, one_of

TOP_TYPES: Mapping[str, Any] = {
    "seed_everything": bool | int,
    "ckpt_path": str | None,
    "weights_only": bool | None,
    "verbose": bool,
}
SPEC = ("class_path", "init_args", "dict_kwargs")
CONFIG_FILES = (".yaml", ".yml", ".json")


def check_settings(
    command: str, settings: Sequence[Setting], top: Sequence[str], chosen: Sequence[Setting] = ()
) -> None:
    """Report every key that no setting answers to and every value of another type, all at once.

    Args:
        command: The command, for the message.
        settings: What was given, in its order.
        top: Names allowed at the top beside trainer, model and data.
        chosen: What a run that is continued was made with; its classes have settings too.

    Raises:
        ConfigError: naming each key, its source, and the nearest key or the type there is.
    """
    checker = Checker([*chosen, *settings], top)
    checker.remember(chosen)
    problems = [problem for setting in settings for problem in checker.problems(setting)]
    problems += checker.missing()
    if problems:
        unique = " ".join(dict.fromkeys(problems))
        more = f" `{command} --help` lists all settings." if "is not a setting" in unique else ""
        raise ConfigError(unique + more)


class Checker:
    """Checks settings one after the other; remembers which classes were chosen before.

    Args:
        settings: All that will be checked.
        top: Names allowed at the top beside trainer, model and data.
    """

    def __init__(self, settings: Sequence[Setting], top: Sequence[str]) -> None:
        self._keys = {setting.key for setting in settings}
        self._top = top
        self._chosen: dict[str, type | None] = dict(group_classes())
        self._named: dict[str, Setting] = {}

    def remember(self, settings: Sequence[Setting]) -> None:
        """Note the classes that settings choose, and nothing that is wrong with them."""
        for setting in settings:
            list(self.problems(setting))
        self._named.clear()

    def problems(self, setting: Setting) -> Iterator[str]:
        """Yield what is wrong with a setting, in whole sentences."""
        group, *rest = (part.removesuffix("+") for part in setting.key.split("."))
        if group not in (*GROUPS, *self._top):
            yield _unknown(group, [*GROUPS, *self._top], setting)
        elif setting.is_flag and setting.value is None:
            yield f"{setting.source} needs a value after it."
        elif group in GROUPS:
            yield from self._inside((group_classes()[group],), group, rest, setting)
        elif group in TOP_TYPES:
            yield from self._value(TOP_TYPES[group], group, setting)

    def missing(self) -> Iterator[str]:
        """Yield the arguments that a class which was named cannot do without."""
        for path, setting in self._named.items():
            kind = self._chosen.get(path)
            needed = parameters(kind).required if kind is not None else ()
            given = {key.replace("+", "") for key in self._keys}
            absent = [name for name in needed if f"{path}.{name}" not in given]
            if absent and kind is not None and path not in GROUPS:
                yield _lacking(kind, absent, path, setting)

    def _inside(
        self, bases: tuple[type, ...], path: str, rest: Sequence[str], setting: Setting
    ) -> Iterator[str]:
        """Check the name of a class, or one of its arguments."""
        if not rest:
            yield from self._made(bases, path, setting)
        elif rest[0] == "class_path":
            yield from self._choose(bases, path, setting.value, setting)
            self._named[path] = setting
        elif rest[0] == "help":
            return
        elif path not in self._chosen:
            yield f"{setting.source}: name the class of {path} before its settings: --{path} NAME."
        else:
            yield from self._argument(self._chosen[path], path, rest, setting)

    def _argument(
        self, kind: type | None, path: str, rest: Sequence[str], setting: Setting
    ) -> Iterator[str]:
        if kind is None:  # no class was chosen, or one that was reported already
            return
        known = parameters(kind)
        name, *deeper = rest
        if name in known.hints:
            default = known.default_classes.get(name)
            if default is not None and issubclass(default, bases_in(known.hints[name])):
                self._chosen.setdefault(f"{path}.{name}", default)
            yield from self._typed(known.hints[name], f"{path}.{name}", deeper, setting)
        elif not known.takes_others:
            yield _unknown(f"{path}.{name}", [*known.hints, *SPEC[:2]], setting)

    def _typed(
        self, hint: Any, path: str, deeper: Sequence[str], setting: Setting
    ) -> Iterator[str]:
        """Check a value against a type, or a deeper key against what the type has inside."""
        if not deeper:
            yield from self._value(hint, path, setting)
        elif group := group_in(hint):
            if not is_spec(group):
                yield from self._argument(group, path, deeper, setting)
            elif f"{path}.class_path" not in self._keys:
                yield f"{setting.source}: {path} has no class_path; it names the class to make."
        elif bases := bases_in(hint):
            yield from self._inside(bases, path, deeper, setting)
        elif mapping := [kind for kind in (hint, *get_args(hint)) if get_origin(kind) is dict]:
            inner = get_args(mapping[0])[1]
            yield from self._typed(inner, f"{path}.{deeper[0]}", deeper[1:], setting)
        elif hint is not Any:
            yield f"{setting.source}: {path} is one value and has no {'.'.join(deeper)!r} inside."

    def _value(self, hint: Any, path: str, setting: Setting) -> Iterator[str]:
        value = setting.value
        if isinstance(value, str) and value.endswith(CONFIG_FILES):
            return  # a file with the value, or a text: the parser knows
        meant = from_yaml(value) if setting.is_flag and value else value
        bases = bases_in(hint)
        group = group_in(hint)
        if bases and isinstance(value, str):
            self._remember_name(bases, path, value)
        if group is not None and (meant is not None or not fits(hint, None, flag=False)):
            yield from self._fields(group, path, setting)
        elif bases and not fits(without_classes(hint), value, flag=setting.is_flag):
            yield from self._made(bases, path, setting)
        elif group is None and not bases and not fits(hint, value, flag=setting.is_flag):
            yield _wrong(hint, path, setting)
        elif path in RULES:
            holds, text = RULES[path]
            if meant is not None and not holds(meant):
                yield f"{_named(path, setting)} {text}"

    def _fields(self, hint: type, path: str, setting: Setting) -> Iterator[str]:
        value = from_yaml(setting.value) if setting.is_flag else setting.value
        if not isinstance(value, Mapping):
            names = ", ".join(parameters(hint).hints)
            yield f"{_named(path, setting)} is no mapping; it has {names} inside."
            return
        for name, inner in value.items():
            part = dataclasses.replace(setting, key=f"{path}.{name}", value=inner)
            yield from self._typed(hint, path, [str(name)], part)

    def _made(self, bases: tuple[type, ...], path: str, setting: Setting) -> Iterator[str]:
        """Check what stands for an object: a class name, a class_path, or a list of these."""
        value = from_yaml(setting.value) if setting.is_flag else setting.value
        if isinstance(value, list):
            for item in value:
                part = dataclasses.replace(setting, value=item, is_flag=False)
                yield from self._made(bases, path, part)
        elif isinstance(value, str):
            yield from self._choose(bases, path, value, setting)
            self._named[path] = setting
        elif value is None:
            yield f"{path} (from {setting.source}) is empty; give it settings, or leave it out."
        elif path in GROUPS:
            yield f"{_named(path, setting)} holds no settings; write keys inside {path}."
        elif not isinstance(value, Mapping):
            yield f"{_named(path, setting)} is not the name of {one_of(bases)}."
        elif "class_path" not in value:
            wrong = next((str(key) for key in value if key not in SPEC), "")
            yield f"{setting.source}: {path} has no class_path.{nearest(wrong, SPEC)}"
        else:
            yield from self._spec(value, bases, path, setting)

    def _spec(
        self, value: Mapping[str, Any], bases: tuple[type, ...], path: str, setting: Setting
    ) -> Iterator[str]:
        for key in value:
            if key not in SPEC:
                yield _unknown(f"{path}.{key}", SPEC, setting)
        yield from self._choose(bases, path, value["class_path"], setting)
        arguments = value.get("init_args") or {}
        kind = self._chosen[path]
        absent = (
            [] if kind is None else [n for n in parameters(kind).required if n not in arguments]
        )
        if kind is not None and absent:
            yield _lacking(kind, absent, path, setting)
        for name, inner in arguments.items():
            part = dataclasses.replace(setting, key=f"{path}.{name}", value=inner, is_flag=False)
            yield from self._argument(kind, path, [name], part)

    def _remember_name(self, bases: tuple[type, ...], path: str, name: str) -> None:
        """Remember a class, where its name may also be another text (trainer.strategy)."""
        with suppress(ConfigError):
            self._chosen[path] = find_class(name, bases)

    def _choose(
        self, bases: tuple[type, ...], path: str, name: Any, setting: Setting
    ) -> Iterator[str]:
        """Remember the class that a key was given, or say why there is none of this name."""
        self._chosen[path] = None
        try:
            self._chosen[path] = find_class(str(name), bases)
        except ConfigError as err:
            shown = f"{path}={name!r} (from {setting.source})"
            bare = [] if "." in str(name) else [kind.__name__ for kind in subclasses(bases)]
            hint = nearest(str(name), bare)
            yield f"{shown}: {err}{hint}"


def fits(hint: Any, value: Any, *, flag: bool) -> bool:
    """Whether a value is of a type, by the parser's own rules.

    Args:
        hint: The type; None: no plain value is.
        value: The value, from YAML or from the command line.
        flag: Whether it is from the command line, where everything is text.
    """
    if hint is Any:
        return True
    if hint is None:
        return False
    if value is None:  # which the parser takes for not given
        return hint is type(None) or type(None) in get_args(hint)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=hint)
    try:
        if flag:
            parser.parse_args([f"--value={value}"])
        else:
            parser.parse_object({"value": value})
    except ArgumentError:
        return False
    return True


def _unknown(key: str, names: Sequence[str], setting: Setting) -> str:
    return f"{setting.source}: {key!r} is not a setting.{nearest(key.split('.')[-1], names)}"


def _wrong(hint: Any, path: str, setting: Setting) -> str:
    expected, choices = describe(hint)
    hint = nearest(setting.value, choices) if isinstance(setting.value, str) else ""
    return f"{_named(path, setting)} is not {expected}.{hint}"


def _named(path: str, setting: Setting) -> str:
    value = "null" if setting.value is None else repr(setting.value)
    return f"{path}={value} (from {setting.source})"


def _lacking(kind: type, names: Sequence[str], path: str, setting: Setting) -> str:
    return f"{setting.source}: {path} is {one_of((kind,))}, which needs {', '.join(names)}."

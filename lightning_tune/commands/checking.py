"""Whether settings can be as given: every key against the signatures, every value against its type.

The parser checks the same once more. It is asked here one value at a time, so that an error names one key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from lightning_tune.commands.settings import Setting
from lightning_tune.commands.signatures import (
    GROUPS,
    Parameters,
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
from lightning_tune.errors import ConfigError, nearest

TOP_TYPES: Mapping[str, Any] = {
    "seed_everything": bool | int,
    "ckpt_path": str | None,
    "weights_only": bool | None,
    "verbose": bool,
}
SPEC = ("class_path", "init_args", "dict_kwargs")
CONFIG_FILES = (".yaml", ".yml", ".json")

Rule = tuple[Callable[[Any], bool], str]
RULES: Mapping[str, Rule] = {  # of what neither the type nor Lightning refuses
    "seed_everything": (
        lambda seed: 0 <= seed < 2**32,
        "is outside 0 to 4294967295; choose another seed.",
    ),
    "ckpt_path": (lambda path: path != "", "names no file; give the path of a checkpoint."),
    "data.num_workers": (lambda count: count >= 0, "is below 0; 0 is usually the fastest."),
    "model.architecture": (
        lambda text: isinstance(_yaml(text), Mapping),
        "is no encoder config; only a checkpoint fills it: leave it out.",
    ),
    "trainer.accumulate_grad_batches": (
        lambda count: count >= 1,
        "is below 1; 1 makes a step of every batch.",
    ),
    "trainer.barebones": (
        lambda bare: not bare,
        "leaves out checkpoints, loggers and the bar, which every run here has; leave it out.",
    ),
    "trainer.check_val_every_n_epoch": (
        lambda every: every >= 1,
        "is below 1; 1 validates after every epoch.",
    ),
    "trainer.gradient_clip_val": (lambda norm: norm >= 0, "is below 0; 0 clips nothing."),
    "trainer.limit_train_batches": (
        lambda limit: limit != 0,
        "leaves nothing to train on; `validate` measures a checkpoint.",
    ),
    "trainer.limit_val_batches": (
        lambda limit: limit != 0,
        "leaves nothing to choose the best epoch on; a smaller data.val_share costs less.",
    ),
    "trainer.max_epochs": (
        lambda count: count != 0,
        "trains nothing; `validate` measures a checkpoint.",
    ),
}


def check_settings(command: str, settings: Sequence[Setting], top: Sequence[str]) -> None:
    """Report every key that no setting answers to and every value of another type, all at once.

    Args:
        command: The command, for the message.
        settings: What was given, in its order.
        top: Names allowed at the top beside trainer, model and data.

    Raises:
        ConfigError: naming each key, its source, and the nearest key or the type there is.
    """
    checker = Checker(settings, top)
    problems = [problem for setting in settings for problem in checker.problems(setting)]
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

    def problems(self, setting: Setting) -> Iterator[str]:
        """Yield what is wrong with a setting, in whole sentences."""
        if setting.is_flag and setting.value is None:
            yield f"{setting.source} needs a value after it."
            return
        group, *rest = (part.removesuffix("+") for part in setting.key.split("."))
        if group in GROUPS:
            yield from self._inside((group_classes()[group],), group, rest, setting)
        elif group not in self._top:
            yield _unknown(group, [*GROUPS, *self._top], setting)
        elif group in TOP_TYPES:
            yield from self._value(TOP_TYPES[group], group, setting)

    def _inside(
        self, bases: tuple[type, ...], path: str, rest: Sequence[str], setting: Setting
    ) -> Iterator[str]:
        """Check the name of a class, or one of its arguments."""
        if not rest:
            yield from self._made(bases, path, setting)
        elif rest[0] == "class_path":
            yield from self._choose(bases, path, setting.value, setting)
        elif rest[0] not in ("help", "dict_kwargs"):
            yield from self._argument(self._chosen.get(path), path, rest, setting)

    def _argument(
        self, kind: type | None, path: str, rest: Sequence[str], setting: Setting
    ) -> Iterator[str]:
        if kind is None:  # no class was chosen, or one that was reported already
            return
        known: Parameters = parameters(kind)
        name, *deeper = rest
        if name in known.hints:
            self._chosen.setdefault(f"{path}.{name}", known.default_classes.get(name))
            yield from self._typed(known.hints[name], f"{path}.{name}", deeper, setting)
        elif not known.takes_others:
            yield _unknown(f"{path}.{name}", list(known.hints), setting)

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
        bases = bases_in(hint)
        group = group_in(hint)
        if group is not None and value is not None:
            yield from self._fields(group, path, setting)
        elif bases and not fits(without_classes(hint), value, flag=setting.is_flag):
            yield from self._made(bases, path, setting)
        elif not bases and not fits(hint, value, flag=setting.is_flag):
            yield _wrong(hint, path, setting)
        elif value is not None and path in RULES:
            holds, text = RULES[path]
            if not holds(_yaml(value) if setting.is_flag else value):
                yield f"{_named(path, setting)} {text}"

    def _fields(self, hint: type, path: str, setting: Setting) -> Iterator[str]:
        value = _yaml(setting.value) if setting.is_flag else setting.value
        if not isinstance(value, Mapping):
            names = ", ".join(parameters(hint).hints)
            yield f"{_named(path, setting)} is no mapping; it has {names} inside."
            return
        for name, inner in value.items():
            part = dataclasses.replace(setting, key=f"{path}.{name}", value=inner)
            yield from self._typed(hint, path, [str(name)], part)

    def _made(self, bases: tuple[type, ...], path: str, setting: Setting) -> Iterator[str]:
        """Check what stands for an object: the name of its class, a class_path, or a list of both."""
        value = _yaml(setting.value) if setting.is_flag else setting.value
        if isinstance(value, list):
            for item in value:
                yield from self._made(
                    bases, path, dataclasses.replace(setting, value=item, is_flag=False)
                )
        elif isinstance(value, str):
            yield from self._choose(bases, path, value, setting)
        elif value is None:
            yield f"{path} (from {setting.source}) is empty; give it settings, or leave it out."
        elif not isinstance(value, Mapping):
            yield f"{_named(path, setting)} is not the name of a {_or(bases)}."
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
        for name, inner in (value.get("init_args") or {}).items():
            part = dataclasses.replace(
                setting, key=f"{path}.{name}", value=inner, is_flag=False
            )
            yield from self._argument(self._chosen[path], path, [name], part)

    def _choose(
        self, bases: tuple[type, ...], path: str, name: Any, setting: Setting
    ) -> Iterator[str]:
        """Remember the class that a key was given, or say why there is none of this name."""
        self._chosen[path] = None
        try:
            self._chosen[path] = find_class(str(name), bases)
        except ConfigError as err:
            shown = f"{path}={name!r} (from {setting.source})"
            hint = nearest(str(name), (kind.__name__ for kind in subclasses(bases)))
            yield f"{shown}: {err}{hint}"


def fits(hint: Any, value: Any, *, flag: bool) -> bool:
    """Whether a value is of a type, by the parser's own rules.

    Args:
        hint: The type.
        value: The value, from YAML or from the command line.
        flag: Whether it is from the command line, where everything is text.
    """
    if hint is Any:
        return True
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


def _or(bases: tuple[type, ...]) -> str:
    return " or ".join(base.__name__ for base in bases)


def _yaml(text: Any) -> Any:
    """Return what a flag's text means, as the parser reads it."""
    if not isinstance(text, str):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text

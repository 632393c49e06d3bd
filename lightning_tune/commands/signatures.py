"""What classes take: names and types of arguments, and which class a name in a config means."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from operator import or_
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lightning_tune.errors import ConfigError, with_article
from lightning_tune.models.specs import import_class

GROUPS = ("trainer", "model", "data")
_PLAIN = (str, int, float, bool, bytes, type(None), list, dict, tuple, set)


@dataclass(frozen=True)
class Parameters:
    """The arguments of a class.

    Args:
        hints: Type by name; Any where it is not known.
        default_classes: Class of the default, where the default is an object.
        required: Names without a default.
        takes_others: Whether the class takes names beside these (**kwargs).
    """

    hints: Mapping[str, Any]
    required: tuple[str, ...]
    default_classes: Mapping[str, type]
    takes_others: bool


@cache
def group_classes() -> Mapping[str, type]:
    """Return the class that each group of settings makes unless another is named."""
    from lightning.pytorch import Trainer

    from lightning_tune.data.datamodule import TextDataModule
    from lightning_tune.training.module import TextClassifier

    return {"trainer": Trainer, "model": TextClassifier, "data": TextDataModule}


@cache
def parameters(kind: type) -> Parameters:
    """Return the arguments of a class.

    >>> parameters(Parameters).hints["takes_others"]
    <class 'bool'>
    """
    init: Any = kind.__init__  # type: ignore[misc]
    try:
        hints = get_type_hints(init)
    except NameError:  # a name that only the type checker sees
        hints = {}
    listed = inspect.signature(kind).parameters.values()
    named = [one for one in listed if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    return Parameters(
        hints={one.name: hints.get(one.name, Any) for one in named},
        required=tuple(one.name for one in named if one.default is one.empty),
        default_classes={
            one.name: type(one.default) for one in named if not isinstance(one.default, type)
        },
        takes_others=any(one.kind is one.VAR_KEYWORD for one in listed),
    )


def members(hint: Any) -> tuple[Any, ...]:
    """Return the types that a union allows; the type itself where it is none.

    >>> members(int | None)
    (<class 'int'>, <class 'NoneType'>)
    """
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def bases_in(hint: Any) -> tuple[type, ...]:
    """Return the classes whose subclasses a type allows, also as items of a list.

    >>> bases_in(list[Exception] | Exception | str | None)
    (<class 'Exception'>,)
    """
    found: list[type] = []
    for member in members(hint):
        if _is_list(member):
            found += [base for inner in get_args(member)[:1] for base in bases_in(inner)]
        elif isinstance(member, type) and _is_made(member):
            found.append(member)
    return tuple(dict.fromkeys(found))


def without_classes(hint: Any) -> Any:
    """Return the part of a type that plain values fill; None where there is none.

    >>> without_classes(list[Exception] | Exception | bool | None)
    bool | None
    """
    plain = [member for member in members(hint) if not bases_in(member)]
    return reduce(or_, plain) if plain else None


def _is_list(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and hasattr(origin, "__iter__") and not issubclass(origin, dict)


def _is_made(kind: type) -> bool:
    return kind.__module__ != "datetime" and not issubclass(kind, _PLAIN) and not group_in(kind)


def group_in(hint: Any) -> type | None:
    """Return the dataclass among the types that a union allows: a group of settings."""
    found = [member for member in members(hint) if dataclasses.is_dataclass(member)]
    return next((kind for kind in found if isinstance(kind, type)), None)


def is_spec(hint: Any) -> bool:
    """Whether a type describes an object by class_path and init_args."""
    return isinstance(hint, type) and {"class_path", "init_args"} == {
        field.name for field in dataclasses.fields(hint)
    }


def subclasses(bases: tuple[type, ...]) -> list[type]:
    """Return the classes below these, themselves among them, that a bare name may mean."""
    return [kind for base in bases for kind in _below(base) if not inspect.isabstract(kind)]


def _below(base: type) -> Iterator[type]:
    yield base
    children: list[type] = base.__subclasses__()
    for kind in children:
        yield from _below(kind)


def find_class(name: str, bases: tuple[type, ...]) -> type:
    """Return the class of a bare name among the subclasses of some bases, or of a dotted path.

    Raises:
        ConfigError: if there is none, or it is of another kind.
    """
    if "." not in name:
        for kind in subclasses(bases):
            if kind.__name__ == name:
                return kind
        raise ConfigError(
            f"there is no class {name!r}; a class of your own is named package.module.Class."
        )
    found: type = import_class(name, *bases)
    return found


_NAMES = {str: "a text", int: "an int", float: "a float", bool: "a bool", type(None): "null"}


def describe(hint: Any) -> tuple[str, list[str]]:
    """Say what a type allows, and list the values that it names.

    >>> describe(Literal["end", "windows"] | int | None)
    ('one of end, windows or an int or null', ['end', 'windows'])
    >>> describe(tuple[float, float])
    ('a list of 2 floats', [])
    """
    choices = [str(one) for member in members(hint) for one in _literals(member)]
    choices = list(dict.fromkeys(choices))
    texts = [f"one of {', '.join(choices)}" if choices[1:] else choices[0]] if choices else []
    texts += [_name(member) for member in members(hint) if not _literals(member)]
    return " or ".join(dict.fromkeys(texts)), choices


def _literals(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


def _name(hint: Any) -> str:
    if hint in _NAMES:
        return _NAMES[hint]
    origin, inner = get_origin(hint) or hint, [one for one in get_args(hint) if one is not ...]
    if inner and _is_list(hint):
        kind = _name(inner[0]).partition(" ")[2]
        return f"a list of {len(inner)} {kind}s" if len(inner) > 1 else f"a list of {kind}s"
    name = getattr(origin, "__name__", str(origin))
    return "a mapping" if name == "dict" else with_article(name)

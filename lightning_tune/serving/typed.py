"""From plain JSON values to frozen dataclasses, strictly: a wrong type or key fails."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lightning_tune.errors import nearest

_NAMES: Mapping[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def decode(hint: Any, value: Any, where: str = "") -> Any:
    """Turn a plain value into what a type says.

    Args:
        hint: A dataclass, `tuple[X, ...]`, `dict[str, X]`, a Literal, a union, a plain type or Any.
        value: What `json.loads` gave.
        where: Name of the value, for messages.

    Raises:
        ValueError: naming the value that does not fit, in one sentence.

    >>> decode(tuple[float, ...], [1, 0.5])
    (1.0, 0.5)
    """
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _decode_dataclass(hint, value, where)
    if origin in (Union, types.UnionType):
        return _decode_union(inner, value, where)
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"{where}={value!r} is not one of {', '.join(map(str, inner))}")
        return value
    if origin is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        if inner[-1] is not Ellipsis and len(value) != len(inner):
            raise ValueError(f"{where}={value!r:.60} does not hold {len(inner)} values")
        return tuple(decode(inner[0], one, f"{where}[{at}]") for at, one in enumerate(value))
    if origin is dict and isinstance(value, Mapping):
        return {str(key): decode(inner[1], one, f"{where}.{key}") for key, one in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint:
        return value
    raise ValueError(f"{where}={value!r:.60} is not {_NAMES.get(hint, f'of the type {hint}')}")


def _decode_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where or 'the whole'} is not a mapping of names to values")
    prefix = f"{where}." if where else ""
    hints = get_type_hints(kind)
    for name in value:
        if name not in hints:
            raise ValueError(f"{prefix}{name} is not known.{nearest(str(name), hints)}".rstrip("."))
    given = {name: decode(hints[name], one, prefix + name) for name, one in value.items()}
    for field in dataclasses.fields(kind):
        has_default = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if field.name not in given and not has_default:
            raise ValueError(f"{prefix}{field.name} is missing")
    return kind(**given)


def _decode_union(members: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in members:
        return None
    (member,) = (one for one in members if one is not type(None))
    return decode(member, value, where)

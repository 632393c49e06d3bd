"""Objects that a config names by class, stored in a checkpoint as plain values and made again."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any, TypeVar

from lightning_tune.errors import ConfigError, nearest, one_of

Made = TypeVar("Made")


def describe_object(made: object, what: str) -> dict[str, Any]:
    """Describe an object by its class and settings, in plain values.

    Args:
        made: A dataclass whose fields are its settings.
        what: What the config calls it, for the error.

    Raises:
        ConfigError: if it is not a dataclass of plain values, so that a checkpoint could not hold
            its settings.
    """
    kind = type(made)
    # Asked of the class itself: an undecorated subclass would inherit the fields, not add its own.
    if "__dataclass_fields__" not in vars(kind):
        raise ConfigError(
            f"{what} {kind.__name__} is not a dataclass; decorate the class with @dataclass, "
            "so that its settings can be stored in checkpoints."
        )
    names = [field.name for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]
    settings = {name: getattr(made, name) for name in names}
    odd = [name for name, value in settings.items() if not _is_plain(value)]
    if odd:
        raise ConfigError(
            f"{what} {kind.__name__} has the setting {odd[0]}={settings[odd[0]]!r}, which a "
            "checkpoint cannot hold; use numbers, strings, booleans, null, lists or dicts of them."
        )
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": settings}


def make_object(spec: Mapping[str, Any], base: type[Made], what: str) -> Made:
    """Make again what `describe_object` described.

    Raises:
        ConfigError: if the class is not one below `base`, or has other settings.
    """
    kind = import_class(str(spec["class_path"]), base)
    try:
        built: Made = kind(**spec.get("init_args", {}))
    except TypeError as err:
        raise ConfigError(f"{what} {spec['class_path']} refuses its init_args: {err}.") from err
    return built


def import_class(path: str, *bases: type) -> Any:
    """Import a class by its dotted path, refusing all that is no subclass of one of `bases`.

    Raises:
        ConfigError: if there is no such class, or it is of another kind.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise ConfigError(f"{path!r} names no module; give package.module.Class.")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, TypeError) as err:  # TypeError: a relative name
        raise ConfigError(
            f"{module_name!r} cannot be imported ({err}); run from its folder with python -m, or "
            "install it."
        ) from err
    found = getattr(module, name, None)
    if found is None:
        raise ConfigError(f"{module_name} has no {name!r}.{nearest(name, vars(module))}")
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise ConfigError(f"{name} is not {one_of(bases)}.")
    return found


def _is_plain(value: Any) -> bool:
    # Exactly these types: a subclass, such as numpy's floats, is stored under its own name.
    if type(value) is dict:
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    return type(value) in (bool, int, float, str, type(None))

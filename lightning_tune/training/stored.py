"""Settings as a checkpoint holds them, in plain values, and as the module reads them back."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import require_known_class
from lightning_tune.training.objectives.base import Objective, from_spec

Settings = TypeVar("Settings")


def known_objective(objective: Objective | Mapping[str, Any]) -> Objective:
    """Return an objective, also from what a checkpoint holds, which may name known classes only.

    One that was given is copied: it may keep a state, which belongs to this module's fit.
    """
    if not isinstance(objective, Mapping):
        return copy.copy(objective)
    require_known_class(str(objective["class_path"]))
    return from_spec(objective)


def read_architecture(text: str | None) -> dict[str, Any] | None:
    """Return an encoder's config from the JSON that a checkpoint holds."""
    try:
        found = None if text is None else json.loads(text)
    except json.JSONDecodeError as err:
        raise ConfigError(
            f"model.architecture is not JSON ({err}); a checkpoint fills it."
        ) from err
    if not isinstance(found, dict | None):
        raise ConfigError(f"model.architecture={text!r} is no encoder config; leave it out.")
    return found


def as_settings(kind: type[Settings], value: Any) -> Settings:
    """Return a settings object, also from the plain values that a checkpoint holds."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"{kind.__name__} expected, got {value!r}.")
    try:
        return kind(**value)
    except TypeError as err:
        raise ConfigError(
            f"{kind.__name__}: {err}; see its docstring for the settings there are."
        ) from err


def as_plain(settings: Any) -> dict[str, Any]:
    """Turn a settings object into values that a checkpoint may hold: tuples become lists."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(settings).items()
    }

"""Ranges of the objectives' settings, and what is said of a value outside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lightning_tune.errors import ConfigError, nearest


def require(holds: bool, name: str, value: Any, rule: str) -> None:
    """Refuse the value of a setting.

    Raises:
        ConfigError: unless the rule holds.
    """
    if not holds:
        raise ConfigError(f"objective.{name}={value!r} {rule}")


def require_one_of(choices: Sequence[str], name: str, value: str) -> None:
    """Refuse a name that is not among the choices, and tell the nearest one."""
    hint = nearest(str(value), choices)
    require(value in choices, name, value, f"is not one of {', '.join(choices)}.{hint}")


def require_steps(steps: int, step_size: float) -> None:
    """Refuse fewer than one step, or steps that lead nowhere."""
    require(steps >= 1, "steps", steps, "is below 1; use 1 or more.")
    finite = 0 < step_size < math.inf
    require(finite, "step_size", step_size, "is not above 0; 1 is as long as the radius.")


def require_share(name: str, value: float) -> None:
    """Refuse a share outside [0, 1)."""
    require(0 <= value < 1, name, value, "is outside [0, 1); 0 leaves it out.")


def require_weight(name: str, value: float) -> None:
    """Refuse a weight below 0."""
    require(0 <= value < math.inf, name, value, "is not a number from 0 on; 0 leaves it out.")


def require_clean_epochs(count: int) -> None:
    """Refuse a negative number of epochs."""
    require(count >= 0, "clean_epochs", count, "is below 0; 0 begins with the objective at once.")

"""A tracker's failure is a warning: whatever it raises, training goes on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

logger = logging.getLogger(__name__)
Tracker = TypeVar("Tracker")
Arguments = ParamSpec("Arguments")


def never_fatal(
    method: Callable[Concatenate[Tracker, Arguments], Any],
) -> Callable[Concatenate[Tracker, Arguments], None]:
    """Turn what a tracker's method raises into one warning a tracker; further ones are not repeated."""

    @functools.wraps(method)
    def guarded(self: Tracker, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as err:
            if not getattr(self, "_has_warned", False):
                self._has_warned = True  # type: ignore[attr-defined]
                name, reason = type(self).__name__, " ".join(str(err).split())
                logger.warning(
                    "%s failed in %s (%s: %s); training goes on, its record may have gaps.",
                    *(name, method.__name__, type(err).__name__, reason),
                )

    return guarded

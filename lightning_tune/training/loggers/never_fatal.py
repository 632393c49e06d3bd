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
    """Turn what a tracker's method raises into a warning; each tracker gives one."""

    @functools.wraps(method)
    def guarded(self: Tracker, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as err:
            if not getattr(self, "_has_warned", False):
                self._has_warned = True  # type: ignore[attr-defined]
                logger.warning(
                    "%s failed in %s (%s); training goes on, its record may have gaps.",
                    *(type(self).__name__, method.__name__, one_line(err.__cause__ or err)),
                )

    return guarded  # type: ignore[return-value]  # mypy knows `self` by name here


def one_line(err: BaseException) -> str:
    r"""Return an error's kind and message on one line.

    >>> one_line(ValueError("a\n  b"))
    'ValueError: a b'
    """
    return " ".join(f"{type(err).__name__}: {err}".split())

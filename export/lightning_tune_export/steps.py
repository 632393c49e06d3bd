"""What an export is doing: one line a step, with the time that it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Steps:
    """Prints each step when it is done, and remembers its seconds.

    Args:
        quiet: Print nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self._quiet = quiet

    @contextmanager
    def __call__(self, name: str) -> Iterator[Told]:
        """Time a step; what it found is told behind its name."""
        told = Told()
        start = time.perf_counter()
        yield told
        taken = time.perf_counter() - start
        self.seconds[name] = round(self.seconds.get(name, 0.0) + taken, 2)
        if not self._quiet:
            print(
                f"{name:<16} {told.text}  {taken:.1f} s"
                if told.text
                else f"{name:<16} {taken:.1f} s",
                flush=True,
            )


class Told:
    """What a step found, in words."""

    text: str = ""

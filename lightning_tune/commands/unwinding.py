"""A signal that unwinds a command, so that nothing half written stays."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lightning_tune.errors import StoppedError


@contextmanager
def unwinding() -> Iterator[None]:
    """Let SIGTERM unwind the command, so that what it has half written is taken away."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise StoppedError(signum, "SIGTERM came; no output was written, run it again.")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

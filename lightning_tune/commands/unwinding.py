"""Signals that unwind a command, so that nothing half written stays."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lightning_tune.errors import StoppedError
from lightning_tune.training.signals import STOPPING


@contextmanager
def unwinding() -> Iterator[None]:
    """Let SIGTERM and SIGINT unwind the command: what it has half written is taken away.

    Both come as one error that no library takes for its own; Lightning ends the process with code
    1 at a KeyboardInterrupt.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        name = signal.Signals(signum).name
        raise StoppedError(signum, f"{name} came; no output was written, run it again.")

    before = {signum: signal.signal(signum, stop) for signum in STOPPING}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)

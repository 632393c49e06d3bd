"""What SIGTERM and SIGINT do to a run: while it trains they are noted, else they end it at once.

A handler that talks to other ranks waits for ever, since they may be anywhere: so this one only
notes the signal, and the ranks agree about it after their next step.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from lightning_tune.errors import StoppedError

STOPPING = (signal.SIGTERM, signal.SIGINT)
"""The signals that end a run."""


class SignalWatch:
    """The handlers of one process. The first signal is noted while `patient`, the second obeyed.

    Attributes:
        received: Number of the signal that was noted; 0: none.
        patient: Whether a signal waits for the end of the step.
    """

    def __init__(self) -> None:
        self.received = 0
        self.patient = False
        self._before: dict[int, Any] = {}

    def install(self, *more: int) -> None:
        """Take the place of the handlers that are there; only the main thread may have any.

        Args:
            more: Signals to note beside SIGTERM and SIGINT.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in (*STOPPING, *more):
            before = signal.signal(signum, self._handle)
            self._before.setdefault(signum, before)

    def restore(self) -> None:
        """Bring back the handlers that were there."""
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        name = signal.Signals(signum).name
        if not self.patient or self.received:
            raise StoppedError(signum, f"{name} ended the run at once; nothing more was saved.")
        self.received = signum
        if os.environ.get("LOCAL_RANK", "0") == "0":
            told = f"{name}: saving after this step, then stopping; once more to stop at once\n"
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"\n{told}".encode())

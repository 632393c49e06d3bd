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
from typing import Any, ClassVar

from lightning_tune.errors import StoppedError

_SECONDS_TO_END = 2.0

STOPPING = (signal.SIGTERM, signal.SIGINT)
"""The signals that end a run."""


class SignalWatch:
    """The handlers of one process. The first signal is noted while `patient`, the second obeyed.

    Python runs a handler between two of its own instructions; a process that waits in a collective
    for a rank that has gone never comes to the next one. So a thread reads the signals too, and
    ends the process where a signal that is to be obeyed has not ended it after some seconds.

    Attributes:
        received: Number of the signal that was noted; 0: none.
        patient: Whether a signal waits for the end of the step.
    """

    _installed: ClassVar[list[SignalWatch]] = []

    def __init__(self) -> None:
        self.received = 0
        self.patient = False
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1
        self._pipe: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._ends: list[threading.Timer] = []

    def install(self, *more: int) -> None:
        """Take the place of the handlers that are there; only the main thread may have any.

        Args:
            more: Signals to note beside SIGTERM and SIGINT.
        """
        if self._pipe is not None or threading.current_thread() is not threading.main_thread():
            return
        for signum in (*STOPPING, *more):
            self._before[signum] = signal.signal(signum, self._handle)
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._wakeup_before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        told = self._pipe[0], frozenset(self._before)
        self._thread = threading.Thread(target=self._watch, args=told, daemon=True)
        self._thread.start()
        self._installed.append(self)

    def restore(self) -> None:
        """Bring back the handlers that were there.

        An end that is on its way stays, as long as a watch around this one waits for it: what
        comes next, the way out, may hang as well.
        """
        if self._pipe is None or self._thread is None:
            return
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._pipe[1])  # which ends the thread, when it has read what came
        self._thread.join(1.0)
        self._before, self._pipe = {}, None
        self._installed.remove(self)
        if self._installed:
            self._installed[-1]._ends += self._ends
        else:
            for end in self._ends:
                end.cancel()
        self._ends = []

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        name = signal.Signals(signum).name
        if not self.patient or self.received:
            raise StoppedError(signum, f"{name} ended the command at once.")
        self.received = signum
        if os.environ.get("LOCAL_RANK", "0") == "0":
            told = f"{name}: saving after this step, then stopping; once more to stop at once\n"
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"\n{told}".encode())

    def _watch(self, pipe: int, watched: frozenset[int]) -> None:
        """Read signals until the pipe is closed, those too that came just before."""
        seen = 0
        while signums := os.read(pipe, 1):
            if signums[0] not in watched:
                continue
            seen += 1
            is_noted = self.patient or self.received  # the main thread may be past the step by now
            if seen > 1 or not is_noted:
                end = threading.Timer(_SECONDS_TO_END, os._exit, (128 + signums[0],))
                end.daemon = True
                self._ends.append(end)
                end.start()
        os.close(pipe)

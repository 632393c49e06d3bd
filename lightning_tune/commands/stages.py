"""Commands of this program run one after the other, each in a process of its own.

A signal reaches the process that runs, once, and ends the row when that has ended: it stands in a
process group of its own, so that Ctrl-C, which a terminal sends to a whole group, does not come to
it twice.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from lightning_tune.errors import StoppedError, TuneError
from lightning_tune.reports.display import printable

_TOLD = ("error: ", "stopped: ")
"""What the line begins with by which this program says why it ended."""
_REMEMBERED = 200  # lines of the output among which that one is looked for


class StageError(TuneError):
    """A stage failed; the message is its own, and so is the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Stages:
    """Runs commands, keeps all they print, and shows the line they are at on a terminal.

    Args:
        logs: Folder for what each stage prints.
        console: Where the line is shown.
    """

    def __init__(self, logs: Path, console: Console) -> None:
        self._logs = logs
        self._console = console
        self._process: subprocess.Popen[str] | None = None
        self._received = 0
        self._pending: deque[int] = deque()

    @contextmanager
    def passing_signals(self) -> Iterator[None]:
        """Hand SIGINT and SIGTERM to the stage that runs, while the context is open."""
        before = {one: signal.signal(one, self._pass_on) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        self._received = signum
        self._pending.append(signum)
        self._deliver()

    def _deliver(self) -> None:
        """Send what has not been sent; one that comes while a process is made waits for it."""
        while self._process is not None and self._pending:
            self._process.send_signal(self._pending.popleft())

    def run(self, words: Sequence[str]) -> None:
        """Run a command to its end.

        Args:
            words: The command and its words.

        Raises:
            StageError: if it fails, with its own message and exit code.
            StoppedError: if a signal came.
        """
        self.stop_if_asked(f"before {words[0]} began")
        log = self._logs / f"{words[0]}.txt"
        last: deque[str] = deque(maxlen=_REMEMBERED)
        code = self._follow(words, log, last)
        self.stop_if_asked(f"in {words[0]}")
        if code != 0:
            raise _failed(words[0], code, last, log)

    def stop_if_asked(self, where: str) -> None:
        """End the row if a signal came.

        Raises:
            StoppedError: if one did.
        """
        if self._received:
            name = signal.Signals(self._received).name
            raise StoppedError(
                self._received,
                f"{name} came {where}; what was finished lies in {self._logs.parent}.",
            )

    def _follow(self, words: Sequence[str], log: Path, last: deque[str]) -> int:
        """Run a process, copy what it prints to its log, and return its exit code."""
        with (
            log.open("w", buffering=1, encoding="utf-8", errors="backslashreplace") as file,
            self._console.status("") as status,
            subprocess.Popen(
                [sys.executable, "-u", "-m", "lightning_tune", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                process_group=0,
            ) as process,
        ):
            self._process = process
            self._deliver()
            try:
                for line in process.stdout or ():
                    file.write(line)
                    if line.strip():
                        last.append(line.strip())
                        status.update(Text(printable(line, limit=self._console.width - 8)))
                return process.wait()
            finally:
                self._process = None
                if process.poll() is None:  # an error of ours: nothing may be left running
                    process.kill()


def _failed(name: str, code: int, last: Sequence[str], log: Path) -> StageError:
    """Make the error of a stage out of its own last words."""
    told = [line for line in last if line.startswith(_TOLD)]
    said = told[-1].partition(": ")[2] if told else (last[-1] if last else "it printed nothing")
    where = f"(stage {name}; {log} has all it printed)"
    if code < 0:
        killer = signal.Signals(-code).name
        return StageError(f"{name} was ended by {killer}; run it again. {where}", 128 - code)
    return StageError(f"{said} {where}", code)

"""A rank ends when the process that started it does, until all ranks have met.

Lightning's launcher starts the other ranks from the first. Where that one is stopped while they
import what they need, they wait for it for half an hour: its address answers no more, and nothing
tells them. Once they have met, a closed connection does.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

STARTED_BY = "LIGHTNING_TUNE_STARTED_BY"
_SECONDS_BETWEEN = 0.5


@contextmanager
def starting_ranks() -> Iterator[None]:
    """Tell the ranks that are started in here whose they are."""
    before = os.environ.get(STARTED_BY)
    os.environ[STARTED_BY] = before or str(os.getpid())
    try:
        yield
    finally:
        if before is None:
            del os.environ[STARTED_BY]


def end_with_parent() -> None:
    """Watch who started this process, if it is a rank; before anything that takes long."""
    first = os.environ.get(STARTED_BY)
    if first is not None and os.environ.get("LOCAL_RANK", "0") != "0":
        threading.Thread(target=_watch, args=(int(first),), daemon=True).start()


def _watch(first: int) -> None:
    while not _have_met():
        if os.getppid() != first:
            os.write(2, b"stopped: the process that started this rank has ended.\n")
            os._exit(4)
        time.sleep(_SECONDS_BETWEEN)


def _have_met() -> bool:
    """Whether the ranks are connected; while torch is imported they are not."""
    told = getattr(sys.modules.get("torch.distributed"), "is_initialized", None)
    return told is not None and bool(told())

"""The processes of a run on this machine, and their end when one of them is lost.

A rank that was stopped, or hangs, stays behind when the others give up on it: so each of these,
once it has waited for the others to end, ends those that have not.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch

GRACE = 5.0
"""Seconds that the others have to end by themselves."""


@dataclass(frozen=True)
class Peer:
    """A process, known by more than its number, which another may have later.

    Args:
        pid: Its number on its machine.
        born: When it was started, in the clock ticks of its machine; "" where that is not told.
    """

    pid: int
    born: str

    def lives(self) -> bool:
        """Whether it still runs, on this machine."""
        return self.born != "" and _born(self.pid) == self.born


def find_peers(trainer: L.Trainer) -> list[Peer]:
    """Return the other ranks on this machine; called on all ranks at once."""
    if trainer.world_size == 1:
        return []
    own = (socket.gethostname(), os.getpid(), _born(os.getpid()))
    found: list[tuple[str, int, str]] = [own] * trainer.world_size
    torch.distributed.all_gather_object(found, own)
    return [Peer(pid, born) for host, pid, born in found if host == own[0] and pid != own[1]]


def end_peers(peers: list[Peer], grace: float = GRACE) -> None:
    """Wait for the others to end; kill those that have not."""
    end = time.monotonic() + grace
    while any(peer.lives() for peer in peers) and time.monotonic() < end:
        time.sleep(0.1)
    for peer in peers:
        if peer.lives():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(peer.pid, signal.SIGKILL)


def _born(pid: int) -> str:
    """Return the start time of a process that is no zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]

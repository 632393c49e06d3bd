"""A save that is killed, or that the system refuses, at each of its system calls.

A process saves over a checkpoint under strace, which kills it or returns an error at one system
call. Afterwards a whole checkpoint has to be found; a refused save has to say so, keep the old
file, and leave nothing behind.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from report import Outcome

from lightning_tune.errors import TuneError
from lightning_tune.models.checkpoints import is_whole, read_checkpoint
from lightning_tune.training.callbacks.checkpointing import WholeFileCheckpointIO
from lightning_tune.training.callbacks.last_checkpoint import keeping
from lightning_tune.training.runs import newest_checkpoint, remove_leftovers

CALLS = (
    "openat",
    "write",
    "fsync",
    "close",
    "link",
    "linkat",
    "rename",
    "renameat",
    "unlink",
    "chmod",
    "fchmod",
    "mkdir",
)
REFUSED = {
    "ENOSPC": ("write", "fsync", "openat"),
    "EIO": ("write", "fsync"),
    "EROFS": ("openat", "rename"),
    "EACCES": ("openat", "rename"),
}
FILE_SYSTEMS = {"disk": None, "tmpfs": Path("/dev/shm")}
LINE = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\(")


def keys(count: int) -> list[str]:
    """Return one trial for each system call of a save, for each way to fail, twice."""
    del count  # all
    calls = _calls(Path("/tmp/faults-counting"))
    found = []
    for system, place in FILE_SYSTEMS.items():
        if place is not None and not place.is_dir():
            continue
        for name, times in calls.items():
            found += [f"{system} killed {name} {k}" for k in range(1, times + 1)]
            for error, names in REFUSED.items():
                if name in names:
                    found += [f"{system} {error} {name} {k}" for k in range(1, times + 1)]
    return found


def run(key: str, work: Path, *, cold: bool) -> Outcome:
    """Fail one save at one system call."""
    del cold  # each is a fork
    system, way, name, number = key.split()
    place = FILE_SYSTEMS[system]
    root = (work if place is None else place / "lightning-tune-faults") / "saves"
    began = time.monotonic()
    what = f"signal=KILL:when={number}" if way == "killed" else f"error={way}:when={number}"
    told = _save_under_strace(root, ["-e", f"trace={name}", "-e", f"inject={name}:{what}"])
    last = root / "run" / "checkpoints" / "last.ckpt"
    used = newest_checkpoint(str(root))
    step = read_checkpoint(used)["global_step"]
    before = sorted(file.name for file in root.rglob("*.tmp"))
    remove_leftovers(root / "run")
    left = sorted(file.name for file in root.rglob("*.tmp"))
    faults = [
        f"{used.name} of step {step} is used" if step not in (1, 2) else "",
        f"left behind: {left}" if left else "",
    ]
    if way != "killed":
        faults += [
            f"it said {told!r}" if told != "saved" and "cannot be written" not in told else "",
            f"an error left {before}" if before else "",
            "last.ckpt is damaged" if not is_whole(last) else "",
            "silent" if told == "saved" and read_checkpoint(last)["global_step"] != 2 else "",
        ]
    wrong = "; ".join(filter(None, faults))
    return Outcome(not wrong, time.monotonic() - began, wrong)


def _checkpoint(step: int) -> dict[str, object]:
    import torch

    weights = {f"layer.{n}": torch.full((40, 40), float(step)) for n in range(6)}
    return {"state_dict": weights, "global_step": step, "lightning_tune": {"format": 1}}


def _save_under_strace(root: Path, injection: list[str], log: Path | None = None) -> str:
    """Fork a process that saves step 2 over step 1 under strace; return what it says."""
    shutil.rmtree(root, ignore_errors=True)
    folder = root / "run" / "checkpoints"
    last = folder / "last.ckpt"
    WholeFileCheckpointIO().save_checkpoint(_checkpoint(1), last)
    new = _checkpoint(2)
    told, telling = os.pipe()
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        said = "saved"
        try:
            with keeping(last, last.with_stem("previous")):
                WholeFileCheckpointIO().save_checkpoint(new, last)
        except TuneError as err:
            said = str(err)
        except BaseException as err:
            said = f"{type(err).__name__}: {err}"
        os.kill(os.getpid(), signal.SIGSTOP)  # what follows is not the save's
        os.write(telling, said.encode())
        os._exit(0)
    os.close(telling)
    os.waitpid(child, os.WUNTRACED)
    output = [] if log is None else ["-o", str(log)]
    tracer = subprocess.Popen(
        ["strace", "-f", *output, *injection, "-p", str(child)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    tracer.stderr.readline()  # "attached"
    os.kill(child, signal.SIGCONT)
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        tracer.terminate()
        tracer.wait()
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGCONT)
        os.waitpid(child, 0)
    tracer.kill()
    tracer.wait()
    with os.fdopen(told, "rb") as opened:
        return opened.read().decode()


def _calls(root: Path) -> Counter[str]:
    """Count the system calls of a save that is left alone."""
    root.mkdir(parents=True, exist_ok=True)
    log = root / "calls.txt"
    _save_under_strace(root / "saves", ["-e", f"trace={','.join(CALLS)}"], log)
    names = [found[1] for line in log.read_text().splitlines() if (found := LINE.match(line))]
    return Counter(names)

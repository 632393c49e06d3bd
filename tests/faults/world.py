"""A world to break: a tiny encoder, its data, and runs of the command line that can be hit.

A run is forked from a process that has imported everything, so that a trial takes a second or two;
or it is started as a user would start it (`cold`), which takes some more.
"""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "export"), str(ROOT / "tests")]

import torch  # noqa: E402 - one thread, set above
from conftest import save_tiny  # noqa: E402

from lightning_tune.cli import main  # noqa: E402
from lightning_tune.commands import fit as _warm  # noqa: E402, F401 - imported once for all forks
from lightning_tune.models.checkpoints import read_checkpoint  # noqa: E402

TIMEOUT = 120.0
WORDS = {"good": ["great", "love", "best"], "bad": ["worst", "poor", "wrong"]}
TASKS = {  # a label, and words that tell it
    "binary": WORDS,
    "multiclass": {**WORDS, "odd": ["story", "story", "then"]},
    "multilabel": {**WORDS, "good|odd": ["love story", "best story", "great story"]},
    "regression": {"0.5": ["worst"], "1.5": ["poor"], "3": ["best"], "4.5": ["great"]},
}


@dataclass
class World:
    """A folder with an encoder and data; runs live in folders of their own below it."""

    folder: Path
    ranks: int = 1
    rows: int = 240
    strategy: str = "ddp"
    task: str = "binary"

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "tiny").is_dir():
            save_tiny("bert", self.folder / "tiny")
        draw = random.Random(0)
        for split, rows in (("train", self.rows), ("val", 48)):
            if not self.file(split).is_file():
                self._write(self.file(split), rows, draw)

    def file(self, split: str) -> Path:
        """Return where the rows of a split lie."""
        return self.folder / (
            f"{split}.csv" if self.task == "binary" else f"{self.task}-{split}.csv"
        )

    def _write(self, file: Path, rows: int, draw: random.Random) -> None:
        with file.open("w", newline="") as opened:
            out = csv.writer(opened)
            out.writerow(["text", "label"])
            for row in range(rows):
                label, told = draw.choice(list(TASKS[self.task].items()))
                more = draw.choices(["a", "the", "very", "so", "long"], k=draw.randrange(12))
                out.writerow([" ".join([f"film {row}", draw.choice(told), *more]), label])

    def words(self, *more: str) -> list[str]:
        """Return the words of a fit of three epochs; the same settings come before `more`."""
        several = [f"--trainer.devices={self.ranks}", f"--trainer.strategy={self.strategy}"]
        return [
            "fit",
            f"--data.train={self.file('train')}",
            f"--data.val={self.file('val')}",
            *(["--data.label_separator=|"] if self.task == "multilabel" else []),
            f"--data.cache_dir={self.folder / 'cache'}",
            f"--model.backbone={self.folder / 'tiny'}",
            "--data.max_length=32",
            "--data.batch_size=8",
            "--model.lr=0.003",
            "--trainer.max_epochs=3",
            "--trainer.accelerator=cpu",
            "--trainer.precision=32-true",
            "--trainer.enable_progress_bar=false",
            *(several if self.ranks > 1 else []),
            *more,
        ]

    def start(
        self,
        folder: Path,
        words: Sequence[str],
        *,
        cold: bool = False,
        env: Mapping[str, str] = MappingProxyType({}),
        memory: int = resource.RLIM_INFINITY,
    ) -> Run:
        """Start the command line in a folder, in a process group of its own.

        Args:
            folder: Where it runs.
            words: The words after the program's name.
            cold: Whether to start an interpreter, as a user does.
            env: More variables of the environment, where cold.
            memory: Bytes of address space that it may take.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ranks.json").unlink(missing_ok=True)  # of a run before
        if cold:
            with (folder / "out.txt").open("a") as out, (folder / "err.txt").open("a") as err:
                made = subprocess.Popen(
                    [sys.executable, "-m", "lightning_tune", *words],
                    cwd=folder,
                    env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'export'}", **env},
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                    preexec_fn=partial(resource.setrlimit, resource.RLIMIT_AS, (memory, memory)),
                )
            return Run(folder, made.pid)
        leader = os.fork()
        if leader == 0:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            _lead(folder, words, self.ranks)
        made = Run(folder, leader)
        made.wait_for((folder / "ranks.json").is_file)  # a signal before would reach some ranks
        return made


def _lead(folder: Path, words: Sequence[str], ranks: int) -> None:
    """Fork the ranks into a group of their own; exit with the largest of their codes."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))  # until they are set
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)
    port = _free_port()
    children = []
    for rank in range(ranks):
        child = os.fork()
        if child == 0:
            for signum in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
            os.chdir(folder)
            if ranks > 1:
                place = {"LOCAL_RANK": rank, "NODE_RANK": 0, "MASTER_PORT": port}
                os.environ.update({name: str(value) for name, value in place.items()})
                os.environ["MASTER_ADDR"] = "127.0.0.1"
            os._exit(_run(words))
        children.append(child)
    written = folder / "ranks.tmp"
    written.write_text(json.dumps(children))
    written.replace(folder / "ranks.json")
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    os._exit(max(128 - code if code < 0 else code for code in codes))


def _run(words: Sequence[str]) -> int:
    for name, descriptor in (("out.txt", 1), ("err.txt", 2)):
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, descriptor)
    try:
        return main(words)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@dataclass
class Run:
    """A started run.

    Attributes:
        folder: Where it was started.
        pid: The first process, whose group holds the others.
        code: Its exit code, as a shell tells it; None while it runs.
    """

    folder: Path
    pid: int
    code: int | None = None
    seconds: float = field(default=0.0, init=False)

    def ranks(self) -> list[int]:
        """Return the processes of the ranks, the first one first."""
        told = self.folder / "ranks.json"
        if told.is_file():
            found: list[int] = json.loads(told.read_text())
            return found
        return [self.pid, *children_of(self.pid)]

    def wait_for(self, seen: Callable[[], bool], timeout: float = TIMEOUT) -> bool:
        """Wait until something is seen, or the run ends; return whether it was seen."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and not self.ended():
            if seen():
                return True
            time.sleep(0.01)
        return seen()

    def wait_for_training(self) -> bool:
        """Wait until a run's config is there, which is written when training starts."""
        return self.wait_for(lambda: any(self.folder.glob("runs/*/config.yaml")))

    def ended(self) -> bool:
        """Whether the first process has ended."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.code = 128 - code if code < 0 else code
        return self.code is not None

    def end(self, timeout: float = TIMEOUT) -> int | None:
        """Wait for the end; return the exit code, or None and kill everything where it hangs."""
        began = time.monotonic()
        self.wait_for(lambda: False, timeout)
        self.seconds = time.monotonic() - began
        if self.code is None:
            self.hit(signal.SIGKILL)
            os.waitpid(self.pid, 0)
        return self.code

    def hit(self, signum: int, target: str = "group") -> None:
        """Send a signal to the whole group, or to one rank by its number."""
        try:
            if target == "group":
                os.killpg(self.pid, signum)
            else:
                os.kill(self.ranks()[int(target)], signum)
        except ProcessLookupError:
            pass

    def left(self) -> list[int]:
        """Return the processes of the group that still live."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                state, _, group = entry.joinpath("stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == self.pid and state != "Z":
                found.append(int(entry.name))
        return found

    def errors(self) -> str:
        """Return what was printed as errors."""
        file = self.folder / "err.txt"
        return file.read_text(errors="replace") if file.is_file() else ""

    def result(self) -> dict[str, Any]:
        """Return all of a finished run that has to be equal in another one."""
        (run,) = (report.parent for report in self.folder.glob("runs/*/report.html"))
        last = read_checkpoint(run / "checkpoints" / "last.ckpt")
        best = read_checkpoint(run / "checkpoints" / "best.ckpt")
        with (run / "metrics.csv").open(newline="") as file:
            curves = [
                {name: value for name, value in row.items() if value and _is_measured(name)}
                for row in csv.DictReader(file)
            ]
        return {
            "weights": last["state_dict"],
            "optimizer": last["optimizer_states"],
            "schedule": last["lr_schedulers"],
            "random": last["resume"]["random"],
            "best": best["state_dict"],
            "step": last["global_step"],
            "curves": [row for row in curves if len(row) > 1],
            "metrics": {
                name: value
                for name, value in json.loads((run / "metrics.json").read_text()).items()
                if _is_measured(name)
            },
        }


def _is_measured(name: str) -> bool:
    """Whether a column does not depend on the clock."""
    return not name.startswith(("throughput/", "memory/")) and "seconds" not in name


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in file.read_text().split()] if file.exists() else []


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Return where two results differ, bit by bit."""
    if isinstance(one, torch.Tensor):
        same = isinstance(other, torch.Tensor) and torch.equal(one, other)
        return [] if same else [at]
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for key in one.keys() | other.keys()
            for found in differences(one.get(key), other.get(key), f"{at}.{key}")
        ]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return [f"{at}: {len(one)} and {len(other)} long"]
        return [
            found
            for index, pair in enumerate(zip(one, other, strict=True))
            for found in differences(*pair, f"{at}[{index}]")
        ]
    return [] if one == other else [f"{at}: {one!r:.60} and {other!r:.60}"]

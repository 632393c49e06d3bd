"""A rank that waits for the others ends with the process that started it; a met one stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightning_tune.training.parent import starting_ranks

RANK = """
import sys, time, types
from lightning_tune.training.parent import end_with_parent
if sys.argv[1] == "met":
    sys.modules["torch.distributed"] = types.SimpleNamespace(is_initialized=lambda: True)
end_with_parent()
print("ready", flush=True)
time.sleep(60)
"""
FIRST = """
import os, subprocess, sys, time
from lightning_tune.training.parent import starting_ranks
with starting_ranks():
    env = {**os.environ, "LOCAL_RANK": sys.argv[2]}
    rank = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[3]], env=env)
    print(rank.pid, flush=True)
    time.sleep(60)
"""


def lives(pid: int) -> bool:
    """Whether a process runs that is no zombie."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("local_rank", "ranks", "ends"),
    [("1", "alone", True), ("1", "met", False), ("0", "alone", False)],
)
def test_a_rank_that_is_alone_ends_with_the_first(local_rank, ranks, ends):
    words = [sys.executable, "-c", FIRST, RANK, local_rank, ranks]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        told = {first.stdout.readline().strip(), first.stdout.readline().strip()}
        (rank,) = (int(word) for word in told - {"ready"})
        first.kill()
        first.wait()
        deadline = time.monotonic() + (30 if ends else 2)
        while lives(rank) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert lives(rank) is not ends
        if lives(rank):
            os.kill(rank, signal.SIGKILL)
        assert first.stderr is not None
        said = "the process that started this rank has ended"
        assert (said in first.stderr.read()) is ends


def test_nothing_of_it_stays_in_the_environment():
    before = dict(os.environ)
    with starting_ranks():
        assert os.environ["LIGHTNING_TUNE_STARTED_BY"] == str(os.getpid())
    assert dict(os.environ) == before

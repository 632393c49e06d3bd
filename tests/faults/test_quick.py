"""A few trials of each kind of fault; `python tests/faults/run.py` makes them all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run.py"
TRIALS = {
    "damage": 100,
    "kills": 6,
    "stops": 1,
    "resumes": 1,
    "ranks": 2,
    "saves": 1,
    "malicious": 2,
}


@pytest.mark.parametrize("row", list(TRIALS))
def test_nothing_goes_wrong(row, tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("looks at processes in /proc")
    if row == "saves" and shutil.which("strace") is None:
        pytest.skip("needs strace, which kills a process at a system call")
    words = ["--work", str(tmp_path), "--rows", row, "--trials", str(TRIALS[row]), "--cold", "1"]
    done = subprocess.run(
        [sys.executable, str(RUN), *words],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "| 0 |" in done.stdout

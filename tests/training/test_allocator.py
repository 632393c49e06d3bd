"""Freed memory stays with the process, so that the next step's does not have to be cleared."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from lightning_tune.training import allocator

COUNT = """
import resource, torch
from lightning_tune.training.allocator import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(12_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
loose = faults()
assert keep_freed_memory()
faults()
print(loose, faults())
"""

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's switch")


@on_glibc
def test_blocks_larger_than_any_threshold_are_reused():
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    loose, kept = map(int, done.stdout.split())
    assert loose > 10 * (kept + 1)


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not allocator.keep_freed_memory()

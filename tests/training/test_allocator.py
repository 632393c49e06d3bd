"""Freed memory stays with the process, so that the next step's does not have to be cleared."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

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


ADVISED = """
from pathlib import Path
from lightning_tune.training.allocator import keep_freed_memory
keep_freed_memory()
print(sum(" hg" in line for line in Path("/proc/self/smaps").open() if "VmFlags" in line))
"""


@on_glibc
@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").is_dir(), reason="a kernel without huge pages"
)
def test_the_heap_is_to_stand_in_huge_pages():
    done = subprocess.run(
        [sys.executable, "-c", ADVISED], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) >= 1


@on_glibc
def test_a_refused_block_asks_for_a_smaller_one(monkeypatch):
    class Library:
        def __init__(self):
            self.malloc = Refusing()
            self.advised, self.freed = [], []

        def madvise(self, start, size, advice):
            self.advised.append(size.value)

        def free(self, block):
            self.freed.append(block.value)

    class Refusing:
        restype = None

        def __call__(self, size):
            return None if size.value > 2**29 else 4096

    library = Library()
    allocator._ask_for_huge_pages(library)
    assert library.advised == [2**29 - 2 * 2**20]
    assert library.freed == [4096]


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not allocator.keep_freed_memory()

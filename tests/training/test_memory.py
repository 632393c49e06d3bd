"""Bytes in use and bytes left, against the kernel's own files and against files made by hand."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from lightning_tune.training import memory

CPU = torch.device("cpu")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads the files of Linux")


GROWTH = """
import torch
from lightning_tune.training import memory
cpu = torch.device("cpu")
memory.forget_peak(cpu)
before = memory.peak(cpu)
held = torch.ones(50_000_000)
print(memory.peak(cpu) - before)
"""


FORGETTING = """
import torch
from lightning_tune.training import memory
cpu = torch.device("cpu")
held = torch.ones(50_000_000)
del held
high = memory.peak(cpu)
memory.forget_peak(cpu)
print(high - memory.peak(cpu))
"""


def told(script: str) -> int:
    """Run in a process of its own: one that trained before keeps what it frees."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return int(done.stdout)


@linux
def test_the_peak_grows_with_what_is_held():
    assert 150e6 < told(GROWTH) < 300e6


@linux
def test_a_peak_can_be_forgotten():
    forgotten = told(FORGETTING)
    if forgotten == 0:
        pytest.skip("this container does not let a process forget its peak")
    assert forgotten > 100e6


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Files of the kernel's, in a folder of the test's."""
    (tmp_path / "status").write_text("VmHWM:\t  2000 kB\nVmRSS:\t  1000 kB\n")
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    monkeypatch.setattr(memory, "PROCESS", tmp_path)
    monkeypatch.setattr(memory, "MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CONTAINER", tmp_path)
    return tmp_path


def test_what_may_be_used_is_what_is_held_and_a_share_of_what_is_free(kernel):
    assert memory.peak(CPU) == 2000 * 1024
    assert memory.limit(CPU) == 5000 * 1024
    assert memory.limit(CPU, processes=4) == 2000 * 1024


def test_a_containers_limit_counts(kernel):
    (kernel / "memory.max").write_text("3072000\n")
    (kernel / "memory.current").write_text("1024000\n")
    assert memory.available() == 2_048_000
    (kernel / "memory.max").write_text("max\n")
    assert memory.available() == 4000 * 1024
    (kernel / "meminfo").unlink()
    assert memory.available() is None
    (kernel / "memory.max").write_text("3072000\n")
    assert memory.available() == 2_048_000


def test_a_system_that_does_not_tell(kernel):
    for name in ("status", "meminfo"):
        (kernel / name).unlink()
    memory.forget_peak(CPU)
    assert (memory.peak(CPU), memory.limit(CPU)) == (None, None)
    (kernel / "status").write_text("Name: python\n")
    assert (memory.peak(CPU), memory.limit(CPU)) == (None, None)


def test_another_kind_of_device_does_not_tell():
    memory.forget_peak(torch.device("meta"))
    assert memory.peak(torch.device("meta")) is None
    assert memory.limit(torch.device("meta")) is None


def test_a_gpu_tells_itself(monkeypatch):
    calls = []
    for name, answer in (
        ("empty_cache", lambda: None),
        ("reset_peak_memory_stats", calls.append),
        ("max_memory_reserved", lambda device: 7),
        ("mem_get_info", lambda device: (100, 1000)),
        ("memory_reserved", lambda device: 20),
    ):
        monkeypatch.setattr(torch.cuda, name, answer)
    gpu = torch.device("cuda", 0)
    memory.forget_peak(gpu)
    assert calls == [gpu]
    assert (memory.peak(gpu), memory.limit(gpu, 4)) == (7, 120)

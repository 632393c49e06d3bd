"""How much memory a process has used at most, and how much it may use: GPU or main memory."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import torch

PROCESS = Path("/proc/self")
MACHINE = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")


def forget_peak(device: torch.device) -> None:
    """Count the greatest use from now on, where the system lets a process say so."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    elif device.type == "cpu":
        with suppress(OSError):  # a sealed container; the peak then counts from the start
            (PROCESS / "clear_refs").write_text("5")


def peak(device: torch.device) -> int | None:
    """Return the most bytes in use since `forget_peak`; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return _bytes(PROCESS / "status", "VmHWM") if device.type == "cpu" else None


def limit(device: torch.device, processes: int = 1) -> int | None:
    """Return the bytes that this process can come to use; None where the system does not tell.

    Args:
        device: What computes.
        processes: How many like this one share the main memory.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device)
    used, free_here = _bytes(PROCESS / "status", "VmRSS"), available()
    if device.type != "cpu" or used is None or free_here is None:
        return None
    return used + free_here // processes


def available() -> int | None:
    """Return the bytes of main memory that are free for more, within the container's limit."""
    free = _bytes(MACHINE, "MemAvailable")
    try:
        most = int((CONTAINER / "memory.max").read_text(encoding="ascii"))
        used = int((CONTAINER / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or "max"
        return free
    return most - used if free is None else min(free, most - used)


def _bytes(file: Path, name: str) -> int | None:
    """Return a line `name: 12 kB` of one of the kernel's files in bytes."""
    with suppress(OSError):
        found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(encoding="ascii"), re.MULTILINE)
        return None if found is None else int(found.group(1)) * 1024
    return None

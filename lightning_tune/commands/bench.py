"""`bench`: measure speed; for now what this machine reaches, which training is measured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lightning_tune.cli import PROGRAM
from lightning_tune.commands.parsing import run_function
from lightning_tune.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from lightning_tune.training.calibration import Machine, Rate

TITLES = {
    "fp32": "fp32 matrix product",
    "bf16": "bf16 matrix product",
    "fp16": "fp16 matrix product",
    "int8": "int8 matrix product",
    "copy": "memory copy",
}
_BUSY = (
    "Repeats of what has a * differed much: something else was using the machine, and the figure "
    "may be too low. Measure again when it is idle."
)


def main(name: str, args: Sequence[str]) -> int:
    """Run the command; `--calibrate` takes no value."""
    return run_function(
        bench, name, ["--calibrate=true" if arg == "--calibrate" else arg for arg in args]
    )


def bench(calibrate: bool = False, seconds: float | None = None) -> None:
    """Measure what this machine reaches in matrix products and memory copies, and keep it.

    Args:
        calibrate: Measure this machine; runs then state what share of it they use (MFU).
        seconds: Time for each figure, above 0; null: 0.2.

    Raises:
        ConfigError: if nothing is asked for, or the figures cannot be kept.
    """
    if not calibrate:
        raise ConfigError(
            f"bench measures this machine so far and nothing else; run `{PROGRAM} bench "
            "--calibrate`."
        )
    if seconds is not None and not 0 < seconds <= 60:
        raise ConfigError(
            f"seconds={seconds} is outside (0, 60]; 0.2 is enough on an idle machine."
        )
    import torch

    _calibrate(torch.device("cpu"), seconds)
    for index in range(torch.cuda.device_count()):
        _calibrate(torch.device("cuda", index), seconds)


def _calibrate(device: torch.device, seconds: float | None) -> None:
    """Measure a device, show the figures, keep them."""
    from rich.console import Console

    from lightning_tune.training.calibration import calibrate, full_effort, machine_of
    from lightning_tune.training.calibration_store import keep

    effort = full_effort(device)
    rates = calibrate(device, effort if seconds is None else replace(effort, seconds=seconds))
    machine = machine_of(device)
    console = Console(highlight=False)
    console.print(table(machine, rates))
    if not all(rate.steady for rate in rates):
        console.print(_BUSY)
    print(f"kept in          {keep(machine, rates)}\n")


def table(machine: Machine, rates: Sequence[Rate]) -> Table:
    """Return the figures of a machine: a line a kind, a column a number of threads."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from lightning_tune.training.calibration import KINDS, ON_CPU

    title = f"{machine.device}, torch {machine.torch}"
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("")
    columns = sorted({rate.threads for rate in rates})
    for threads in columns:
        made.add_column(_threads(threads), justify="right")
    found = {(rate.kind, rate.threads): rate for rate in rates}
    for kind in KINDS if machine.threads == 0 else ON_CPU:
        made.add_row(TITLES[kind], *(_shown(found.get((kind, one))) for one in columns))
    return made


def _threads(count: int) -> str:
    return {0: "GPU", 1: "1 thread"}.get(count, f"{count} threads")


def _shown(rate: Rate | None) -> str:
    if rate is None:
        return "no kernel"
    unit = "GB/s" if rate.kind == "copy" else "GFLOP/s" if rate.kind != "int8" else "GOP/s"
    return f"{rate.a_second / 1e9:,.4g} {unit}{'' if rate.steady else ' *'}"

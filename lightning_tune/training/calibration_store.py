"""Calibrations in the user's cache folder: measured once for each machine, kept for later runs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from lightning_tune.errors import ConfigError
from lightning_tune.tables import replace_file
from lightning_tune.tables.caches import cache_folder
from lightning_tune.training.calibration import (
    KINDS,
    Kind,
    Machine,
    Rate,
    machine_of,
    measure,
    quick_effort,
)

_KIND_OF: dict[str, Kind] = {"32": "fp32", "bf16": "bf16", "16": "fp16"}
_measured: dict[tuple[Machine, Kind], Rate] = {}  # by this process, for folders nobody can write to


def place(machine: Machine) -> Path:
    """Return the file that holds the figures of a machine."""
    key = json.dumps(asdict(machine), sort_keys=True)
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    return cache_folder("calibration") / f"{name}.json"


def read(machine: Machine) -> list[Rate]:
    """Return what is kept of a machine; nothing where there is no file, or a damaged one."""
    try:
        values = json.loads(place(machine).read_text(encoding="utf-8"))
        rates = [_rate(entry) for entry in values["rates"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return rates if values.get("machine") == asdict(machine) else []


def _rate(entry: dict[str, Any]) -> Rate:
    rate = Rate(**entry)
    known = rate.kind in KINDS and isinstance(rate.threads, int)
    if not (known and math.isfinite(rate.a_second) and rate.a_second > 0):
        raise ValueError(f"{entry} is no rate")
    return rate


def keep(machine: Machine, rates: Iterable[Rate]) -> Path:
    """Write figures beside what is kept of a machine, in the place of older ones of their kind.

    Returns:
        The file, which only its owner may read.

    Raises:
        ConfigError: if it cannot be written.
    """
    merged = {(rate.kind, rate.threads): rate for rate in (*read(machine), *rates)}
    values = {"machine": asdict(machine), "rates": [asdict(rate) for rate in merged.values()]}
    file = place(machine)
    with replace_file(file, private=True) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return file


def peak(device: torch.device, kind: Kind) -> Rate | None:
    """Return what products of a kind reach with the threads in use.

    What is not kept is measured now, in a quarter of a second, and kept if it was steady. What is
    kept counts as steady: `bench --calibrate` has told where it was not.

    Returns:
        None on devices other than CPU and CUDA, and where torch has no kernel.
    """
    if device.type not in ("cpu", "cuda"):
        return None
    machine = machine_of(device)
    kept = {(rate.kind, rate.threads): rate for rate in read(machine)}
    if (kind, machine.threads) in kept:
        return replace(kept[kind, machine.threads], steady=True)
    if (machine, kind) not in _measured:
        for rate in measure(device, kind, quick_effort(device)):
            _measured[machine, kind] = rate
            if rate.steady:
                with suppress(ConfigError, OSError):  # where nothing can be kept, the run goes on
                    keep(machine, [rate])
    return _measured.get((machine, kind))


def kind_of(precision: object) -> Kind | None:
    """Return the kind of number that a trainer's precision multiplies; None where we measure none.

    >>> kind_of("bf16-mixed"), kind_of("32-true"), kind_of("64-true")
    ('bf16', 'fp32', None)
    """
    return _KIND_OF.get(str(precision).partition("-")[0])

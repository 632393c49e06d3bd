"""The settings of a run for a tracker: all that config.yaml holds, as dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lightning_tune.reports.display import flatten


def run_settings(folder: Path | None, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings under the names that flags have, as `model.lr`: so do a sweep's.

    Args:
        folder: The run's folder; its config.yaml says all that produced the run.
        hyperparameters: What stands in for it where there is none, as in a run from Python.
    """
    file = None if folder is None else folder / "config.yaml"
    values: Mapping[str, Any] = {"model": dict(hyperparameters)}
    if file is not None and file.is_file():
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return {name.replace(".init_args.", "."): value for name, value in flatten(values).items()}

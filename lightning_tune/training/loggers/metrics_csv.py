"""metrics.csv: a line for each logging call, on disk at once, and continued by a resumed run."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import CSVLogger

from lightning_tune.tables import replace_file

Row = dict[str, Any]
AXES = {"epoch", "step"}
"""Columns that say where a line stands, not what was measured."""


class MetricsCSV(CSVLogger):
    """Write metrics.csv into a run's folder; a resumed run continues what stands there.

    It is Lightning's CSVLogger with a file of our own behind it: Lightning's deletes the lines of
    an earlier process, and writes hyperparameters that config.yaml has already.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder, name="", version="")
        self._file: CurvesFile | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> CurvesFile:
        """The file."""
        if self._file is None:
            self._file = CurvesFile(Path(self.save_dir) / "metrics.csv")
        return self._file

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Write a line; without a step it stands at step 0."""
        self.experiment.add(metrics, step or 0)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace | None = None) -> None:
        """Nothing: config.yaml holds them."""

    @rank_zero_only
    def save(self) -> None:
        """Nothing: every line is written as it comes."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Nothing: every line is written as it comes."""


class CurvesFile:
    """The lines of metrics.csv: each names its step and some metrics; other columns stay empty.

    A run that resumes at an earlier step goes over steps again. From its first line on, what an
    earlier process wrote of later steps is dropped, and of the same step where both measured it.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = _read(path)
        self._columns = sorted(set().union(*rows))
        self._repeats_until = max((float(row["step"]) for row in rows), default=-1.0)
        if path.exists():
            self._replace(rows)  # without a last line that a killed process left unfinished

    def add(self, metrics: Mapping[str, Any], step: int) -> None:
        """Write a line.

        Args:
            metrics: Numbers, or tensors of one number, by name.
            step: Where it stands.
        """
        row = {**{name: _plain(value) for name, value in metrics.items()}, "step": step}
        if step > self._repeats_until and row.keys() <= set(self._columns):
            self._append([row])
            return
        self._columns = sorted({*self._columns, *row})
        kept = _read(self.path)
        if step <= self._repeats_until:
            kept = [earlier for earlier in kept if not _is_repeated(earlier, row)]
            self._repeats_until = step
        self._replace([*kept, row])

    def _append(self, rows: Iterable[Row]) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerows(rows)

    def _replace(self, rows: Iterable[Row]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (
            replace_file(self.path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)


def _read(path: Path) -> list[Row]:
    """Return the whole lines of a file, each without its empty columns."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = io.StringIO(text[: text.rfind("\n") + 1], newline="")
    rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(whole)]
    return [row for row in rows if row.get("step", "").isdecimal()]


def _is_repeated(earlier: Row, row: Row) -> bool:
    """Whether an earlier line is of a step that is done again."""
    at = int(earlier["step"])
    return at > row["step"] or (at == row["step"] and bool((earlier.keys() & row) - AXES))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value

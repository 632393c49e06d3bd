"""Reading what runs left on disk; a missing file is normal, a damaged one is named and left out."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_tune.errors import DataError
from lightning_tune.reports.display import flatten
from lightning_tune.reports.records import Point

CURVES, METRICS, SETTINGS = "metrics.csv", "metrics.json", "config.yaml"

_DEPTH = 4


@dataclass
class Run:
    """What one run's folder says.

    Args:
        name: Path of the folder below the one that was searched.
        path: The folder.
        curves: Points (step, value) by metric, as they were logged.
        metrics: What metrics.json holds: "test/accuracy" …
        settings: The config, dotted.
        written: When a file of the run changed last, in seconds since 1970.
        problems: Files that could not be read, each with the reason.
    """

    name: str
    path: Path
    curves: dict[str, list[Point]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    written: float = 0.0
    problems: list[str] = field(default_factory=list)


def find_runs(root: str) -> list[Run]:
    """Read every run below a folder, by name; the folder may be a run itself.

    Raises:
        DataError: if the folder does not exist or holds no run.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"runs={root!r} is not a folder; name the folder that holds the runs "
            "(trainer.default_root_dir, by default runs)."
        )
    found = [read_run(path, _name(path, folder)) for path in sorted(_folders(folder, _DEPTH))]
    if not found:
        raise DataError(
            f"runs={root!r} holds no run: no {CURVES}, {METRICS} or {SETTINGS} below it; "
            "train one with `lightning-tune fit`, or name another folder."
        )
    return found


def _name(path: Path, folder: Path) -> str:
    return path.resolve().name if path == folder else path.relative_to(folder).as_posix()


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    """Yield folders that hold a run's file, and look no deeper: trackers keep copies there."""
    if any((folder / name).is_file() for name in (CURVES, METRICS, SETTINGS)):
        yield folder
    elif depth:
        try:
            below = [path for path in folder.iterdir() if path.is_dir()]
        except OSError:
            return
        for path in below:
            if not path.name.startswith("."):
                yield from _folders(path, depth - 1)


def read_run(path: Path, name: str) -> Run:
    """Read one run's folder, as far as it can be read."""
    run = Run(name, path)
    readers = {CURVES: _read_curves, METRICS: _read_metrics, SETTINGS: _read_settings}
    for file, reader in readers.items():
        try:
            run.written = max(run.written, (path / file).stat().st_mtime)
            reader(run, path / file)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, csv.Error) as err:
            run.problems.append(f"{name}/{file}: {_reason(err)}")
    return run


def _reason(err: Exception) -> str:
    if isinstance(err, UnicodeDecodeError):
        return f"byte {err.start} is not UTF-8"
    if isinstance(err, OSError):
        return err.strerror or type(err).__name__
    return " ".join(str(err).split())


def _read_curves(run: Run, path: Path) -> None:
    """Read Lightning's CSV log: a line for each logging call, with gaps where it had no value."""
    run.curves, damaged = _parse_curves(path.read_text(encoding="utf-8"))
    if damaged:
        shown = ", ".join(str(line) for line in damaged[:5])
        more = f" and {len(damaged) - 5} more" if len(damaged) > 5 else ""
        run.problems.append(f"{run.name}/{CURVES}: damaged lines left out: {shown}{more}")


def _parse_curves(text: str) -> tuple[dict[str, list[Point]], list[int]]:
    """Return the curves and the numbers of lines that do not fit the header.

    A last line without its line end is still being written: it is left for the next reading.
    """
    complete = text[: text.rfind("\n") + 1]
    rows = csv.reader(complete.splitlines())
    header = next(rows, [])
    if header and "step" not in header:
        raise ValueError("no column 'step'; this is not Lightning's CSV log")
    curves: dict[str, list[Point]] = {}
    damaged = []
    for line, row in enumerate(rows, start=2):
        try:
            values = _logged(dict(zip(header, row, strict=True)))
        except ValueError:
            damaged.append(line)
            continue
        step = values.pop("step")
        values.pop("epoch", None)
        for key, value in values.items():
            curves.setdefault(key, []).append((step, value))
    return {key: sorted(points) for key, points in curves.items()}, damaged


def _logged(row: Mapping[str, str]) -> dict[str, float]:
    """The numbers of one line.

    Raises:
        ValueError: if a value is not a number, or the step is missing.
    """
    values = {key: float(value) for key, value in row.items() if value != ""}
    if not math.isfinite(values.get("step", math.nan)):
        raise ValueError("no step")
    return values


def _read_metrics(run: Run, path: Path) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"holds {type(values).__name__}, not names and values")
    run.metrics = {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _read_settings(run: Run, path: Path) -> None:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as err:
        raise ValueError(f"not YAML: {err}") from err
    if not isinstance(values, dict | None):
        raise ValueError(f"holds {type(values).__name__}, not settings")
    run.settings = flatten(values or {})

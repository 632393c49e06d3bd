"""What one evaluation found, as plain values that JSON holds: the source of every rendering."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lightning_tune.errors import DataError
from lightning_tune.reports.robustness import Robustness
from lightning_tune.schema import MAIN_METRIC, TASK_KINDS, Label, TaskKind
from lightning_tune.tables import replace_file

SCHEMA_VERSION = 1
THROUGHPUT = "throughput/"
"""What the names of rates begin with where they are logged, and in metrics.json."""

Point = tuple[float, float]


@dataclass(frozen=True)
class ClassScores:
    """How one label fares: `support` rows hold it, `predicted` rows were given it."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    average_precision: float | None = None


@dataclass(frozen=True)
class Mistake:
    """One row that the model got wrong.

    Args:
        row: Position in the evaluated split, from 0.
        label: What stands in the data.
        predicted: What the model says.
        probability: How sure it is of its answer, in [0, 1] (multi-label: of the label it gets
            most wrong); None in regression.
        loss: How wrong it is: negative log-likelihood of the label, or the absolute error.
        text: The text, where texts may be shown.
        text_pair: The second text of a pair.
    """

    row: int
    label: Label
    predicted: Label
    probability: float | None
    loss: float
    text: str | None = None
    text_pair: str | None = None

    @property
    def sides(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] | None:
        """In multi-label what is right, what is missed and what is wrongly given; else nothing."""
        held, given = self.label, self.predicted
        if not isinstance(held, tuple) or not isinstance(given, tuple):
            return None
        return (
            tuple(name for name in held if name in given),
            tuple(name for name in held if name not in given),
            tuple(name for name in given if name not in held),
        )


@dataclass
class Evaluation:
    """All that a report shows about one model on one split.

    Args:
        task: Task kind.
        split: Which split was read: "test", "val".
        rows: How many rows were evaluated.
        labels: Label names, in the order of the model's outputs; empty in regression.
        main_metric: The metric that decides; the task kind's own unless stated.
        metrics: Value of each metric, without the split's prefix.
        intervals: Lower and upper 95 % bound of those that have one.
        confusion: Rows by [label][prediction]; single-label tasks only.
        per_class: One entry a label, in the order of `labels`.
        worst: The wrong rows, worst first.
        robustness: What attacks did to the answers, where any were made.
        precision_recall: Points (recall, precision) of each label's curve, and of "micro".
        scatter: Points (label, prediction) of a regression, a sample where there are many.
        curves: Points (step, value) of what training logged, by metric name.
        throughput: How fast the training was, by name as it was logged, and its `seconds`.
        data_summary: What the data module found, as plain values.
        settings: The run's config, as plain values.
        notes: What a reader has to know: skipped rows, truncated texts, a fallback.
        provenance: Checkpoint, versions, hardware, date: shown at the foot.
        title: The run's name.
    """

    task: TaskKind
    split: str
    rows: int
    labels: list[str] = field(default_factory=list)
    main_metric: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Point] = field(default_factory=dict)
    confusion: list[list[int]] | None = None
    per_class: list[ClassScores] = field(default_factory=list)
    worst: list[Mistake] = field(default_factory=list)
    robustness: Robustness | None = None
    precision_recall: dict[str, list[Point]] = field(default_factory=dict)
    scatter: list[Point] = field(default_factory=list)
    curves: dict[str, list[Point]] = field(default_factory=dict)
    throughput: dict[str, float] = field(default_factory=dict)
    data_summary: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, str] = field(default_factory=dict)
    title: str = ""

    def __post_init__(self) -> None:
        self.main_metric = self.main_metric or MAIN_METRIC[self.task]

    def without_texts(self) -> Evaluation:
        """Return a copy that holds no text of the data, for trackers and shared places."""
        worst = [Mistake(m.row, m.label, m.predicted, m.probability, m.loss) for m in self.worst]
        bare = self.robustness and self.robustness.without_texts()
        return Evaluation(**{**_shallow(self), "worst": worst, "robustness": bare})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; a number that is not finite becomes None."""
        plain: dict[str, Any] = finite({"schema_version": SCHEMA_VERSION, **asdict(self)})
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """Rebuild from `to_dict`; keys of a newer version are ignored.

        Raises:
            DataError: if the values are not an evaluation's.
        """
        try:
            return _rebuild(values)
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise DataError(
                f"this is not an evaluation record ({type(err).__name__}: {err}); "
                "run `lightning-tune test` again to write a new one."
            ) from err


def _shallow(evaluation: Evaluation) -> dict[str, Any]:
    return {entry.name: getattr(evaluation, entry.name) for entry in fields(evaluation)}


def _rebuild(values: Mapping[str, Any]) -> Evaluation:
    if values["task"] not in TASK_KINDS:
        raise ValueError(f"unknown task {values['task']!r}")
    known = {entry.name for entry in fields(Evaluation)}
    kept = {key: value for key, value in values.items() if key in known}
    kept["metrics"] = _numbers(values.get("metrics", {}))
    kept["throughput"] = _numbers(values.get("throughput", {}))
    kept["intervals"] = {key: _point(pair) for key, pair in values.get("intervals", {}).items()}
    kept["per_class"] = [ClassScores(**row) for row in values.get("per_class", [])]
    kept["worst"] = [_mistake(row) for row in values.get("worst", [])]
    if values.get("robustness") is not None:
        kept["robustness"] = Robustness.from_dict(values["robustness"])
    kept["scatter"] = [_point(pair) for pair in values.get("scatter", [])]
    for name in ("precision_recall", "curves"):
        kept[name] = {
            key: [_point(pair) for pair in points] for key, points in values.get(name, {}).items()
        }
    return Evaluation(**kept)


def _mistake(row: Mapping[str, Any]) -> Mistake:
    values = dict(row)
    for key in ("label", "predicted"):
        if isinstance(values[key], list):
            values[key] = tuple(values[key])
    return Mistake(**values)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {key: math.nan if value is None else float(value) for key, value in values.items()}


def _point(pair: Any) -> Point:
    first, second = (math.nan if value is None else float(value) for value in pair)
    return first, second


def finite(value: Any) -> Any:
    """Return plain values for JSON; a number that is not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def flat_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Return the metrics under the names that metrics.json has.

    >>> flat_metrics(Evaluation("binary", "test", 9, metrics={"f1": 0.5}, intervals={"f1": (0, 1)}))
    {'test/f1': 0.5, 'test/f1_low': 0, 'test/f1_high': 1}
    """
    flat: dict[str, float] = {}
    for name, value in evaluation.metrics.items():
        flat[f"{evaluation.split}/{name}"] = value
        if name in evaluation.intervals:
            low, high = evaluation.intervals[name]
            flat[f"{evaluation.split}/{name}_low"] = low
            flat[f"{evaluation.split}/{name}_high"] = high
    return flat | {f"{THROUGHPUT}{name}": value for name, value in evaluation.throughput.items()}


def write_metrics(path: Path, evaluation: Evaluation) -> None:
    """Write metrics.json; what it holds of other splits stays, this split's values are replaced."""
    own = f"{evaluation.split}/"
    kept = {key: value for key, value in _read_flat(path).items() if not key.startswith(own)}
    _write_json(path, {**kept, **flat_metrics(evaluation)}, private=False)


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write the record as JSON, readable by its owner alone, since it may hold texts."""
    _write_json(path, evaluation.to_dict(), private=True)


def read_evaluation(path: Path) -> Evaluation:
    """Read what `write_evaluation` wrote.

    Raises:
        DataError: if the file is missing, damaged or something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise DataError(
            f"cannot read the report {path}: {err}; run `lightning-tune test` again."
        ) from err
    if not isinstance(values, dict):
        raise DataError(f"{path} holds {type(values).__name__}, not an evaluation record.")
    return Evaluation.from_dict(values)


def _read_flat(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _write_json(path: Path, values: Mapping[str, Any], *, private: bool) -> None:
    text = json.dumps(finite(dict(values)), indent=2, ensure_ascii=False, allow_nan=False)
    with replace_file(path, private=private) as temporary:
        # A lone surrogate in a text would not encode; the record keeps it as "\udXXX".
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")

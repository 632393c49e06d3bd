"""What an example, a split, a task and a label set are: the words that every stage shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lightning_tune.errors import ConfigError, DataError, nearest

TaskKind = Literal["binary", "multiclass", "multilabel", "regression"]
Split = Literal["train", "val", "test", "predict"]
Label = str | float | tuple[str, ...]
"""One example's answer: a class name, a score (regression), or the names that hold (multilabel)."""

TASK_KINDS: tuple[TaskKind, ...] = get_args(TaskKind)

MAIN_METRIC: Mapping[TaskKind, str] = {
    "binary": "accuracy",
    "multiclass": "accuracy",
    "multilabel": "f1_macro",
    "regression": "spearman",
}
"""What early stopping, best checkpoint and gates use, unless the config names another metric."""


@dataclass(frozen=True)
class Example:
    """One text, or a pair, with its label where there is one."""

    text: str
    text_pair: str | None = None
    label: Label | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class LabelSet:
    """The task kind and the ordered names of its labels.

    Args:
        kind: What the labels mean.
        names: Class names, ordered as strings; empty for regression.
        positive: The positive class of a binary task; the last name unless stated.
    """

    kind: TaskKind
    names: tuple[str, ...] = ()
    positive: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in TASK_KINDS:
            raise ConfigError(
                f"task={self.kind!r} is not a task kind; use one of {', '.join(TASK_KINDS)}."
                + nearest(str(self.kind), TASK_KINDS)
            )
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"the label names {list(self.names)} repeat; name each label once.")
        if self.kind == "regression" and self.names:
            raise ConfigError("a regression task has no label names; drop them or change the task.")
        minimum = {"binary": 2, "multiclass": 2, "multilabel": 1, "regression": 0}[self.kind]
        if len(self.names) < minimum or (self.kind == "binary" and len(self.names) != 2):
            raise DataError(
                f"a {self.kind} task needs {'exactly' if self.kind == 'binary' else 'at least'} "
                f"{minimum} classes, got {len(self.names)}: {list(self.names)[:5]}; "
                "add examples of another class, or state data.task."
            )
        if self.kind != "binary" and self.positive is not None:
            raise ConfigError(
                f"positive_label={self.positive!r} has a meaning in binary tasks only; "
                f"this task is {self.kind}."
            )
        if self.kind == "binary":
            if self.positive is None:
                object.__setattr__(self, "positive", self.names[-1])
            elif self.positive not in self.names:
                raise ConfigError(
                    f"positive_label={self.positive!r} is not one of the labels {list(self.names)}."
                    + nearest(self.positive, self.names)
                )

    @property
    def num_outputs(self) -> int:
        """Number of logits: one a class, one for regression."""
        return max(1, len(self.names))

    @property
    def positive_index(self) -> int:
        """Index of the positive class of a binary task.

        Raises:
            ConfigError: if the task is not binary.
        """
        if self.positive is None:
            raise ConfigError(f"a {self.kind} task has no positive label.")
        return self.names.index(self.positive)

    def encode(self, label: Label) -> int | float | list[float]:
        """Turn a label into its target: a class index, a number, or a list of 0 and 1 a label.

        Raises:
            DataError: if a name is not in the set, or the label is of another kind.
        """
        if self.kind == "regression":
            try:
                return float(label)  # type: ignore[arg-type]
            except (TypeError, ValueError):
                raise DataError(
                    f"label {label!r} is not a number; a regression task needs numbers."
                ) from None
        if self.kind == "multilabel":
            wanted = label if isinstance(label, tuple) else (str(label),)
            held = {self._index(name) for name in wanted}
            return [float(index in held) for index in range(len(self.names))]
        if not isinstance(label, str):
            raise DataError(
                f"label {label!r} is not a class name; a {self.kind} task takes one name a text."
            )
        return self._index(label)

    def _index(self, name: str) -> int:
        try:
            return self.names.index(name)
        except ValueError:
            raise DataError(
                f"unknown label {name!r}; train has {_shorten(self.names)}."
                + nearest(name, self.names)
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a checkpoint or a manifest.

        >>> LabelSet("binary", ("no", "yes")).to_dict()
        {'kind': 'binary', 'names': ['no', 'yes'], 'positive': 'yes'}
        """
        return {"kind": self.kind, "names": list(self.names), "positive": self.positive}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelSet:
        """Rebuild from `to_dict`.

        >>> LabelSet.from_dict({"kind": "regression", "names": [], "positive": None}).num_outputs
        1
        """
        return cls(values["kind"], tuple(values["names"]), values.get("positive"))


def _shorten(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"

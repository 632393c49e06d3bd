"""What an export may cost and lose: the budgets that a recipe states."""

from __future__ import annotations

from dataclasses import dataclass, fields

from lightning_tune.errors import ConfigError
from lightning_tune.schema import TaskKind


@dataclass(frozen=True)
class Budgets:
    """The limits of what may be exported; null: no limit.

    A point is a hundredth of a metric: from 0.889 to 0.884 half a point is lost.

    Args:
        points: Points of the main metric that may be lost, at least 0.
        class_points: Points of F1 that each class may lose, at least 0; not for regression.
        class_rows: Classes that fewer rows hold are shown and not judged, at least 1: in ten rows
            one answer is ten points.
        flips: Share of the answers that may change, in [0, 1]: of the rows, in multi-label of the
            single decisions about a label (rows x labels). A regression has none.
        milliseconds: Median time that one text may take here, above 0.
        megabytes: Size that the model's file may have, in 10**6 bytes, above 0.

    Raises:
        ConfigError: if a limit is outside its range.
    """

    points: float | None = 1.0
    class_points: float | None = None
    class_rows: int = 100
    flips: float | None = None
    milliseconds: float | None = None
    megabytes: float | None = None

    def check(self, kind: TaskKind) -> None:
        """Refuse what a task has no use for; `flips`, which shipped recipes state, is passed over.

        Raises:
            ConfigError: if classes are to be judged in regression.
        """
        if kind == "regression" and self.class_points is not None:
            raise ConfigError(
                f"budgets.class_points={self.class_points} is about classes, and a regression has "
                "none; set it to null."
            )

    def __post_init__(self) -> None:
        ranges = {
            "points": (0.0, 100.0, "in [0, 100]"),
            "class_points": (0.0, 100.0, "in [0, 100]"),
            "class_rows": (1, float("inf"), "at least 1"),
            "flips": (0.0, 1.0, "in [0, 1]"),
        }
        for field in fields(self):
            value = getattr(self, field.name)
            low, high, rule = ranges.get(field.name, (0.0, float("inf"), "above 0"))
            inside = value is None or (low <= value <= high and (value > 0 or "above" not in rule))
            if not inside:
                raise ConfigError(
                    f"budgets.{field.name}={value} can never be kept; it has to be {rule}."
                )

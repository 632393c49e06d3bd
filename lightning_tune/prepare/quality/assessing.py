"""The step of the stage: all that is found out about the labels of some rows, changing none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.quality.balance import Balance, balance
from lightning_tune.prepare.quality.folds import FitPredict
from lightning_tune.prepare.quality.outliers import is_outlier, surprisals
from lightning_tune.prepare.quality.suspects import QualitySettings, Suspects, suspects
from lightning_tune.schema import Label


@dataclass(frozen=True)
class AssessSettings:
    """What is looked for.

    Args:
        suspects: How suspected labels are looked for; null: they are not.
        outliers: Robust deviations above the median surprisal from which a text is an outlier,
            above 0; null: none is looked for.
        rare: Rows below which a class is called rare, at least 0.

    Raises:
        ConfigError: if a value is out of its range.
    """

    suspects: QualitySettings | None = QualitySettings()  # noqa: RUF009  # frozen
    outliers: float | None = 4.0
    rare: int = 10

    def __post_init__(self) -> None:
        if self.outliers is not None and not self.outliers > 0:
            raise ConfigError(f"quality.outliers={self.outliers} is not above 0; 4 is usual.")
        if self.rare < 0:
            raise ConfigError(f"quality.rare={self.rare} is below 0; 10 is usual.")


@dataclass(frozen=True)
class Assessment:
    """What was found out about n rows.

    Args:
        balance: The sizes of the classes; None where labels are numbers.
        suspects: Suspected labels; None where none were looked for, or labels are numbers.
        outliers: Positions of the texts that are like no other, the most surprising first.
        counts: By documented names: `rows`, `classes`, `rare_classes`, `suspects`, `outliers`.
    """

    balance: Balance | None
    suspects: Suspects | None
    outliers: list[int]
    counts: dict[str, int] = field(default_factory=dict)


def assess(
    texts: Sequence[str],
    labels: Sequence[Label],
    *,
    settings: AssessSettings = AssessSettings(),  # frozen
    probabilities: FitPredict | None = None,
) -> Assessment:
    """Look at the labels of some rows.

    Args:
        texts: The texts, n of them; of pairs both, joined.
        labels: Class names, tuples of names, or numbers, of which neither balance nor suspects can
            be told.
        settings: What is looked for.
        probabilities: What fits and answers where suspects are looked for in encoder mode.

    Raises:
        ConfigError: if encoder mode is asked for and nothing answers.
        DataError: if there are too few texts for the folds, or only one class.
    """
    named = not any(isinstance(label, float) for label in labels)
    sizes = balance(labels, least=settings.rare) if named else None
    found = None
    if settings.suspects is not None and named:
        found = suspects(texts, labels, settings=settings.suspects, probabilities=probabilities)
    strangers: list[int] = []
    if settings.outliers is not None and texts:
        scores = surprisals(texts)
        flags = is_outlier(scores, deviations=settings.outliers)
        strangers = [int(at) for at in np.argsort(-scores, kind="stable") if flags[at]]
    return Assessment(
        balance=sizes,
        suspects=found,
        outliers=strangers,
        counts={
            "rows": len(texts),
            "classes": 0 if sizes is None else len(sizes.counts),
            "rare_classes": 0 if sizes is None else len(sizes.rare),
            "suspects": 0 if found is None else int(found.suspected.sum()),
            "outliers": len(strangers),
        },
    )

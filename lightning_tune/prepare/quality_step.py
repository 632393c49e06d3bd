"""Suspected labels, texts like no other and rare classes of train, as a step of the stage.

Global: each row is judged by models of the others. They are only told of, in a table for `review`,
unless the recipe says that suspects shall go. Validation and test are left as they are: what is
dropped there would flatter the model, and `review --split test` looks at them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.labels import class_counts
from lightning_tune.prepare.quality.agreement import Agreement, agreement
from lightning_tune.prepare.quality.assessing import Assessment, AssessSettings, assess
from lightning_tune.prepare.quality.folds import FitPredict
from lightning_tune.prepare.quality.suspects import Mode, QualitySettings, Suspects
from lightning_tune.prepare.rows import (
    ANSWER,
    DROPPED,
    KEPT,
    KEY,
    drop,
    labels_of,
    numbers,
    single_texts,
)

STEP = "quality"
WRONG = "the label is probably wrong"
LEAST = 50
"""Different texts below which nothing is looked for: a model of so few tells nothing."""
CLASSES = 100
"""Classes above which fast mode does not look: its time and memory grow with their number."""
_SHOWN = 10  # outliers that are named

Fitting = Callable[[Sequence[str], bool], FitPredict]
"""Names of the labels, and whether several may hold -> what fits and answers in encoder mode."""


@dataclass(frozen=True)
class LookSettings:
    """What is looked for in train, and what becomes of it.

    Args:
        mode: What answers out of fold: fast, a linear model of words and characters; encoder, a
            backbone that is tuned once a fold and round.
        folds: Parts of the rows, each answered by a model of the others, at least 2.
        rounds: How often all folds are fitted, at least 1; null: 2 in fast mode, 1 in encoder mode.
        seed: Decides about the folds.
        outliers: Robust deviations above the median surprisal from which a text is an outlier,
            above 0; null: none is looked for.
        rare: Rows below which a class is called rare, at least 0.
        rows: Most rows that are looked at, at least 50; of more a draw, the same one every time.
        on_suspects: Whether rows whose label is suspected are kept, and told of in a table to
            review, or dropped.

    Raises:
        ConfigError: if a value is out of its range.
    """

    mode: Mode = "fast"
    folds: int = 5
    rounds: int | None = None
    seed: int = 0
    outliers: float | None = 4.0
    rare: int = 10
    rows: int = 10_000
    on_suspects: Literal["keep", "drop"] = "keep"

    def __post_init__(self) -> None:
        self.assessing()
        if self.rows < LEAST:
            raise ConfigError(f"quality.rows={self.rows} is below {LEAST}; 10000 is usual.")

    def assessing(self) -> AssessSettings:
        """Return the settings of the functions behind the step."""
        suspects = QualitySettings(self.mode, self.folds, self.rounds, self.seed)
        return AssessSettings(suspects, self.outliers, self.rare)


@dataclass(frozen=True)
class Looked:
    """What was found in train.

    Args:
        table: The rows that stay.
        dropped: Those that go, as `DROPPED`.
        counts: `rows` that were looked at, `suspects`, `outliers`, `rare_classes`, `dropped`.
        rows: Rows of train that came in.
        places: The positions among them of the rows that were looked at, ascending.
        found: What was found out about these; None: there are too few.
        classes: Suspects by the label that they have.
        outliers: The first of the texts that are like no other, as `source:line`.
    """

    table: pa.Table
    dropped: pa.Table
    counts: Mapping[str, int]
    rows: int
    places: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    found: Assessment | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    outliers: Sequence[str] = ()

    @property
    def suspects(self) -> Suspects | None:
        """The suspects among the rows that were looked at; None: they were not looked for."""
        return None if self.found is None else self.found.suspects


def look(table: pa.Table, settings: LookSettings, *, fitting: Fitting | None = None) -> Looked:
    """Look at the labels and texts of train.

    Args:
        table: Its rows, with their content keys.
        settings: What is looked for, and what becomes of it.
        fitting: Makes what fits and answers in encoder mode.

    Raises:
        ConfigError: if the mode is encoder and nothing makes what answers.
        DataError: if there are fewer different texts than folds.
    """
    places = drawn(numbers(table, KEY), settings.rows)
    part = table.take(pa.array(places))
    if len(np.unique(numbers(part, KEY))) < LEAST:
        return Looked(table, DROPPED.empty_table(), {"rows": 0}, table.num_rows)
    found = _assessed(part, settings, fitting)
    codes = np.full(table.num_rows, KEPT, np.int8)
    if settings.on_suspects == "drop" and found.suspects is not None:
        codes[places[found.suspects.suspected]] = 0
    kept, dropped = drop(table, codes, [WRONG], step=STEP)
    counts = {
        **{name: found.counts[name] for name in ("rows", "suspects", "outliers")},
        "rare_classes": sum(count < settings.rare for count in class_counts(table).values()),
        "dropped": dropped.num_rows,
    }
    return Looked(
        kept,
        dropped,
        counts,
        table.num_rows,
        places,
        found,
        classes=_suspected_classes(part, found),
        outliers=_named(part.take(pa.array(found.outliers[:_SHOWN], pa.int64()))),
    )


def _suspected_classes(part: pa.Table, found: Assessment) -> dict[str, int]:
    if found.suspects is None:
        return {}
    return class_counts(part.filter(pa.array(found.suspects.suspected)))


def _named(rows: pa.Table) -> list[str]:
    sources, lines = rows["source"].to_pylist(), rows["line"].to_pylist()
    return [f"{source}:{line}" for source, line in zip(sources, lines, strict=True)]


def agreement_of(table: pa.Table) -> Agreement | None:
    """Compare the columns of annotators; None where there are none.

    Args:
        table: Rows as they were collected; white space at the ends of an answer is no part of it.
    """
    names = [name for name in table.column_names if name.startswith(ANSWER)]
    if not names:
        return None
    answers = {name: pc.utf8_trim_whitespace(table[name]).to_pylist() for name in names}
    return agreement({name.removeprefix(ANSWER): given for name, given in answers.items()})


def drawn(keys: NDArray[np.uint64], most: int) -> NDArray[np.int64]:
    """Return the places of at most so many rows, ascending: those with the smallest keys.

    Keys are hashes, so the draw is by chance; it goes by content, whatever the order of the rows.

    >>> drawn(np.array([7, 1, 9, 3], np.uint64), 2).tolist()
    [1, 3]
    """
    return np.sort(np.argsort(keys, kind="stable")[:most]).astype(np.int64)


def _assessed(part: pa.Table, settings: LookSettings, fitting: Fitting | None) -> Assessment:
    texts, wanted = single_texts(part), settings.assessing()
    if "label" not in part.column_names:
        return assess(texts, [0.0] * len(texts), settings=wanted)
    labels, names = labels_of(part), list(class_counts(part))
    answering = None
    if settings.mode == "encoder" and fitting is not None:
        answering = fitting(names, any(isinstance(label, tuple) for label in labels))
    if settings.mode == "fast" and len(names) > CLASSES:
        wanted = replace(wanted, suspects=None)
    return assess(texts, labels, settings=wanted, probabilities=answering)

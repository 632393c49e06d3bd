"""What a tour found, as plain values: the source of its page and of its lines on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning_tune.reports.records import Evaluation, Point
from lightning_tune.reports.tour.outcomes import Example, Outcome

REFERENCE = "torch fp32"
"""The baseline that speed is told against."""


@dataclass(frozen=True)
class Stage:
    """One stage of the chain, as it was run.

    Args:
        name: The command.
        does: What it does, in a few words.
        command: The whole line that does it by itself.
        seconds: How long it took.
        result: What came of it, in a line.
        outputs: Files to look at, by name, as paths below the tour's folder.
    """

    name: str
    does: str
    command: str
    seconds: float
    result: str
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """One form of the model that export measured.

    Args:
        name: What it is called.
        is_baseline: Whether it is shown for comparison only.
        megabytes: Of its file, 10**6 bytes.
        milliseconds: Median by shape, "1 x 24": one text of 24 tokens.
        texts_per_second: Over the validation texts.
        value: The main metric on validation.
        lost: Points of it lost against the checkpoint.
        note: What a reader should know.
    """

    name: str
    is_baseline: bool
    megabytes: float | None
    milliseconds: Mapping[str, float]
    texts_per_second: float | None
    value: float | None
    lost: float | None
    note: str = ""


@dataclass(frozen=True)
class Exported:
    """What the bundle is, and what it costs.

    Args:
        winner: Name of the candidate that was taken.
        candidates: All that were measured, in the order they were made.
        metric: The main metric.
        rows: Of the test split.
        before: The checkpoint's main metric on test, and its 95 % interval.
        after: The bundle's.
        lost: Points lost on test.
        lost_interval: 95 % interval of them.
        flipped: Share of the test rows that are answered in another way.
        notes: What a reader has to know of the measurement.
        provenance: Versions, threads, date.
    """

    winner: str
    candidates: Sequence[Candidate]
    metric: str
    rows: int
    before: tuple[float, Point | None]
    after: tuple[float, Point | None]
    lost: float
    lost_interval: Point | None
    flipped: float
    notes: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def winning(self) -> Candidate:
        """The candidate that was taken."""
        return self.named(self.winner)

    def named(self, name: str) -> Candidate:
        """Return a candidate by name."""
        return next(one for one in self.candidates if one.name == name)

    def times(self, shape: str, other: str = REFERENCE) -> float | None:
        """Return how many times as fast as another the winner is; None where it was not timed."""
        reference = next((one for one in self.candidates if one.name == other), None)
        mine = self.winning.milliseconds.get(shape)
        if reference is None or mine is None or shape not in reference.milliseconds:
            return None
        return reference.milliseconds[shape] / mine

    @property
    def shapes(self) -> list[str]:
        """The shapes that the winner was timed at."""
        return list(self.winning.milliseconds)


@dataclass(frozen=True)
class NewAnswer:
    """A new message and what the bundle says of it."""

    text: str
    label: str
    probability: float


@dataclass(frozen=True)
class Tour:
    """All that the page shows.

    Args:
        stages: The stages, in order.
        outcomes: What became of the planted faults.
        examples: Texts before and after.
        prepared: report.json of `prepare`.
        evaluation: report.json of `test`.
        exported: What `export` measured.
        answers: What `score` said.
        seconds: From the command to the page.
        provenance: Seed, machine, versions.
    """

    stages: Sequence[Stage]
    outcomes: Sequence[Outcome]
    examples: Sequence[Example]
    prepared: Mapping[str, Any]
    evaluation: Evaluation
    exported: Exported
    answers: Sequence[NewAnswer]
    seconds: float
    provenance: Mapping[str, str] = field(default_factory=dict)

"""What trials leave: a line of JSON each, so that a stopped harness goes on, and a table."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """Whether all was as it should be, how long it took, and what was wrong."""

    good: bool
    seconds: float
    note: str = ""


class Record:
    """The outcomes of one row, in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._file.parent.mkdir(parents=True, exist_ok=True)
        lines = file.read_text().splitlines() if file.is_file() else []
        self.outcomes = {}
        for line in lines:
            told = json.loads(line)
            key = told.pop("key")
            self.outcomes[key] = Outcome(**told)

    def add(self, key: str, outcome: Outcome) -> None:
        """Write an outcome down."""
        self.outcomes[key] = outcome
        with self._file.open("a") as file:
            file.write(json.dumps({"key": key, **asdict(outcome)}) + "\n")

    def line(self, name: str) -> str:
        """Return the row of the table."""
        bad = [key for key, outcome in self.outcomes.items() if not outcome.good]
        seconds = sorted(outcome.seconds for outcome in self.outcomes.values())
        late = seconds[min(len(seconds) - 1, int(0.99 * len(seconds)))]
        return (
            f"| {name} | {len(seconds)} | {len(bad)} | {statistics.median(seconds):.2f} | "
            f"{late:.2f} |"
        )

"""What `prepare` made of each planted fault, told by the rows it wrote and the rows it dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_tune.datasets.messy import Planted
from lightning_tune.datasets.spoiling import FAULTS, Fault

PRIVATE: frozenset[Fault] = frozenset({"email", "phone", "iban", "card"})
_PAIRED: frozenset[Fault] = frozenset({"duplicate", "near_duplicate"})


@dataclass(frozen=True)
class Outcome:
    """What became of one kind of fault.

    Args:
        fault: The kind.
        planted: How many there were.
        found: How many were found: the row was dropped where it had to go, else its text is what it
            was before, with a placeholder in the place of what is private. None of changed labels
            where nobody looked for them.
        missed: Lines of those that are not.
    """

    fault: Fault
    planted: int
    found: int | None
    missed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Example:
    """A text as it was planted, and as it was prepared; `before` is None of what is private."""

    fault: Fault
    line: int
    before: str | None
    after: str


@dataclass(frozen=True)
class PreparedRows:
    """What became of the rows of one input.

    Args:
        kept: Text of each row that was written, by line.
        dropped: Reason for each row that went, by line.
    """

    kept: Mapping[int, str]
    dropped: Mapping[int, str]


def read_prepared(folder: Path, source: str) -> PreparedRows:
    """Read what became of the rows of an input, which stands there as the user wrote it."""
    kept: dict[int, str] = {}
    for split in ("train", "val"):
        for row in _rows(folder / f"{split}.parquet", source, "text"):
            kept[row["line"]] = row["text"]
    dropped = _rows(folder / "dropped.parquet", source, "reason")
    return PreparedRows(kept, {row["line"]: row["reason"] for row in dropped})


def _rows(path: Path, source: str, column: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["source", "line", column])
    return [row for row in table.to_pylist() if row["source"] == source]


def outcomes(
    planted: Sequence[Planted], rows: PreparedRows, suspects: frozenset[int] | None = None
) -> list[Outcome]:
    """Count what was found, by fault.

    Args:
        planted: The faults.
        rows: What became of the rows.
        suspects: Lines whose labels were called doubtful; None: nobody looked at labels.

    >>> rows = PreparedRows({2: "a b"}, {3: "the text stands earlier"})
    >>> outcomes([Planted("duplicate", 3, 2), Planted("html", 2, clean="a c")], rows)[1]
    Outcome(fault='html', planted=1, found=0, missed=(2,))
    """
    found = []
    for fault in FAULTS:
        mine = [one for one in planted if one.fault == fault]
        if fault == "flip" and mine and suspects is None:
            found.append(Outcome(fault, len(mine), None))
        elif mine:
            missed = [one.line for one in mine if not _is_found(one, rows, suspects or frozenset())]
            found.append(Outcome(fault, len(mine), len(mine) - len(missed), tuple(missed)))
    return found


def _is_found(planted: Planted, rows: PreparedRows, suspects: frozenset[int]) -> bool:
    if planted.fault == "flip":
        return planted.line in suspects
    if planted.clean is not None:
        return rows.kept.get(planted.line) == planted.clean
    both = [line for line in (planted.line, planted.other) if line is not None]
    gone = [line in rows.dropped for line in both]
    return any(gone) if planted.fault in _PAIRED else all(gone)


def examples(
    planted: Sequence[Planted], rows: PreparedRows, raw: Mapping[int, str], *, longest: int = 150
) -> list[Example]:
    """Return one short text of each fault that changes texts, before and after.

    Args:
        planted: The faults.
        rows: What became of the rows.
        raw: Texts of the raw file by line.
        longest: Characters of the cleaned text at most.
    """
    shown: dict[Fault, Example] = {}
    for one in planted:
        after = rows.kept.get(one.line)
        if one.clean is None or after is None or len(after) > longest or one.fault in shown:
            continue
        before = None if one.fault in PRIVATE else raw[one.line]
        shown[one.fault] = Example(one.fault, one.line, before, after)
    return [shown[fault] for fault in FAULTS if fault in shown]

"""A messy raw version of an embedded data set: known faults at known lines, planted by a seed.

What `prepare` ought to find is thereby known row by row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from lightning_tune.datasets import builtin
from lightning_tune.datasets.spoiling import BLANK, COPIED, FITS, SPOILED, Fault, restyled
from lightning_tune.tables import replace_file

AMOUNTS: Mapping[Fault, int] = {
    "duplicate": 60,
    "near_duplicate": 40,
    "conflict": 20,
    "leak": 30,
    "empty": 20,
    "html": 60,
    "encoding": 40,
    "hidden": 30,
    "whitespace": 60,
    "email": 20,
    "phone": 20,
    "iban": 10,
    "card": 10,
    "flip": 40,
}
"""How many of each are planted."""

Message = tuple[str, str]
"""Text and label."""


@dataclass(frozen=True)
class Planted:
    """One fault.

    Args:
        fault: What it is.
        line: Where its row begins in the raw file, from 1.
        other: Where the row begins that it repeats; None where it repeats none of that file.
        clean: What its text has to be once it is clean; None where the row has to go, or where no
            text is wrong.
    """

    fault: Fault
    line: int
    other: int | None = None
    clean: str | None = None


@dataclass(eq=False)
class _Row:
    text: str
    label: str
    fault: Fault | None = None
    other: _Row | None = None
    clean: str | None = None


def messy(
    train: Sequence[Message],
    test: Sequence[Message],
    *,
    amounts: Mapping[Fault, int] = AMOUNTS,
    seed: int = 42,
) -> tuple[list[Message], list[Planted]]:
    """Plant faults; each message takes part in one at most.

    Args:
        train: Messages without faults.
        test: Messages that are held out; some are copied among the others.
        amounts: How many of each fault to plant; less where too few messages suit it.
        seed: Decides which messages, and how.

    Returns:
        The rows of the raw file, in its order, and what is planted, by line.
    """
    random = Random(seed)
    rows = [_Row(*message) for message in train]
    pool = random.sample(rows, len(rows))
    labels = sorted({label for _, label in train})
    for fault, spoil in SPOILED.items():
        for row in _taken(pool, amounts.get(fault, 0), FITS[fault]):
            row.fault = fault
            row.text, row.clean = spoil(row.text, random)
    for row in _taken(pool, amounts.get("flip", 0)):
        row.fault, row.label = "flip", _another(row.label, labels, random)
    for fault, copy in COPIED.items():
        for row in _taken(pool, amounts.get(fault, 0), FITS.get(fault)):
            other = _another(row.label, labels, random) if fault == "conflict" else row.label
            rows.append(_Row(copy(row.text, random), other, fault, row))
    held_out = [_Row(*message) for message in test]
    for row in _taken(random.sample(held_out, len(held_out)), amounts.get("leak", 0)):
        rows.append(_Row(restyled(row.text, random), row.label, "leak"))
    for _ in range(amounts.get("empty", 0)):
        rows.append(_Row(random.choice(BLANK), random.choice(labels), "empty"))
    random.shuffle(rows)
    return [(row.text, row.label) for row in rows], _lines(rows)


def write_messy(path: Path, name: str = "support", *, seed: int = 42) -> list[Planted]:
    """Write the raw file of an embedded data set, from its train and validation messages.

    The same seed gives the same bytes. Test messages that leak into it are those of `builtin:NAME`.
    """
    files = builtin(name)
    train = [*_read(files["train"]), *_read(files["val"])]
    rows, planted = messy(train, _read(files["test"]), seed=seed)
    with replace_file(path) as temporary:
        content = "".join(map(_record, [("text", "label"), *rows]))
        temporary.write_text(content, encoding="utf-8")
    return planted


def _read(path: Path) -> list[Message]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def _record(row: Message) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(row)
    return buffer.getvalue()


def _lines(rows: Sequence[_Row]) -> list[Planted]:
    """Say where the faults are, once the order is final; a text may run over several lines."""
    lines: dict[int, int] = {}
    at = 2  # below the header
    for row in rows:
        lines[id(row)] = at
        at += _record((row.text, row.label)).count("\n")
    return [
        Planted(
            row.fault,
            lines[id(row)],
            None if row.other is None else lines[id(row.other)],
            row.clean,
        )
        for row in rows
        if row.fault is not None
    ]


def _taken(pool: list[_Row], amount: int, fits: Callable[[str], bool] | None = None) -> list[_Row]:
    """Take the first rows whose texts suit a fault out of the pool."""
    found = [row for row in pool if fits is None or fits(row.text)][:amount]
    for row in found:
        pool.remove(row)
    return found


def _another(label: str, labels: Sequence[str], random: Random) -> str:
    return random.choice([name for name in labels if name != label])

"""The table of suspects that a person goes through, and its way back into the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lightning_tune.errors import DataError, nearest
from lightning_tune.prepare.keys import content_key
from lightning_tune.prepare.quality.suspects import Suspects
from lightning_tune.prepare.rows import AUGMENTED, originals
from lightning_tune.prepare.sheets import (
    RowName,
    is_ticked,
    label_of,
    read_sheet,
    write_sheet,
)
from lightning_tune.schema import Label
from lightning_tune.tables import TableFormat

STEP = "review"


@dataclass(frozen=True)
class Verdict:
    """What a person says of one row.

    Args:
        row: Which row.
        label: Its right label; None where the person gave none.
        drop: Whether the row shall go.
        where: File and line of the verdict.
    """

    row: RowName
    label: Label | None
    drop: bool
    where: str


@dataclass(frozen=True)
class Dropped:
    """A row that went: where the user's input has it, as far as that is known, and why."""

    source: str | None
    line: int | None
    reason: str


@dataclass(frozen=True)
class Applied:
    """A split after the review.

    Args:
        table: The split.
        changed: Rows whose label is another one now.
        confirmed: Rows whose label was found right.
        dropped: Rows that went.
        gone: Verdicts to drop rows that are not there any more, as when a table is applied again.
    """

    table: pa.Table
    changed: int
    confirmed: int
    dropped: tuple[Dropped, ...]
    gone: int


def write_review(
    path: Path,
    split: str,
    table: pa.Table,
    found: Suspects,
    rows: Sequence[int],
    *,
    places: Sequence[int] | None = None,
) -> None:
    """Write rows to review; `reviewed` and `drop` are left to the person.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file.
        split: The split that the table holds.
        table: A prepared split: text, text_pair where there is one, label.
        found: What was found in it.
        rows: The rows to show, in this order, as positions among those that were looked at.
        places: Where in the table each of these stands; None: all of it was looked at.
    """
    stand = [row if places is None else places[row] for row in rows]
    part = table.take(pa.array(stand, pa.int64()))
    texts, pairs = part["text"].to_pylist(), _pairs(part)
    names = [
        str(RowName(split, at + 1, content_key(text, pair)))
        for at, text, pair in zip(stand, texts, pairs, strict=True)
    ]
    columns = {
        "row": names,
        "text": texts,
        **({"text_pair": pairs} if "text_pair" in part.column_names else {}),
        "label": part["label"].to_pylist(),
        "suggestion": [_plain(found.suggestions[row]) for row in rows],
        "score": [round(float(found.scores[row]), 4) for row in rows],
        "reviewed": [""] * len(rows),
        "drop": [""] * len(rows),
    }
    write_sheet(path, columns)


def read_review(source: str, *, several: bool, format: TableFormat) -> list[Verdict]:
    """Read a reviewed table; rows without a verdict are left out.

    Args:
        source: The file.
        several: Whether the task is multi-label.
        format: How it is written.

    Raises:
        DataError: if it cannot be read, a row has no name, has two verdicts, or both a label and
            a tick in drop.
    """
    sheet = read_sheet(source, ["row", "reviewed"], optional=["drop"], format=format)
    ticks = sheet.columns.get("drop", [None] * len(sheet.lines))
    verdicts: dict[RowName, Verdict] = {}
    for at, (name, cell, tick) in enumerate(
        zip(sheet.columns["row"], sheet.columns["reviewed"], ticks, strict=True)
    ):
        if not (name or cell or tick):
            continue  # an empty line of a spreadsheet
        where = sheet.where(at)
        verdict = Verdict(
            RowName.parse(name, where),
            label_of(cell, several=several),
            is_ticked(tick, where),
            where,
        )
        if verdict.drop and verdict.label is not None:
            raise DataError(
                f"{where}: the row has a label in reviewed and a tick in drop; leave one of them."
            )
        if verdict.row in verdicts:
            first = verdicts[verdict.row].where
            raise DataError(
                f"{where}: the row has a verdict already, at {first}; leave one of them."
            )
        if verdict.drop or verdict.label is not None:
            verdicts[verdict.row] = verdict
    return list(verdicts.values())


def apply_review(
    table: pa.Table, verdicts: Iterable[Verdict], *, split: str, names: Sequence[str]
) -> Applied:
    """Give a split the labels that a person found right; edited copies follow their rows.

    Args:
        table: The split.
        verdicts: Those of any split; others than this one's are passed over.
        split: Which split it is.
        names: The labels there are; a verdict may not bring in another.

    Raises:
        DataError: if a verdict names no label of these, or no row of the split; or if it would
            leave a class of the split empty.
    """
    known = _places(table)
    labels: list[Label] = table["label"].to_pylist()
    before = _counts(labels)
    changed = confirmed = gone = 0
    dropped: dict[int, Verdict] = {}
    for verdict in verdicts:
        if verdict.row.split != split:
            continue
        at = _find(verdict, known)
        if at is None:
            gone += 1
        elif verdict.drop:
            dropped[at] = verdict
        else:
            given = _checked(verdict, names)
            is_new = given != _plain(labels[at])
            changed, confirmed = changed + is_new, confirmed + (not is_new)
            labels[at] = given
    away = set(dropped)
    for at, copies in _copies(table).items():  # edited copies follow their rows
        away.update(copies if at in dropped else ())
        for copy in copies:
            labels[copy] = labels[at]
    kept = [at for at in range(len(labels)) if at not in away]
    _refuse_empty(before, _counts([labels[at] for at in kept]), split)
    column = pa.array(labels, table.schema.field("label").type)
    place = table.schema.get_field_index("label")
    whole = table.set_column(place, table.schema.field("label"), column)
    return Applied(
        table=whole if not dropped else whole.take(pa.array(kept, pa.int64())),
        changed=changed,
        confirmed=confirmed,
        dropped=tuple(_dropped(table, at) for at in sorted(dropped)),
        gone=gone,
    )


def _places(table: pa.Table) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for at, (text, pair) in enumerate(zip(table["text"].to_pylist(), _pairs(table), strict=True)):
        found.setdefault(content_key(text, pair), []).append(at)
    return found


def _copies(table: pa.Table) -> dict[int, list[int]]:
    """Return the places of each row's edited copies, which have its source and line."""
    if AUGMENTED not in table.column_names:
        return {}
    origins = list(zip(table["source"].to_pylist(), table["line"].to_pylist(), strict=True))
    read = originals(table).tolist()
    place = {origins[at]: at for at in read}
    found: dict[int, list[int]] = {}
    for at in sorted(set(range(table.num_rows)) - set(read)):
        found.setdefault(place.get(origins[at], at), []).append(at)
    return found


def _find(verdict: Verdict, known: dict[str, list[int]]) -> int | None:
    """Return the row's place; it may have moved up since, as rows before it went."""
    places = known.get(verdict.row.key, [])
    at = verdict.row.number - 1
    if at in places:
        return at
    if len(places) == 1:
        return places[0]
    if not places and verdict.drop:
        return None
    count = f"{len(places)} other rows have its text" if places else "no row has its text"
    raise DataError(
        f"{verdict.where}: {verdict.row} is not that row of the {verdict.row.split} split, and "
        f"{count}; apply the table to the folder that it was made of."
    )


def _checked(verdict: Verdict, names: Sequence[str]) -> Label:
    assert verdict.label is not None
    given = verdict.label if isinstance(verdict.label, tuple) else (str(verdict.label),)
    for name in given:
        if name not in names:
            raise DataError(
                f"{verdict.where}: reviewed={name!r} is no label of this data; tick drop to be rid "
                f"of the row.{nearest(name, names)}"
            )
    return sorted(verdict.label) if isinstance(verdict.label, tuple) else verdict.label  # type: ignore[return-value]


def _refuse_empty(before: Counter[str], after: Counter[str], split: str) -> None:
    emptied = [name for name in before if not after[name]]
    if emptied:
        raise DataError(
            f"the review would leave no row with the label {emptied[0]!r} in {split}; keep one, or "
            "prepare the data without that label."
        )


def _counts(labels: Iterable[Label]) -> Counter[str]:
    listed = (label if isinstance(label, list | tuple) else [label] for label in labels)
    return Counter(str(name) for names in listed for name in names)


def _dropped(table: pa.Table, at: int) -> Dropped:
    def cell(name: str) -> object:
        return table[name][at].as_py() if name in table.column_names else None

    source, line = cell("source"), cell("line")
    return Dropped(
        source=None if source is None else str(source),
        line=line if isinstance(line, int) else None,
        reason="a reviewer dropped it",
    )


def _pairs(table: pa.Table) -> list[str | None]:
    if "text_pair" not in table.column_names:
        return [None] * table.num_rows
    pairs: list[str | None] = table["text_pair"].to_pylist()
    return pairs


def _plain(label: Label) -> Label:
    """Return a label as Arrow gives it: a list in multi-label data, in the order of its names."""
    return sorted(label) if isinstance(label, list | tuple) else label  # type: ignore[return-value]

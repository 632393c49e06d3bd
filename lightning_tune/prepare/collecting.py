"""All inputs read, and the row-wise steps run over them: what the global steps begin with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lightning_tune.prepare.collect.inputs import Opened, Reading
from lightning_tune.prepare.collect.reading import read_chunks
from lightning_tune.prepare.labels import class_counts, settle
from lightning_tune.prepare.mapping import Named, map_chunks
from lightning_tune.prepare.report.figures import measure
from lightning_tune.prepare.rows import added, joined
from lightning_tune.schema import Split, TaskKind
from lightning_tune.tables.delimited import DelimitedTable

_AS_IN_CSV = r'^"[^"]*""(?:[^"]|"")*"$'
"""A text between quotes, each quote inside doubled, one at least: nobody writes so by hand."""


@dataclass
class Noted:
    """What was counted while rows were read.

    Args:
        read: Rows of each opened table, those that could not be read among them.
        classes: Rows of each class by split.
        measured: Lengths of the texts, in parts.
        dropped: Rows that could not be read.
        quoted: Texts of each opened table that are quoted as in CSV, though it is read without.
    """

    read: list[int]
    classes: dict[Split, Counter[str]] = field(default_factory=dict)
    measured: list[Mapping[str, NDArray[np.int32]]] = field(default_factory=list)
    dropped: list[pa.Table] = field(default_factory=list)
    quoted: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Collected:
    """All rows after the row-wise steps.

    Args:
        table: The rows; the column `split` is there where the user named files for one.
        dropped: Rows that went.
        counts: What each row-wise step did, by its name; `rows_in` and `rows_out` among it.
        noted: What was counted as rows were read.
    """

    table: pa.Table
    dropped: pa.Table
    counts: Mapping[str, Mapping[str, int]]
    noted: Noted


def collect(
    opened: Sequence[Opened],
    reading: Reading,
    steps: Sequence[Named],
    *,
    task: TaskKind | None,
    processes: int,
) -> Collected:
    """Read all inputs and run the row-wise steps over their rows.

    Args:
        opened: The inputs.
        reading: How they are read.
        steps: What is done with each row.
        task: The task kind, where the user states it.
        processes: How many processes work on the steps.

    Raises:
        DataError: if an input cannot be read, has no rows, or does not fit to the others.
    """
    noted = Noted([0] * len(opened), quoted=[0] * len(opened))
    chunks = _chunks(opened, reading, noted)
    tables, dropped, counts = [], [], []
    for mapped in map_chunks(steps, chunks, processes=processes):
        tables.append(mapped.table)
        dropped.append(mapped.dropped)
        counts.append(mapped.counts)
    settled, kind = settle(tables, task)
    if kind == "numbers":  # scores have no classes
        noted.classes.clear()
    total = {named.name: added([each[named.name] for each in counts]) for named in steps}
    return Collected(joined(settled), joined([*noted.dropped, *dropped]), total, noted)


def _chunks(opened: Sequence[Opened], reading: Reading, noted: Noted) -> Iterator[pa.Table]:
    for at, one in enumerate(opened):
        classes = noted.classes.setdefault(one.split, Counter())
        for outcome in read_chunks(one, reading):
            noted.read[at] += outcome.table.num_rows + outcome.dropped.num_rows
            noted.dropped.append(outcome.dropped)
            noted.measured.append(measure(outcome.table))
            noted.quoted[at] += _quoted(one, outcome.table)
            classes.update(class_counts(outcome.table))
            yield outcome.table


def _quoted(opened: Opened, table: pa.Table) -> int:
    if not isinstance(opened.table, DelimitedTable) or opened.table.quoted:
        return 0
    columns = [table[name] for name in ("text", "text_pair") if name in table.column_names]
    found = [pc.sum(pc.match_substring_regex(column, _AS_IN_CSV)).as_py() for column in columns]
    return sum(count or 0 for count in found)

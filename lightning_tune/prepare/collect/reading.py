"""The rows of an opened input, some thousand at a time, as the table of the stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from lightning_tune.errors import DataError
from lightning_tune.prepare.collect.inputs import Opened, Reading
from lightning_tune.prepare.collect.values import (
    TimeColumn,
    to_groups,
    to_labels,
    to_texts,
    without_values,
)
from lightning_tune.prepare.rows import ANSWER, KEPT, Outcome, drop
from lightning_tune.schema import Label
from lightning_tune.tables.records import Records
from lightning_tune.tables.values import Faults, LabelColumn, to_weights

STEP = "collect"
COPY = "the row is an edited copy of another"


def read_chunks(opened: Opened, reading: Reading) -> Iterator[Outcome]:
    """Yield the rows of an input; what cannot be read is dropped, or stops the command.

    Raises:
        DataError: with file, line and reason, on a bad row where these are refused; if the input
            has no rows.
    """
    converter = _Converter(opened, reading)
    rows = 0
    wanted = list(dict.fromkeys([*opened.columns.wanted(), *filter(None, [opened.copies])]))
    for records in opened.table.records(wanted):
        if records.lines:
            rows += len(records.lines)
            yield converter(records)
    if not rows:
        raise DataError(f"{opened.name} has no rows; an input needs at least one.")


class _Converter:
    """Makes tables of records; remembers of which type labels and times of the input are."""

    def __init__(self, opened: Opened, reading: Reading) -> None:
        self.opened = opened
        self.reading = reading
        columns = opened.columns
        self.labels = LabelColumn(
            str(columns.label), required=False, may_be_empty=reading.label_separator is not None
        )
        self.times = TimeColumn(str(columns.time))

    def __call__(self, records: Records) -> Outcome:
        faults = {at: without_values(reason) for at, reason in records.faults.items()}
        arrays = self._arrays(records, faults)
        if faults and self.reading.on_bad_rows == "refuse":
            at = min(faults)
            raise DataError(
                f"{self.opened.name}:{records.lines[at]}: {faults[at]}; correct the row, or set "
                "--on_bad_rows skip."
            )
        count = len(records.lines)
        if self.opened.split != "train":
            arrays["split"] = pa.array([self.opened.split] * count, pa.string())
        arrays["source"] = pa.array([self.opened.name] * count).dictionary_encode()
        arrays["line"] = pa.array(records.lines, pa.int64())
        if self.opened.copies is not None:
            edits = records.columns[self.opened.copies]
            faults |= {at: COPY for at, edit in enumerate(edits) if edit is not None}
        return _without(pa.table(arrays), faults)

    def _arrays(self, records: Records, faults: Faults) -> dict[str, Any]:
        columns, lines = self.opened.columns, records.lines
        values = records.columns
        arrays: dict[str, Any] = {"text": to_texts(values[columns.text], columns.text, faults)}
        if columns.text_pair is not None:
            pairs = values[columns.text_pair]
            arrays["text_pair"] = to_texts(pairs, columns.text_pair, faults)
        if columns.label is not None:
            found: Faults = {}
            raw = values[columns.label]
            labels: list[Label] = self.labels.read(raw, lines, found)
            _add(found, faults)
            arrays["label"] = to_labels(labels, raw, self.reading.label_separator)
        if columns.weight is not None:
            found = {}
            weights = to_weights(values[columns.weight], columns.weight, found, required=True)
            _add(found, faults)
            arrays["weight"] = pa.array(weights, pa.float64())
        if columns.group is not None:
            arrays["group"] = to_groups(values[columns.group], columns.group, faults)
        if columns.time is not None:
            arrays["time"] = self.times.read(values[columns.time], lines, faults)
        for name in columns.annotators:
            arrays[f"{ANSWER}{name}"] = to_groups(values[name], name, faults)
        return arrays


def _add(found: Faults, faults: Faults) -> None:
    for at, reason in found.items():
        faults.setdefault(at, without_values(reason))


def _without(table: pa.Table, faults: Faults) -> Outcome:
    if not faults:
        return Outcome(table)
    reasons = list(dict.fromkeys(faults[at] for at in sorted(faults)))
    codes = np.full(table.num_rows, KEPT, np.int16)
    for at, reason in faults.items():
        codes[at] = reasons.index(reason)
    kept, dropped = drop(table, codes, reasons, step=STEP)
    return Outcome(kept, dropped)

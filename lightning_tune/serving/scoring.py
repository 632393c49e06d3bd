"""Answer the rows of files with a bundle, whatever their number, in constant memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError
from lightning_tune.schema import LabelSet
from lightning_tune.serving.answers import prediction_columns
from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.calibration import apply
from lightning_tune.serving.encoding import Encoded
from lightning_tune.tables import Fields, RowBatch, TableFormat, open_rows, read_rows
from lightning_tune.tables.writers import Kind

NOT_FINITE = "the model gives no finite number for this text"


@dataclass
class Counts:
    """What was done.

    Args:
        rows: Rows read, each of which has a row in the output.
        errors: Those of them that have an error instead of an answer.
        truncated: Texts that were longer than the model reads.
        seconds: How long it took.
    """

    rows: int = 0
    errors: int = 0
    truncated: int = 0
    seconds: float = field(default=0.0, compare=False)


def score(
    bundle: Bundle,
    sources: Sequence[str],
    output: Path,
    *,
    fields: Fields,
    format: TableFormat,
    keep: Sequence[str] = (),
    on_batch: Callable[[RowBatch, int], None] | None = None,
) -> Counts:
    """Answer the rows of some files into one file, which appears whole or not at all.

    The output has the columns row (from 0, over all files), those to keep, text, text_pair (where
    there are pairs), prediction, probability (where one class is chosen), p(LABEL) for each label,
    and error.

    Args:
        bundle: What answers.
        sources: The files, in this order.
        output: The file to write, readable by its owner alone.
        fields: Which columns hold the texts; labels are not read.
        format: How the files are written.
        keep: Columns of the files that go into the output as they are, as texts.
        on_batch: Called with each batch once it is answered, and the rows answered so far.

    Raises:
        DataError: if a file cannot be read, lacks a column or has no rows.
        ConfigError: if the output cannot be written, or would have a column twice.
    """
    begun = time.perf_counter()
    counts = Counts()
    batches = (
        batch
        for source in sources
        for batch in read_rows(
            source, fields, format=format, on_bad_rows="keep", label_required=False, carry=keep
        )
    )
    kinds = column_kinds(bundle.labels, pairs=fields.text_pair is not None, keep=keep)
    with open_rows(output, kinds) as writer:
        for batch, encoded in encoded_ahead(bundle, batches):
            writer.append(answered(bundle, batch, encoded, counts))
            if on_batch is not None:
                on_batch(batch, counts.rows)
    counts.seconds = time.perf_counter() - begun
    return counts


def column_kinds(labels: LabelSet, *, pairs: bool, keep: Sequence[str] = ()) -> dict[str, Kind]:
    """Return the columns of a file of predictions, and what they hold.

    Raises:
        ConfigError: if a column to keep has the name of another.
    """
    texts: dict[str, Kind] = {"text": "text", "text_pair": "text"} if pairs else {"text": "text"}
    scores = dict.fromkeys((f"p({name})" for name in labels.names), "number")
    says: dict[str, Kind] = {"prediction": "number" if labels.kind == "regression" else "text"}
    if labels.kind in ("binary", "multiclass"):
        says["probability"] = "number"
    rest: dict[str, Kind] = {**texts, **says, **scores, "error": "text"}  # type: ignore[dict-item]
    for name in keep:
        if name == "row" or name in rest or list(keep).count(name) > 1:
            raise ConfigError(
                f"keep={name!r} is a column of the output already; rename it in the input, or "
                "leave it out."
            )
    return {"row": "whole", **dict.fromkeys(keep, "text"), **rest}


def encoded_ahead(
    bundle: Bundle, batches: Iterator[RowBatch]
) -> Iterator[tuple[RowBatch, Encoded | None]]:
    """Yield batches with their usable texts encoded, the next one while a batch is answered."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = None
        for batch in batches:
            encoding = pool.submit(_encode, bundle, batch)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = batch, encoding
        if waiting is not None:
            yield waiting[0], waiting[1].result()


def _encode(bundle: Bundle, batch: RowBatch) -> Encoded | None:
    good = _usable(batch)
    if not good:
        return None
    pairs = None if batch.pairs is None else [batch.pairs[at] for at in good]
    return bundle.encoder.encode([batch.texts[at] for at in good], pairs)


def answered(
    bundle: Bundle, batch: RowBatch, encoded: Encoded | None, counts: Counts
) -> dict[str, list[Any]]:
    """Return the columns of the output for a batch, and count it."""
    errors = list(batch.errors or [None] * len(batch.lines))
    logits = np.zeros((len(errors), bundle.labels.num_outputs), np.float32)
    if encoded is not None:
        logits[_usable(batch)] = bundle.logits_of(encoded)
        counts.truncated += int(encoded.truncated.sum())
    _mark_infinite(logits, errors)
    scores = apply(logits, bundle.labels, bundle.manifest.calibration)
    columns: dict[str, list[Any]] = {
        "row": list(range(counts.rows, counts.rows + len(errors))),
        **batch.carried,
        "text": batch.texts,
    }
    if batch.pairs is not None:
        columns["text_pair"] = batch.pairs
    for name, values in prediction_columns(
        bundle.labels, scores, bundle.manifest.calibration
    ).items():
        told = zip(values, errors, strict=True)
        columns[name] = [None if error else value for value, error in told]
    columns["error"] = errors
    counts.rows += len(errors)
    counts.errors += sum(error is not None for error in errors)
    return columns


def _usable(batch: RowBatch) -> list[int]:
    errors = batch.errors or [None] * len(batch.lines)
    return [at for at, error in enumerate(errors) if error is None]


def _mark_infinite(logits: NDArray[np.float32], errors: list[str | None]) -> None:
    for at in np.flatnonzero(~np.isfinite(logits).all(axis=1)):
        errors[at] = NOT_FINITE
        logits[at] = 0

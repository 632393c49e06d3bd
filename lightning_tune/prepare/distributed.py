"""Past one machine: the same steps over Ray Data, texts where they are, decisions in one place.

Cleaning, languages, redaction and keys look at each row alone: they run wherever a block of rows
is. Duplicates, leaks and the split are global; they read no text but its 8-byte keys, and labels,
groups and times, which come together in this process. Which rows stay, and on which side, goes back
to the blocks. The search for near duplicates is global too and needs the texts of all rows here.
Suspects and edited copies are made on one machine, of what comes out. The rows are those of
`pipeline.run`, one by one.

Ray Data: https://docs.ray.io/en/latest/data/data.html
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.collect.inputs import Input
from lightning_tune.prepare.collecting import Collected, Noted
from lightning_tune.prepare.labels import class_counts, settle
from lightning_tune.prepare.mapping import Named, apply
from lightning_tune.prepare.pipeline import Found, Job, divided, row_steps
from lightning_tune.prepare.recipe import Recipe
from lightning_tune.prepare.rows import (
    DROPPED,
    KEY,
    RAW_KEY,
    added,
    joined,
    ordered,
)
from lightning_tune.schema import Split, TaskKind

if TYPE_CHECKING:
    from ray.data import Dataset

_COMPACT = ("label", "group", "time", "split", "source", "line", KEY, RAW_KEY)
_TOLD = "_told"
"""Column of what was counted in a block, as JSON in its first row."""


@dataclass(frozen=True)
class Spread:
    """A data set that was prepared where it is.

    Args:
        splits: The rows of each split; nothing is read before they are, as by `write_parquet`.
        found: What the steps did; its tables hold no texts.
    """

    splits: Mapping[Split, Dataset]
    found: Found


def prepare_dataset(
    rows: Dataset, sources: Sequence[str], recipe: Recipe, *, task: TaskKind | None = None
) -> Spread:
    """Prepare a data set of Ray: clean, redact, without duplicates and leaks, divided.

    Args:
        rows: The columns `text` and `label`, `text_pair`, `weight`, `group`, `time` and `split` as
            far as they exist, as `pipeline` knows them; `source` and `line`, which name a row.
        sources: The sources in their order; inside one rows have the order of their lines.
        recipe: What is done; `quality` and `augment` have to be null.
        task: The task kind; None: recognised.

    Raises:
        ConfigError: if the recipe asks for more than can be done here.
        DataError: if a column is missing, two rows have one name, or a step would empty a class or
            a split.
    """
    import ray

    job = Job([Input(source) for source in sources], recipe=recipe, task=task)
    _check(rows, recipe)
    done = rows.map_batches(
        partial(_row_wise, steps=row_steps(recipe)), batch_format="pyarrow"
    ).materialize()
    collected, kind = _collected(done, job)
    found = Found(collected, [])
    found.splits = divided(found, job)
    places = ray.put({split: _places(table) for split, table in found.splits.items()})
    splits = {
        split: done.map_batches(
            _of_split,
            batch_format="pyarrow",
            fn_kwargs={"places": [places], "split": split, "numbers": kind == "numbers"},
        )
        for split in found.splits
    }
    return Spread(splits, found)


def _check(rows: Dataset, recipe: Recipe) -> None:
    for name in ("quality", "augment"):
        if getattr(recipe, name) is not None:
            raise ConfigError(
                f"recipe.{name} needs one machine; set it to null, and run it on what comes out."
            )
    names = rows.columns() or []
    for name in ("text", "source", "line"):
        if name not in names:
            raise DataError(f"the data set has no column {name!r}; it has {', '.join(names)}.")


def _row_wise(block: pa.Table, steps: Sequence[Named]) -> pa.Table:
    """Run the row-wise steps over a block; rows that go stay in it, told by step and reason."""
    if not block.num_rows:
        return block
    own = block.filter(pc.is_null(block["split"])) if "split" in block.column_names else block
    mapped = apply(steps, _with(block, "source", block["source"].cast(pa.string())))
    count = mapped.table.num_rows
    kept = mapped.table
    for name in ("step", "reason"):
        kept = kept.append_column(name, pa.nulls(count, pa.string()))
    whole = joined([kept, mapped.dropped]).select([*kept.column_names])
    told = {"read": block.num_rows, "classes": class_counts(own), "counts": mapped.counts}
    first = pa.array([json.dumps(told), *[None] * (whole.num_rows - 1)], pa.string())
    return whole.append_column(_TOLD, first)


def _collected(done: Dataset, job: Job) -> tuple[Collected, str | None]:
    """Bring together what the global steps read, in the order of the input."""
    names = [*_COMPACT, *(("text", "text_pair") if job.recipe.near is not None else ())]
    there = done.columns() or []
    wanted = [*(name for name in names if name in there), "step", "reason", _TOLD]
    blocks = list(_blocks(done.select_columns(wanted)))
    whole = joined(blocks)
    told = [json.loads(one) for one in whole[_TOLD].drop_null().to_pylist()]
    whole = whole.take(_order(whole, [each.path for each in job.inputs]))
    goes = pc.is_valid(whole["step"])
    dropped = whole.filter(goes).select(DROPPED.names).cast(DROPPED)
    kept = whole.filter(pc.invert(goes)).drop_columns(["step", "reason", _TOLD])
    (table,), kind = settle([kept], job.task)
    classes: Counter[str] = Counter()
    for one in told:
        classes.update(one["classes"])
    by_split: dict[Split, Counter[str]] = {} if kind == "numbers" else {"train": classes}
    noted = Noted([sum(one["read"] for one in told)], by_split)
    names_of_steps = list(told[0]["counts"]) if told else []
    counts = {name: added([one["counts"][name] for one in told]) for name in names_of_steps}
    source = table["source"].combine_chunks().dictionary_encode()
    return Collected(_with(table, "source", source), dropped, counts, noted), kind


def _blocks(rows: Dataset) -> Iterator[pa.Table]:
    yield from rows.iter_batches(batch_size=None, batch_format="pyarrow")


def _order(table: pa.Table, sources: Sequence[str]) -> NDArray[np.int64]:
    """Return the places of the rows in the order of sources and lines.

    Raises:
        DataError: if a source is not named, or two rows have one name.
    """
    number = {source: at for at, source in enumerate(sources)}
    found = table["source"].to_pylist()
    strange = sorted(set(found) - set(number))
    if strange:
        raise DataError(f"the data set has rows of {strange[0]!r}, which is none of the sources.")
    of = np.array([number[source] for source in found], np.int64)
    lines = table["line"].to_numpy()
    order = np.lexsort((lines, of))
    same = (np.diff(of[order]) == 0) & (np.diff(lines[order]) == 0)
    if same.any():
        at = int(order[int(np.flatnonzero(same)[0])])
        raise DataError(f"two rows are {found[at]}:{lines[at]}; a row needs a line of its own.")
    return order


def _places(table: pa.Table) -> dict[str, NDArray[np.int64]]:
    """Return the lines of each source that are in a split, ascending."""
    sources = np.array(table["source"].to_pylist(), object)
    lines = table["line"].to_numpy()
    return {source: np.sort(lines[sources == source]) for source in sorted(set(sources))}


def _of_split(block: pa.Table, places: list[Any], split: Split, *, numbers: bool) -> pa.Table:
    """Return the rows of a block that are in a split."""
    import ray

    if not block.num_rows:
        return block
    of = ray.get(places[0])[split]
    lines, flags = block["line"].to_numpy(), np.zeros(block.num_rows, np.bool_)
    sources = np.array(block["source"].to_pylist(), object)
    for source, those in of.items():
        flags |= (sources == source) & np.isin(lines, those)
    kept = block.filter(pa.array(flags))
    if "split" in kept.column_names:
        kept = kept.drop_columns(["split"])
    return ordered(settle([kept], "regression")[0][0] if numbers else kept)


def _with(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)

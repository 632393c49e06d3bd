from __future__ import annotations

import os

import pyarrow as pa
import pytest

from lightning_tune.errors import RunError
from lightning_tune.prepare.cleaning import CleanSettings, CleanStep
from lightning_tune.prepare.keying import KeyStep, RawKeyStep
from lightning_tune.prepare.mapping import Named, map_chunks
from lightning_tune.prepare.rows import Outcome

STEPS = [Named("", RawKeyStep()), Named("clean", CleanStep(CleanSettings())), Named("", KeyStep())]


def chunk(start: int) -> pa.Table:
    texts = [f"<b>text</b> {start + at}" if at % 3 else None for at in range(20)]
    return pa.table(
        {
            "text": pa.array(texts, pa.string()),
            "source": pa.array(["a.csv"] * 20).dictionary_encode(),
            "line": pa.array(range(start, start + 20), pa.int64()),
        }
    )


class Dying:
    """A step whose process ends."""

    def __call__(self, table: pa.Table) -> Outcome:
        os._exit(9)


def test_two_processes_give_what_one_gives_in_the_same_order():
    chunks = [chunk(start) for start in range(0, 600, 20)]
    alone = list(map_chunks(STEPS, chunks))
    together = list(map_chunks(STEPS, iter(chunks), processes=2))
    assert len(alone) == 30
    for one, other in zip(alone, together, strict=True):
        assert one.table.equals(other.table)
        assert one.dropped.equals(other.dropped)
        assert one.counts == other.counts
    assert alone[0].counts["clean"]["rows_in"] == 20
    assert alone[0].counts["clean"]["rows_out"] == 13


def test_chunks_are_not_all_read_ahead():
    read = []

    def chunks():
        for start in range(0, 2000, 20):
            read.append(start)
            yield chunk(start)

    results = map_chunks(STEPS, chunks(), processes=2)
    next(results)
    assert len(read) < 20
    results.close()


def test_an_error_of_a_step_is_the_commands_error():
    with pytest.raises(KeyError):
        list(map_chunks([Named("clean", CleanStep(CleanSettings()))], [pa.table({"x": [1]})]))


def test_a_lost_process_is_told():
    with pytest.raises(RunError, match="a process that prepared rows was lost"):
        list(map_chunks([Named("dying", Dying())], [chunk(0)], processes=2))

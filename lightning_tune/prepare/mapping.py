"""Row-wise steps over chunks of rows, in this process or in several; the result is the same.

A step is any picklable function of one table that returns an `Outcome` and looks at each row alone,
so that whatever holds the chunks may call it: a loop, a pool of processes, an engine of many
machines. Chunks are cut where they are read, whatever the number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait

import pyarrow as pa

from lightning_tune.errors import RunError
from lightning_tune.prepare.rows import Outcome, joined

Step = Callable[[pa.Table], Outcome]
_AHEAD = 3
"""Chunks a process that wait to be worked on: what is read ahead is held in memory."""


@dataclass(frozen=True)
class Named:
    """A step and its name in the report."""

    name: str
    step: Step


@dataclass(frozen=True)
class Mapped:
    """What all row-wise steps made of one chunk.

    Args:
        table: The rows that stay.
        dropped: Those that go.
        counts: What each step did, by its name; `rows_in` and `rows_out` among it.
    """

    table: pa.Table
    dropped: pa.Table
    counts: Mapping[str, Mapping[str, int]]


def apply(steps: Sequence[Named], table: pa.Table) -> Mapped:
    """Run the steps over one chunk, one after the other."""
    dropped, counts = [], {}
    for named in steps:
        before = table.num_rows
        outcome = named.step(table)
        table = outcome.table
        dropped.append(outcome.dropped)
        rows = {"rows_in": before, "rows_out": table.num_rows}
        counts[named.name] = {**rows, **outcome.counts}
    return Mapped(table, joined(dropped), counts)


def map_chunks(
    steps: Sequence[Named], chunks: Iterable[pa.Table], *, processes: int = 1
) -> Iterator[Mapped]:
    """Run the steps over chunks, and yield the results in the chunks' order.

    Args:
        steps: What is done with each chunk.
        chunks: The rows; read ahead by a few chunks a process.
        processes: How many processes work on them; 1: this one.

    Raises:
        RunError: if a process is lost, as when memory runs out.
    """
    if processes == 1:
        yield from (apply(steps, chunk) for chunk in chunks)
        return
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(steps,),
    )
    try:
        yield from _in_order(pool, chunks, _AHEAD * processes)
    except BrokenProcessPool as err:
        raise RunError(
            "a process that prepared rows was lost, perhaps for want of memory; run again with "
            "--processes 1."
        ) from err
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, chunks: Iterable[pa.Table], ahead: int
) -> Iterator[Mapped]:
    waiting: deque[Future[Mapped]] = deque()
    for chunk in chunks:
        waiting.append(pool.submit(_work, chunk))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


_steps: Sequence[Named] = ()
"""In a process of the pool: its steps, so that each is made once."""


def _begin(steps: Sequence[Named]) -> None:
    global _steps
    _steps = steps
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the command, which ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process once the command is gone, which cannot tell it where it was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _work(chunk: pa.Table) -> Mapped:
    return apply(_steps, chunk)

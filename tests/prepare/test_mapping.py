from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

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


LEFT_ALONE = """
import sys, time
sys.path[:0] = {path!r}
from tests_of_mapping import chunk, Slow
from lightning_tune.prepare.mapping import Named, map_chunks
if __name__ == "__main__":
    print("begun", flush=True)
    list(map_chunks([Named("slow", Slow())], [chunk(0)] * 8, processes=2))
"""
STEPS_OF_SCRIPT = """
import os, time
import pyarrow as pa
from pathlib import Path
from lightning_tune.prepare.rows import Outcome
def chunk(start):
    return pa.table({"text": ["a"], "source": ["b"], "line": [1]})
class Slow:
    def __call__(self, table):
        (Path(__file__).parent / f"{os.getpid()}.pid").touch()
        time.sleep(0.2)
        return Outcome(table)
"""


def test_processes_end_where_the_command_was_killed(tmp_path):
    (tmp_path / "tests_of_mapping.py").write_text(STEPS_OF_SCRIPT)
    (tmp_path / "script.py").write_text(LEFT_ALONE.format(path=[str(tmp_path), *sys.path]))
    command = subprocess.Popen([sys.executable, str(tmp_path / "script.py")])
    until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    command.kill()
    command.wait()
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    until(lambda: not any(is_running(pid) for pid in workers))


def until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_lost_process_is_told():
    with pytest.raises(RunError, match="a process that prepared rows was lost"):
        list(map_chunks([Named("dying", Dying())], [chunk(0)], processes=2))

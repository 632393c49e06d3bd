"""Processor time that other processes took is seen, one's own is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from lightning_tune.serving import neighbours
from lightning_tune.serving.neighbours import Occupancy, occupancy, taken_by_others

SPIN = "import time\nend = time.monotonic() + {}\nwhile time.monotonic() < end: pass"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/stat")


def test_idle_time_and_guests_are_not_counted_as_work():
    line = "cpu  100 20 30 9000 400 5 6 7 50 1"  # user nice system idle iowait irq softirq steal
    assert neighbours.busy_seconds(line, 100) == pytest.approx(1.68)


def test_a_share_is_bounded_and_0_where_nothing_is_told():
    assert taken_by_others(Occupancy(None, 0, 0), Occupancy(None, 1, 1), 2) == 0
    assert taken_by_others(Occupancy(0, 0, 0), Occupancy(0, 1, 1), 2) == 0
    assert taken_by_others(Occupancy(0, 0, 0), Occupancy(9, 1, 1), 2) == 1


@linux
def test_another_process_is_seen():
    cores = os.cpu_count() or 1
    before = occupancy()
    other = subprocess.Popen([sys.executable, "-c", SPIN.format(1.5)])
    time.sleep(1.0)
    seen = taken_by_others(before, occupancy(), cores)
    other.wait()
    assert seen > 0.2 / cores


@linux
def test_a_waited_for_child_counts_as_own():
    before = occupancy()
    subprocess.run([sys.executable, "-c", SPIN.format(0.5)], check=True)
    assert occupancy().own - before.own > 0.3


def test_a_system_that_does_not_tell_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setattr(neighbours, "_STAT", tmp_path / "none")
    assert occupancy().busy is None

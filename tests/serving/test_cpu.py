"""What is read of a processor and of a container's limit."""

from __future__ import annotations

import os

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.serving import cpu

HYPERTHREADS = "\n\n".join(
    f"processor\t: {number}\nphysical id\t: 0\ncore id\t\t: {number // 2}\nflags\t\t: fpu avx2"
    for number in range(8)
)
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n\nprocessor\t: 1\nFeatures\t: fp asimd"


def test_features_of_x86_and_arm():
    assert cpu.features(HYPERTHREADS) == ("avx2",)
    assert cpu.features(ARM) == ("asimddp", "i8mm")
    assert cpu.features("") == ()


def test_two_threads_of_a_core_count_once():
    assert cpu.physical_cores(HYPERTHREADS, set(range(8))) == 4
    assert cpu.physical_cores(HYPERTHREADS, {0, 1, 6}) == 2


def test_where_cores_are_not_told_each_processor_counts():
    assert cpu.physical_cores(ARM, {0, 1}) == 2
    assert cpu.physical_cores("", {3, 4, 5}) == 3


def test_a_container_s_limit_is_rounded_up():
    assert cpu.quota("50000 100000\n", 8) == 1
    assert cpu.quota("400000 100000\n", 64) == 4
    assert cpu.quota("", 64) == 64


def test_this_machine_s_cores_are_no_more_than_it_has(monkeypatch, tmp_path):
    assert 1 <= cpu.usable_cores() <= (os.cpu_count() or 1)
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    monkeypatch.setattr(cpu, "_GROUPS", tmp_path)
    assert cpu.usable_cores() == 1
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "absent")
    assert cpu.features() == ()


def test_control_groups_of_both_versions_are_read(tmp_path):
    assert cpu.quota(cpu.limit_of(tmp_path), 8) == 8
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert cpu.quota(cpu.limit_of(tmp_path), 8) == 8
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("250000\n")
    assert cpu.quota(cpu.limit_of(tmp_path), 8) == 3
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert cpu.quota(cpu.limit_of(tmp_path), 8) == 1


def test_threads_are_at_most_the_logical_processors(monkeypatch):
    monkeypatch.setattr(cpu.os, "cpu_count", lambda: 8)
    cpu.check_threads(8)
    cpu.check_threads(None)
    with pytest.raises(ConfigError, match="threads=9 exceeds the 8 logical processors"):
        cpu.check_threads(9)
    with pytest.raises(ConfigError, match=r"measure\.threads=0 has to be at least 1"):
        cpu.check_threads(0, "measure.threads")

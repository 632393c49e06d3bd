"""What a machine reaches: figures on a clock that the test moves, and a small real measurement."""

from __future__ import annotations

import time

import pytest
import torch

from lightning_tune.training import calibration
from lightning_tune.training.calibration import (
    FULL_ON_GPU,
    ON_CPU,
    QUICK_ON_GPU,
    Effort,
    Machine,
    calibrate,
    full_effort,
    machine_of,
    measure,
    quick_effort,
    repeated,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
TINY = Effort((64, 128), 2**16, 0.002)


class Clock:
    """Wall and processor time; work takes so many seconds of either."""

    def __init__(self, *costs: float, ours: float = 1.0):
        self.now = self.used = 0.0
        self.costs = list(costs)
        self.ours = ours

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.used

    def work(self) -> None:
        cost = self.costs.pop(0) if len(self.costs) > 1 else self.costs[0]
        self.now += cost
        self.used += cost * self.ours


def nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("costs", "seconds", "taken"),
    [
        ([5.0, 1.0], 4.0, [1.0] * 4),  # the first one warms up
        ([1.0, 1.0], 1.5, [1.0, 1.0, 1.0]),  # three at least
        ([9.0, 3.0, 1.0], 2.0, [3.0]),  # unless one alone takes longer
        ([0.0, 1.0, 2.0, 4.0, 8.0], 5.0, [1.0, 2.0, 4.0]),
    ],
)
def test_work_is_repeated_for_some_seconds(costs, seconds, taken):
    clock = Clock(*costs)
    assert repeated(clock.work, nothing, seconds, clock.perf_counter) == taken


def test_each_repeat_waits_for_the_device():
    clock = Clock(1.0)

    def wait() -> None:
        clock.now += 0.5

    assert repeated(clock.work, wait, 3.0, clock.perf_counter) == [1.5, 1.5, 1.5]


@pytest.fixture
def fake(monkeypatch):
    """Return a function that lets any product take so many seconds, by size, on a fake clock."""

    def put(clock: Clock, seconds_of: dict[int, list[float]]) -> None:
        monkeypatch.setattr(calibration, "time", clock)
        monkeypatch.setattr(repeated, "__defaults__", (clock.perf_counter,))

        def work(device, kind, size):
            costs = seconds_of[size]
            clock.costs = [costs[0], *costs]  # the first one is left out
            return clock.work

        monkeypatch.setattr(calibration, "_work", work)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    return put


def test_the_best_size_counts_with_the_median_of_its_repeats(fake):
    fake(Clock(1.0, ours=2.0), {10: [4.0, 5.0, 9.0, 5.0], 20: [10.0, 11.0, 12.0]})
    (rate,) = measure(CPU, "fp32", Effort((10, 20), 0, 12.0))
    assert rate.a_second == 2 * 20**3 / 11
    assert (rate.kind, rate.threads, rate.steady) == ("fp32", 2, True)


def test_a_copy_counts_the_bytes_read_and_those_written(fake):
    fake(Clock(1.0, ours=2.0), {600: [2.0]})
    (rate,) = measure(CPU, "copy", Effort((10, 20), 600, 3.0))
    assert (rate.kind, rate.a_second) == ("copy", 600.0)


def test_a_size_that_takes_too_long_is_the_last(fake):
    fake(Clock(1.0, ours=2.0), {10: [3.0]})  # 20 would be a KeyError
    (rate,) = measure(CPU, "bf16", Effort((10, 20), 0, 2.0))
    assert rate.a_second == 2 * 10**3 / 3


@pytest.mark.parametrize(
    ("costs", "ours"),
    [
        ([1.0, 1.3, 1.3], 2.0),  # repeats differ
        ([1.0], 1.3),  # two threads got the time of 1.3
    ],
)
def test_a_busy_machine_shows(fake, costs, ours):
    fake(Clock(1.0, ours=ours), {10: costs})
    (rate,) = measure(CPU, "fp32", Effort((10,), 0, 3.0))
    assert not rate.steady


def test_a_real_measurement_is_positive_and_of_every_kind():
    random_before, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        rates = calibrate(CPU, TINY)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    # int8 too: where torch's private function for it goes, this fails.
    assert [(rate.threads, rate.kind) for rate in rates] == [
        (count, kind) for count in (1, 2) for kind in ON_CPU
    ]
    assert all(1e6 < rate.a_second < 1e15 for rate in rates)
    assert torch.equal(torch.get_rng_state(), random_before)


def test_the_rate_is_that_of_a_product_timed_by_hand():
    (rate,) = measure(CPU, "fp32", Effort((256,), 0, 0.05))
    left, right = torch.randn(256, 256), torch.randn(256, 256)
    best = float("inf")
    for _ in range(50):
        started = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - started)
    assert 0.05 < rate.a_second / (2 * 256**3 / best) < 3  # other processes share the cores


def test_a_kind_without_a_kernel_is_left_out(monkeypatch):
    def refuse(*_):
        raise RuntimeError("not implemented for 'Char'")

    monkeypatch.setattr(torch, "_int_mm", refuse)
    assert measure(CPU, "int8", TINY) == []
    monkeypatch.delattr(torch, "_int_mm")
    assert measure(CPU, "int8", TINY) == []
    assert {rate.kind for rate in calibrate(CPU, TINY)} == {"fp32", "bf16", "copy"}


def test_fp16_is_measured_where_it_is_asked_for():
    (rate,) = measure(CPU, "fp16", TINY)
    assert rate.a_second > 0


def test_figures_are_kept_by_processor_threads_and_versions(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nmodel name : Xeon [2.0]\nmodel name : another\n")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert machine_of(CPU, cpuinfo) == Machine("Xeon [2.0]", 7, torch.__version__, "highest")
    monkeypatch.setattr("platform.processor", lambda: "arm")
    assert machine_of(CPU, tmp_path / "none").device == "arm"


def test_a_gpu_is_named_and_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"H100 {device.index}")
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    on_cpu = calibration._work
    monkeypatch.setattr(calibration, "_work", lambda device, kind, size: on_cpu(CPU, kind, size))
    assert machine_of(CUDA) == Machine("H100 0", 0, torch.__version__, "highest")
    rates = calibrate(CUDA, TINY)
    assert [rate.kind for rate in rates] == ["fp32", "bf16", "fp16", "int8", "copy"]
    assert {rate.threads for rate in rates} == {0}
    assert waited
    assert set(waited) == {CUDA}


def test_a_gpu_gets_larger_matrices():
    assert (full_effort(CUDA), quick_effort(CUDA)) == (FULL_ON_GPU, QUICK_ON_GPU)
    for effort in (full_effort, quick_effort):
        assert max(effort(CPU).sizes) < max(effort(CUDA).sizes)
        assert effort(CPU).seconds * len(effort(CPU).sizes) < 1

"""Calibrations on disk: stored and read again, and measured again where they are damaged."""

from __future__ import annotations

import json
import stat

import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.training import calibration_store as store
from lightning_tune.training.calibration import Machine, Rate, machine_of

CPU = torch.device("cpu")
MACHINE = Machine("Xeon", 2, "2.13.0", "highest")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own, and a process that has measured nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(store, "_measured", {})
    return tmp_path


@pytest.fixture
def measured(monkeypatch):
    """Count measurements, which find 1e12, 2e12 …; a test may make them unsteady or empty."""

    class Measured:
        calls = 0
        steady = True
        kernel = True

        def __call__(self, device, kind, effort):
            self.calls += 1
            rate = Rate(kind, torch.get_num_threads(), self.calls * 1e12, self.steady)
            return [rate] if self.kernel else []

    made = Measured()
    monkeypatch.setattr(store, "measure", made)
    return made


def new_process(monkeypatch) -> None:
    monkeypatch.setattr(store, "_measured", {})


def test_what_is_kept_is_read_again_by_its_owner_alone():
    rates = [Rate("bf16", 1, 1.25e12), Rate("copy", 2, 2.5e10, steady=False)]
    file = store.keep(MACHINE, rates)
    assert store.read(MACHINE) == rates
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_new_figure_takes_the_place_of_its_kind_only():
    store.keep(MACHINE, [Rate("bf16", 1, 1.0), Rate("bf16", 2, 2.0), Rate("fp32", 1, 3.0)])
    store.keep(MACHINE, [Rate("bf16", 2, 9.0)])
    found = {(rate.kind, rate.threads): rate.a_second for rate in store.read(MACHINE)}
    assert found == {("bf16", 1): 1.0, ("bf16", 2): 9.0, ("fp32", 1): 3.0}


@pytest.mark.parametrize(
    "other",
    [
        Machine("EPYC", 2, "2.13.0", "highest"),
        Machine("Xeon", 4, "2.13.0", "highest"),
        Machine("Xeon", 2, "2.14.0", "highest"),
        Machine("Xeon", 2, "2.13.0", "medium"),
    ],
)
def test_figures_of_another_machine_do_not_count(other):
    file = store.keep(MACHINE, [Rate("fp32", 2, 1e12)])
    assert store.read(other) == []
    store.place(other).write_bytes(file.read_bytes())  # as if two machines had one name
    assert store.read(other) == []


DAMAGED = [
    "",
    "{",
    "[]",
    "null",
    '{"rates": []}',
    "\x00\x00\x00",
    '{"machine": {}, "rates": [{"kind": "fp32"}]}',
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_measured_again(text, measured, monkeypatch):
    file = store.place(machine_of(CPU))
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert store.peak(CPU, "fp32").a_second == 1e12
    new_process(monkeypatch)
    assert store.peak(CPU, "fp32").a_second == 1e12
    assert measured.calls == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a_second", -1.0),
        ("a_second", 0),
        ("a_second", "fast"),
        ("a_second", float("nan")),
        ("kind", "fp8"),
        ("threads", "two"),
        ("threds", 2),
    ],
)
def test_a_figure_that_is_none_is_measured_again(name, value, measured):
    machine = machine_of(CPU)
    file = store.keep(machine, [Rate("fp32", machine.threads, 5e12)])
    values = json.loads(file.read_text())
    values["rates"][0][name] = value
    file.write_text(json.dumps(values))
    assert store.peak(CPU, "fp32").a_second == 1e12


def test_a_file_that_is_no_text_is_measured_again(measured):
    file = store.keep(machine_of(CPU), [Rate("fp32", 1, 5e12)])
    file.write_bytes(b"\xff\xfe\x00")
    assert store.peak(CPU, "fp32").a_second == 1e12


def test_a_peak_is_measured_once_for_all_runs(measured, monkeypatch):
    first = store.peak(CPU, "bf16")
    new_process(monkeypatch)
    assert store.peak(CPU, "bf16") == first
    assert measured.calls == 1
    assert store.peak(CPU, "fp32").a_second == 2e12


def test_a_calibration_stands_where_a_quick_one_would_be_made(measured):
    machine = machine_of(CPU)
    store.keep(machine, [Rate("bf16", machine.threads, 7e12, steady=False)])
    # The command that kept it has told that the machine was busy: the figure is used.
    assert store.peak(CPU, "bf16") == Rate("bf16", machine.threads, 7e12, steady=True)
    assert measured.calls == 0


def test_what_a_busy_machine_reached_is_not_kept(measured, monkeypatch):
    measured.steady = False
    assert not store.peak(CPU, "fp32").steady
    assert not store.peak(CPU, "fp32").steady
    assert measured.calls == 1
    assert not store.place(machine_of(CPU)).exists()
    new_process(monkeypatch)
    measured.steady = True
    assert store.peak(CPU, "fp32").a_second == 2e12


def test_a_run_goes_on_where_nothing_can_be_kept(measured, cache):
    (cache / "lightning_tune").touch()
    assert store.peak(CPU, "fp32").a_second == 1e12
    assert store.peak(CPU, "fp32").a_second == 1e12
    assert measured.calls == 1
    with pytest.raises((ConfigError, OSError)):
        store.keep(MACHINE, [])


def test_without_a_kernel_there_is_no_peak(measured):
    measured.kernel = False
    assert store.peak(CPU, "fp16") is None


def test_other_devices_have_no_peak(measured):
    assert store.peak(torch.device("mps"), "fp16") is None
    assert measured.calls == 0


def test_a_real_peak_takes_a_moment_and_leaves_random_states(cache):
    before = torch.get_rng_state()
    found = store.peak(CPU, "fp32")
    assert found.a_second > 1e8
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("precision", "kind"),
    [
        ("32-true", "fp32"),
        ("bf16-mixed", "bf16"),
        ("bf16-true", "bf16"),
        ("16-mixed", "fp16"),
        ("64-true", None),
        ("transformer-engine", None),
    ],
)
def test_a_precision_multiplies_a_kind_of_number(precision, kind):
    assert store.kind_of(precision) == kind

"""Rates of training, counted by hand on a clock that the test moves, and those of real runs."""

from __future__ import annotations

import builtins
import csv
import json
import resource
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from lightning_tune.reports.records import Evaluation
from lightning_tune.training import calibration_store
from lightning_tune.training.calibration import Rate, machine_of
from lightning_tune.training.callbacks import throughput
from lightning_tune.training.callbacks.evaluation import EvaluationReport
from lightning_tune.training.callbacks.throughput import BUSY, Throughput

CPU = torch.device("cpu")
GIGABYTE = 1e9


class Clock:
    now = 100.0

    def perf_counter(self) -> float:
        return self.now


class Log:
    """A module that keeps what is logged."""

    def __init__(self):
        self.values = []

    def log_dict(self, values, batch_size):
        self.values.append(values)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throughput, "time", clock)
    monkeypatch.setattr(throughput, "_peak_memory", lambda device: 3_000_000_000)
    monkeypatch.setattr(throughput, "peak", lambda device, kind: Rate("fp32", 1, 1e9))
    return clock


@pytest.fixture
def peak_of(tmp_path, monkeypatch):
    """Return a function that keeps a peak for the products of this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "calibrated"))
    monkeypatch.setattr(calibration_store, "_measured", {})

    def put(a_second: float, *, kind: str = "fp32") -> None:
        machine = machine_of(CPU)
        calibration_store.keep(machine, [Rate(kind, machine.threads, a_second)])

    return put


def batch(*lengths: int) -> dict[str, torch.Tensor]:
    """A batch of examples of so many tokens, padded to the longest."""
    mask = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
    return {"attention_mask": mask, "index": torch.arange(len(lengths))}


class Run:
    """A training by hand: four steps an epoch, two epochs, a validation after each."""

    def __init__(self, clock: Clock, every: int = 2):
        self.clock = clock
        self.callback, self.log = Throughput(), Log()
        self.trainer = SimpleNamespace(
            global_step=0,
            log_every_n_steps=every,
            precision="32-true",
            is_global_zero=True,
            world_size=1,
            sanity_checking=False,
            state=SimpleNamespace(fn="fit"),
            strategy=SimpleNamespace(root_device=CPU, broadcast=lambda value: value),
            fit_loop=SimpleNamespace(total_batch_idx=-1),
            num_training_batches=4,
            max_epochs=2,
            max_steps=-1,
            accumulate_grad_batches=1,
            enable_validation=True,
            val_check_batch=4,
            check_val_every_n_epoch=1,
            train_dataloader=None,
            datamodule=None,
        )

    def start(self) -> Run:
        self.callback.setup(self.trainer, self.log, "fit")
        self.callback.on_train_start(self.trainer, self.log)
        self.callback.on_train_epoch_start(self.trainer, self.log)
        return self

    def step(self, seconds: float, *lengths: int, stepped: bool = True) -> None:
        made = batch(*lengths)
        self.callback.on_train_batch_start(self.trainer, self.log, made, 0)
        self.clock.now += seconds
        self.trainer.global_step += stepped
        self.callback.on_train_batch_end(self.trainer, self.log, None, made, 0)

    def validate(self, seconds: float) -> None:
        self.callback.on_validation_start(self.trainer, self.log)
        self.clock.now += seconds
        self.callback.on_validation_end(self.trainer, self.log)


def test_counts_cover_the_steps_since_the_last_log_without_validation(clock):
    run = Run(clock).start()
    run.step(1.0, 4, 2)
    assert run.log.values == []
    run.validate(1000.0)
    run.clock.now += 1000.0  # a checkpoint is written
    run.step(1.0, 3, 3, 1)
    # 5 samples in 2 seconds; 13 tokens in 8 + 9 cells
    assert run.log.values == [
        {
            "throughput/samples_per_second": 2.5,
            "throughput/tokens_per_second": 6.5,
            "throughput/padding": pytest.approx(4 / 17),
            "throughput/peak_memory_gb": 3.0,
        }
    ]
    assert run.callback.latest["tokens_per_second"] == 6.5
    run.step(0.5, 8)
    run.step(0.5, 8)
    assert run.log.values[1]["throughput/samples_per_second"] == 2.0
    assert run.log.values[1]["throughput/tokens_per_second"] == 16.0
    assert run.log.values[1]["throughput/padding"] == 0.0


def test_means_are_of_the_whole_run(clock):
    run = Run(clock, every=3).start()
    for seconds in (4.0, 1.0, 1.0, 2.0):
        run.step(seconds, 5, 5)
    run.validate(100.0)
    expected = {
        "samples_per_second": 1.0,
        "tokens_per_second": 5.0,
        "padding": 0.0,
        "peak_memory_gb": 3.0,
        "seconds": 8.0,
    }
    assert run.callback.means == expected
    run.callback.on_train_epoch_end(run.trainer, run.log)
    clock.now += 100.0
    run.callback.on_train_epoch_start(run.trainer, run.log)
    run.step(2.0, 5, 5)
    run.callback.on_train_end(run.trainer, run.log)
    assert run.callback.means == expected | {"seconds": 10.0}
    assert run.callback.seconds_left is None


def test_batches_that_are_accumulated_are_logged_once_a_step(clock):
    run = Run(clock, every=1).start()
    run.step(1.0, 5, stepped=False)
    run.step(1.0, 5, stepped=True)
    run.step(1.0, 5, stepped=False)
    run.step(1.0, 5, stepped=True)
    assert [each["throughput/samples_per_second"] for each in run.log.values] == [1.0, 1.0]


def test_the_time_left_counts_down(clock):
    run = Run(clock).start()
    run.step(9.0, 5)  # warms up
    run.step(1.0, 5)
    # Six of eight batches are left, of a second each; no validation was measured yet.
    assert run.callback.seconds_left == 6.0
    clock.now += 2.5
    assert run.callback.seconds_left == 3.5
    clock.now += 100.0
    assert run.callback.seconds_left == 0.0


def test_the_time_left_knows_what_a_validation_takes(clock):
    run = Run(clock).start()
    for _ in range(4):
        run.step(1.0, 5)
    run.validate(7.0)
    assert run.callback.seconds_left == 4.0 + 7.0


def test_a_validation_before_training_does_not_count(clock):
    run = Run(clock)
    run.trainer.sanity_checking = True
    run.callback.setup(run.trainer, run.log, "fit")
    run.validate(50.0)
    run.trainer.sanity_checking = False
    run.start()
    for _ in range(4):
        run.step(1.0, 5)
    assert run.callback.means == {}
    run.validate(3.0)
    assert run.callback.seconds_left == 4.0 + 3.0


def test_a_training_without_an_end_has_no_time_left(clock):
    run = Run(clock)
    run.trainer.max_epochs = -1
    run.start()
    run.step(1.0, 5)
    run.step(1.0, 5)
    assert run.callback.seconds_left is None


def test_a_resumed_run_goes_on_counting(clock):
    first = Run(clock).start()
    for _ in range(4):
        first.step(1.0, 5)
    state = first.callback.state_dict()
    second = Run(clock)
    second.callback.setup(second.trainer, second.log, "fit")
    second.callback.load_state_dict(state)
    second.trainer.fit_loop.total_batch_idx = 3
    second.callback.on_train_start(second.trainer, second.log)
    for _ in range(4):
        second.step(3.0, 5)
    second.callback.on_train_end(second.trainer, second.log)
    assert second.callback.means["seconds"] == 16.0
    assert second.callback.means["samples_per_second"] == 0.5
    second.start()  # another fit
    second.step(1.0, 5)
    second.callback.on_train_end(second.trainer, second.log)
    assert second.callback.means["seconds"] == 1.0


def test_several_processes_are_told(clock):
    run = Run(clock).start()
    run.trainer.world_size = 2
    run.step(1.0, 5)
    run.callback.on_train_end(run.trainer, run.log)
    assert run.callback.means["processes"] == 2


def test_only_the_first_process_measures_the_peak(clock, monkeypatch):
    asked = []
    monkeypatch.setattr(throughput, "peak", lambda *args: asked.append(args))
    run = Run(clock)
    run.trainer.is_global_zero = False
    run.start()
    assert asked == []
    run.trainer.is_global_zero = True
    run.trainer.precision = "64-true"  # of which there is no peak
    run.start()
    assert asked == []
    run.trainer.precision = "bf16-mixed"
    run.start()
    assert asked == [(CPU, "bf16")]


def test_the_memory_of_a_gpu_is_that_of_the_run(clock, monkeypatch):
    forgotten = []
    cuda = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", forgotten.append)
    run = Run(clock)
    run.trainer.strategy.root_device = cuda
    run.start()
    assert forgotten == [cuda]


def test_peak_memory_is_the_systems_figure(monkeypatch):
    found = throughput._peak_memory(CPU)
    assert found == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    block = torch.ones(found // 4 + 50_000_000)  # 200 MB more than ever before
    assert throughput._peak_memory(CPU) > found + 100_000_000
    del block
    monkeypatch.setattr("sys.platform", "darwin")  # which tells bytes
    assert throughput._peak_memory(CPU) == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 123)
    assert throughput._peak_memory(torch.device("cuda", 0)) == 123


def test_a_system_that_tells_no_memory_leaves_it_out(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "resource":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert throughput._peak_memory(CPU) is None
    rates = Throughput()._rates(throughput.Amounts(1, 2, 3, 4, 5.0, 6.0), CPU)
    assert "samples_per_second" in rates
    assert "peak_memory_gb" not in rates


def test_a_run_logs_its_rates(train, peak_of):
    peak_of(1e9)
    trained = train(trainer={"log_every_n_steps": 2})
    measured = trained.trainer.callback_metrics
    samples = float(measured["throughput/samples_per_second"])
    tokens = float(measured["throughput/tokens_per_second"])
    assert 0 < samples < tokens
    assert 0 <= float(measured["throughput/padding"]) < 0.5
    assert 0.1 < float(measured["throughput/peak_memory_gb"]) < 100
    # A tiny BERT: two layers of width 16, feed-forward 32, texts of at most 32 tokens.
    weights = 2 * (4 * 16 * 16 + 2 * 16 * 32)
    least, most = 6 * weights, 6 * weights + 12 * 2 * 16 * 32
    assert least < float(measured["throughput/mfu"]) * 1e9 / tokens < most


def test_the_report_holds_the_means_of_all_texts(train, peak_of):
    peak_of(2e9)

    class Count(L.Callback):
        samples = tokens = 0

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.samples += len(batch["index"])
            self.tokens += int(batch["attention_mask"].sum())

    count = Count()
    trained = train(callbacks=[count], trainer={"max_epochs": 2})
    trained.trainer.validate(trained.module, datamodule=trained.data, verbose=False)
    report = next(c for c in trained.trainer.callbacks if isinstance(c, EvaluationReport))
    found = report.evaluation.throughput
    assert found["samples_per_second"] * found["seconds"] == pytest.approx(count.samples)
    assert found["tokens_per_second"] * found["seconds"] == pytest.approx(count.tokens)
    assert found["mfu"] > 0
    assert BUSY not in report.evaluation.notes
    stored = json.loads((trained.folder / "metrics.json").read_text())
    assert stored["throughput/mfu"] == pytest.approx(found["mfu"])


def test_rates_reach_the_log_at_the_step_they_are_of(train, peak_of, tmp_path):
    peak_of(1e9)
    logger = CSVLogger(tmp_path / "logs")
    train(trainer={"log_every_n_steps": 3, "max_epochs": 2, "logger": logger})
    with (tmp_path / "logs" / "lightning_logs" / "version_0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["throughput/mfu"]]
    assert [int(row["step"]) for row in rows] == [2, 5, 8]


def test_a_busy_machine_leaves_the_share_of_the_peak_out_and_says_so(train, monkeypatch):
    busy = Rate("fp32", 1, 1e9, steady=False)
    monkeypatch.setattr(throughput, "peak", lambda device, kind: busy)
    trained = train(trainer={"log_every_n_steps": 1, "max_epochs": 1})
    assert "throughput/mfu" not in trained.trainer.callback_metrics
    trained.trainer.validate(trained.module, datamodule=trained.data, verbose=False)
    report = next(c for c in trained.trainer.callbacks if isinstance(c, EvaluationReport))
    assert BUSY in report.evaluation.notes


def test_a_module_of_another_kind_has_rates_and_no_share(clock):
    run = Run(clock, every=1).start()
    run.step(1.0, 5)
    assert "throughput/mfu" not in run.log.values[0]


def test_without_a_fit_nothing_is_added_to_a_report():
    record = Evaluation("binary", "test", 9, throughput={"mfu": 0.5})
    Throughput().add_to_report(record)
    assert record.throughput == {"mfu": 0.5}
    assert record.notes == []


def test_a_step_does_not_wait_for_the_device(clock):
    run = Run(clock, every=100).start()
    run.step(1.0, 5)
    without_values = torch.ones(2, 3, dtype=torch.int64, device="meta")
    made = {"attention_mask": without_values, "index": torch.arange(2)}
    run.trainer.global_step += 1
    run.callback.on_train_batch_end(run.trainer, run.log, None, made, 0)
    with pytest.raises(NotImplementedError):
        run.callback.state_dict()

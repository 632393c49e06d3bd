"""What a person sees of a training: the bar on a terminal, the lines and the curves it leaves."""

from __future__ import annotations

import io
import re
import sys
import time
from types import SimpleNamespace

import lightning as L
import pytest
import torch

from lightning_tune.training.callbacks.progress import EpochLines, Progress, TimeColumn, _pace
from lightning_tune.training.callbacks.throughput import Throughput

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that makes the output a terminal, for the test that calls it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def put() -> FakeTerminal:
        terminal = FakeTerminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        return terminal

    return put


def test_the_bar_shows_loss_metric_and_rates(train, terminal):
    screen = terminal()
    bar = Progress()
    assert not bar.is_disabled
    train(
        callbacks=[bar],
        trainer={"max_epochs": 2, "log_every_n_steps": 1, "enable_progress_bar": True},
    )
    shown = ESCAPE.sub("", screen.getvalue())
    assert re.search(r"Epoch 1/1", shown)
    assert re.search(r"loss: 0\.\d{3}", shown)
    assert re.search(r"val/accuracy: [01]\.\d+", shown)
    assert re.search(r"samples/s: +\d+", shown)
    assert re.search(r"tokens/s: +\d+", shown)
    assert "v_num" not in shown


def test_eighty_columns_hold_both_rates(train, terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    screen = terminal()
    train(callbacks=[Progress()], trainer={"log_every_n_steps": 1, "enable_progress_bar": True})
    shown = ESCAPE.sub("", screen.getvalue())
    assert re.search(r"samples/s: \d+", shown)
    assert re.search(r"tokens/s: \d+", shown)
    assert "it/s" not in shown


def test_the_rates_are_those_of_throughput(train, terminal):
    terminal()
    trained = train(callbacks=[Progress()], trainer={"enable_progress_bar": True})
    rates = next(c for c in trained.trainer.callbacks if isinstance(c, Throughput))
    rates.latest = {"samples_per_second": 1234.4, "tokens_per_second": 98765.6}
    bar = next(c for c in trained.trainer.callbacks if isinstance(c, Progress))
    items = bar.get_metrics(trained.trainer, trained.module)
    assert (items["samples/s"], items["tokens/s"]) == ("1234", "98766")
    assert "MFU" not in items
    rates.latest = {**rates.latest, "mfu": 0.317}
    assert bar.get_metrics(trained.trainer, trained.module)["MFU"] == "32%"


def test_before_the_first_step_there_is_nothing_to_show(train, terminal):
    terminal()
    trained = train(callbacks=[Progress()], trainer={"enable_progress_bar": True})
    trained.trainer.callback_metrics.clear()
    for callback in trained.trainer.callbacks:
        if isinstance(callback, Throughput):
            callback.latest = {}
    bar = next(c for c in trained.trainer.callbacks if isinstance(c, Progress))
    items = bar.get_metrics(trained.trainer, trained.module)
    assert not items.keys() & {"loss", "samples/s", "tokens/s"}


def test_without_a_terminal_there_is_no_bar(capsys):
    assert Progress().is_disabled


def time_column(left: float | None) -> TimeColumn:
    """A column of a training that still takes so many seconds; None: without its callback."""
    rates = Throughput()
    rates._ends_at = None if left is None else time.perf_counter() + left
    return TimeColumn(SimpleNamespace(callbacks=[] if left is None else [rates]), "dim")


def test_the_time_beside_the_bar_is_that_of_the_whole_training():
    running = SimpleNamespace(finished=False, elapsed=12.0, finished_time=None, time_remaining=5.0)
    assert time_column(220.2).render(running).plain == "0:12 • 3:40 left"
    finished = SimpleNamespace(finished=True, elapsed=9e9, finished_time=65.0, time_remaining=0.0)
    assert time_column(3723.2).render(finished).plain == "1:05 • 1:02:03 left"
    fresh = SimpleNamespace(finished=False, elapsed=None, finished_time=None, time_remaining=None)
    assert time_column(1.2).render(fresh).plain == "0:00 • 0:01 left"


def test_outside_of_a_training_the_bar_has_its_own_time():
    task = SimpleNamespace(finished=False, elapsed=12.0, finished_time=None, time_remaining=5.0)
    assert time_column(None).render(task).plain == "0:00:12 • 0:00:05"


def test_the_bar_of_a_training_shows_the_time_left(train, terminal):
    screen = terminal()
    slow = SlowSteps()
    settings = {"max_epochs": 2, "log_every_n_steps": 1, "enable_progress_bar": True}
    train(callbacks=[slow, Progress()], trainer=settings)
    assert re.search(r"\d:\d\d • 0:\d\d left", ESCAPE.sub("", screen.getvalue()))


def test_the_line_of_an_epoch_ends_with_pace_and_time_left(train, capsys):
    train(callbacks=[SlowSteps()], trainer={"max_epochs": 3})
    ends = [
        re.search(r" s, (\d+) samples/s(?:, (\d+) s left)?$", line)
        for line in lines_of(capsys.readouterr().out)
    ]
    assert all(20 < int(end[1]) < 41 for end in ends)  # eight in 0.2 s, and the step itself
    assert ends[0][2] is not None
    assert ends[2][2] is None


def test_without_throughput_the_line_ends_with_its_seconds():
    assert _pace(SimpleNamespace(callbacks=[])) == ""
    assert _pace(SimpleNamespace(callbacks=[Throughput()])) == ""


class SlowSteps(L.Callback):
    def on_train_batch_start(self, *_):
        time.sleep(0.2)


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("epoch ")]


def test_each_validation_is_a_line_and_the_best_so_far_is_marked(train, capsys):
    train(trainer={"max_epochs": 3})
    lines = lines_of(capsys.readouterr().out)
    form = r"epoch (\d)  step \d+  train/loss \d\.\d{4}  val/loss \d\.\d{4}  "
    form += r"val/accuracy (\d\.\d{4})( \*|  ) \d+ s, \d+ samples/s(, \d+ s left)?"
    found = [re.fullmatch(form, line) for line in lines]
    assert [match[1] for match in found] == ["1", "2", "3"]
    values = [float(match[2]) for match in found]
    marked = [match[3] == " *" for match in found]
    assert marked == [
        all(value > other for other in values[:at]) for at, value in enumerate(values)
    ]


def test_a_metric_that_is_to_be_small_is_marked_where_it_falls(train, capsys):
    train(model={"main_metric": "loss"}, trainer={"max_epochs": 3})
    lines = lines_of(capsys.readouterr().out)
    values = [float(re.search(r"  val/loss (\S+)", line)[1]) for line in lines]
    best = float("inf")
    for value, line in zip(values, lines, strict=True):
        assert ("*" in line) == (value < best)
        best = min(best, value)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_curve_of_the_training_loss_is_the_mean_over_the_batches(train, accumulated):
    losses = []

    class Note(EpochLines):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            losses.append(float(trainer.callback_metrics["train/loss"]))

    lines = Note()
    train(
        callbacks=[lines],
        trainer={"max_epochs": 1, "accumulate_grad_batches": accumulated, "log_every_n_steps": 1},
    )
    (row,) = lines.history
    assert row["train/loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    assert row["epoch"] == 1
    assert {"val/loss", "val/accuracy", "seconds", "step"} <= row.keys()


def test_the_curves_go_on_after_a_resume(train):
    first = train(trainer={"max_epochs": 1})
    last = first.folder / "checkpoints" / "last.ckpt"
    second = train(trainer={"max_epochs": 3}, ckpt_path=last)
    lines = next(c for c in second.trainer.callbacks if isinstance(c, EpochLines))
    assert [row["epoch"] for row in lines.history] == [1, 2, 3]
    stored = torch.load(second.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert len(stored["callbacks"]["EpochLines"]["history"]) >= 2


def test_a_validation_that_is_no_part_of_a_fit_leaves_no_line(train, capsys):
    trained = train(trainer={"max_epochs": 1})
    capsys.readouterr()
    trained.trainer.validate(trained.module, datamodule=trained.data, verbose=False)
    assert lines_of(capsys.readouterr().out) == []


def test_the_sanity_check_leaves_no_line(train, capsys):
    train(trainer={"max_epochs": 1, "num_sanity_val_steps": 2})
    assert len(lines_of(capsys.readouterr().out)) == 1

"""What a person sees of a training: the bar on a terminal, the lines and the curves it leaves."""

from __future__ import annotations

import io
import re
import sys

import pytest
import torch

from lightning_tune.training.callbacks.progress import EpochLines, Progress
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
    rates.samples_per_second, rates.tokens_per_second = 1234.4, 98765.6
    bar = next(c for c in trained.trainer.callbacks if isinstance(c, Progress))
    items = bar.get_metrics(trained.trainer, trained.module)
    assert (items["samples/s"], items["tokens/s"]) == ("1234", "98766")


def test_before_the_first_step_there_is_nothing_to_show(train, terminal):
    terminal()
    trained = train(callbacks=[Progress()], trainer={"enable_progress_bar": True})
    trained.trainer.callback_metrics.clear()
    for callback in trained.trainer.callbacks:
        if isinstance(callback, Throughput):
            callback.samples_per_second = 0.0
    bar = next(c for c in trained.trainer.callbacks if isinstance(c, Progress))
    items = bar.get_metrics(trained.trainer, trained.module)
    assert not items.keys() & {"loss", "samples/s", "tokens/s"}


def test_without_a_terminal_there_is_no_bar(capsys):
    assert Progress().is_disabled


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("epoch ")]


def test_each_validation_is_a_line_and_the_best_so_far_is_marked(train, capsys):
    train(trainer={"max_epochs": 3})
    lines = lines_of(capsys.readouterr().out)
    form = r"epoch (\d)  step \d+  train/loss \d\.\d{4}  val/loss \d\.\d{4}  "
    form += r"val/accuracy (\d\.\d{4})( \*|  ) \d+ s"
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

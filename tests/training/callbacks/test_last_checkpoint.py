"""last.ckpt: when it is written, what stands beside it, and how a signal ends a run."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lightning_tune.errors import ConfigError, StoppedError, TuneError
from lightning_tune.models.checkpoints import is_whole, read_checkpoint
from lightning_tune.training.callbacks import last_checkpoint
from lightning_tune.training.callbacks.checkpointing import WholeFileCheckpointIO
from lightning_tune.training.callbacks.last_checkpoint import LastCheckpoint, keeping
from lightning_tune.training.loggers import MetricsCSV


class At(L.Callback):
    """Do something at one of the hooks of a run, once."""

    def __init__(self, hook: str, do: Any, step: int = 0) -> None:
        def act(trainer: L.Trainer, *args: Any) -> None:
            if trainer.global_step >= step and not self.done:
                self.done = True
                do(trainer)

        self.done = False
        setattr(self, hook, act)


class Saves(L.Callback):
    """Note the step of each checkpoint that is written."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_save_checkpoint(self, trainer: L.Trainer, module: Any, checkpoint: Any) -> None:
        self.steps.append(trainer.global_step)


def send(signum: int) -> Any:
    return lambda trainer: signal.raise_signal(signum)


def last_of(folder: Path) -> Any:
    return read_checkpoint(folder / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", ["every_minutes", "every_n_steps"])
def test_an_interval_is_above_0(name, value):
    with pytest.raises(ConfigError, match=rf"LastCheckpoint\.{name}={value} is not above 0"):
        LastCheckpoint(**{name: value})


def test_it_is_written_every_so_many_steps_and_after_every_epoch(train):
    saves = Saves()
    train("multiclass", callbacks=[LastCheckpoint(every_n_steps=2), saves])
    assert [step for step in saves.steps if step != 10] == [2, 4, 5, 6, 8]
    assert 10 in saves.steps


def test_it_is_written_every_so_many_minutes(train):
    saves = Saves()
    train(callbacks=[LastCheckpoint(every_minutes=1e-9), saves])
    assert sorted(set(saves.steps)) == list(range(1, 11))


def test_the_usual_interval_is_longer_than_a_short_run(train):
    saves = Saves()
    train(callbacks=[saves])
    assert set(saves.steps) == {5, 10}


def test_steps_are_optimizer_steps(train):
    saves = Saves()
    own = LastCheckpoint(every_n_steps=1)
    train("multiclass", callbacks=[own, saves], trainer={"accumulate_grad_batches": 2})
    assert sorted(set(saves.steps)) == [1, 2, 3, 4, 5, 6]


def test_previous_is_kept_while_a_run_trains_and_removed_after_it(train, tmp_path):
    seen: list[list[str]] = []

    def look(trainer: L.Trainer) -> None:
        folder = Path(trainer.default_root_dir) / "checkpoints"
        seen.append(sorted(file.name for file in folder.glob("*.ckpt")))
        seen.append([read_checkpoint(folder / f)["global_step"] for f in seen[0]])

    trained = train(
        callbacks=[LastCheckpoint(every_n_steps=1), At("on_train_batch_start", look, step=3)]
    )
    assert seen == [["last.ckpt", "previous.ckpt"], [3, 2]]
    assert not (trained.folder / "checkpoints" / "previous.ckpt").exists()


@pytest.mark.parametrize(
    ("hook", "step"),
    [
        ("on_train_batch_start", 3),
        ("on_train_batch_end", 3),
        ("on_train_batch_end", 5),
        ("on_validation_batch_start", 5),
        ("on_validation_end", 5),
        ("on_train_epoch_end", 5),
        ("on_train_epoch_end", 10),
    ],
)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_run_with_a_checkpoint(train, tmp_path, hook, step, signum):
    with pytest.raises(StoppedError) as caught:
        train("multiclass", callbacks=[At(hook, send(signum), step)])
    assert caught.value.exit_code == 128 + signum
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    reached = read_checkpoint(last)["global_step"]
    assert step <= reached <= step + 1
    name = signal.Signals(signum).name
    assert str(caught.value) == (
        f"{name} stopped the run after step {reached}; go on with fit --ckpt_path {last}."
    )
    whole = train("multiclass", folder="whole")
    resumed = train("multiclass", ckpt_path=last)
    for name, weight in whole.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], weight)


def test_a_second_signal_ends_at_once(train, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_tune.training.signals._SECONDS_TO_END", 1000)

    def twice(trainer: L.Trainer) -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError, match="SIGTERM ended the command at once"):
        train(callbacks=[At("on_train_batch_start", twice, 3)])
    assert not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


def test_the_step_that_a_run_stopped_after_is_in_the_curves(train, tmp_path):
    with pytest.raises(StoppedError):
        train(
            callbacks=[At("on_train_batch_end", send(signal.SIGTERM), 3)],
            trainer={"logger": MetricsCSV(str(tmp_path)), "log_every_n_steps": 1},
        )
    with (tmp_path / "metrics.csv").open(newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert steps == [0, 1, 2]  # counted from 0


def stopped(train: Any) -> None:
    with pytest.raises(StoppedError):
        train(callbacks=[At("on_train_batch_end", send(signal.SIGTERM), 3)])


@pytest.mark.parametrize("run", [stopped, lambda train: train()])
def test_the_handlers_are_gone_after_a_run(train, run):
    before = signal.getsignal(signal.SIGTERM)
    run(train)
    assert signal.getsignal(signal.SIGTERM) == before


def test_pre_emption_under_slurm_requeues_the_job(train, monkeypatch):
    monkeypatch.setattr(last_checkpoint.SLURMEnvironment, "detect", staticmethod(lambda: True))
    asked: list[int] = []
    monkeypatch.setattr(last_checkpoint, "requeue", lambda: asked.append(1) or "requeued")
    with pytest.raises(StoppedError, match="SIGUSR1 stopped the run after step 4; requeued") as got:
        train("multiclass", callbacks=[At("on_train_batch_start", send(signal.SIGUSR1), 3)])
    assert asked == [1]
    assert got.value.exit_code == 143


def test_what_a_killed_process_left_is_removed(train, tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    for name in (".last.ckpt.0a1b2c3d.tmp", ".notes.tmp"):
        (folder / name).touch()
    (tmp_path / "run" / ".config.yaml.00000000.tmp").touch()
    train()
    assert [file.name for file in (tmp_path / "run").rglob(".*")] == [".notes.tmp"]


def test_what_the_best_checkpoint_has_just_written_is_not_written_again(train):
    saves = Saves()
    trained = train("multiclass", callbacks=[saves], trainer={"max_epochs": 1})
    assert saves.steps == [5]
    last, best = (trained.best.with_stem(name) for name in ("last", "best"))
    assert last.samefile(best)
    assert last.stat().st_mode & 0o777 == 0o600
    more = train("multiclass", ckpt_path=last, trainer={"max_epochs": 2})
    assert read_checkpoint(more.best.with_stem("last"))["global_step"] == 10


def test_a_save_that_fails_keeps_both_files(tmp_path):
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    for step in (1, 2):
        with keeping(last, previous):
            WholeFileCheckpointIO().save_checkpoint({"step": step}, last)
    with pytest.raises(TuneError), keeping(last, previous):
        raise TuneError("no room")
    assert torch.load(last)["step"] == 2
    assert torch.load(previous)["step"] == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]


def test_a_file_system_without_links_keeps_a_copy(tmp_path, monkeypatch):
    def refuse(self: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    for step in (1, 2):
        with keeping(last, previous):
            WholeFileCheckpointIO().save_checkpoint({"step": step}, last)
    assert torch.load(previous)["step"] == 1
    assert is_whole(previous)

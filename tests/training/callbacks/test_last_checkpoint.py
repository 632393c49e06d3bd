"""last.ckpt: when it is written, what stands beside it, and how a signal ends a run."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping

from lightning_tune.errors import ConfigError, StoppedError, TuneError
from lightning_tune.models.checkpoints import is_whole, read_checkpoint
from lightning_tune.training.callbacks import last_checkpoint
from lightning_tune.training.callbacks.checkpointing import WholeFileCheckpointIO
from lightning_tune.training.callbacks.last_checkpoint import LastCheckpoint, keeping
from lightning_tune.training.loggers import MetricsCSV
from lightning_tune.training.module import TextClassifier


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


class Clock(L.Callback):
    """A clock in the place of `time`: a step takes a second, a checkpoint 0.29 s."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def on_train_batch_end(self, *_: Any) -> None:
        self.now += 1


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    save = WholeFileCheckpointIO.save_checkpoint

    def slowly(*args: Any, **kwargs: Any) -> None:
        save(*args, **kwargs)
        made.now += 0.29

    monkeypatch.setattr(last_checkpoint, "time", made)
    monkeypatch.setattr(WholeFileCheckpointIO, "save_checkpoint", slowly)
    return made


class Epochs(L.Callback):
    """Note, when an epoch begins, the weights and which steps lie on the disk as last and best."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []
        self.steps: list[list[int]] = []

    def on_train_epoch_start(self, trainer: L.Trainer, module: Any) -> None:
        folder = Path(trainer.default_root_dir) / "checkpoints"
        stored = [read_checkpoint(file) for file in sorted(folder.glob("[lb]*.ckpt"))[::-1]]
        self.steps.append([checkpoint["global_step"] for checkpoint in stored])
        self.weights.append({name: w.clone() for name, w in module.state_dict().items()})
        if stored:
            assert best_value(stored[0]) == best_value(stored[1])  # what last.ckpt claims is there


def best_value(checkpoint: Any) -> float:
    (state,) = [s for key, s in checkpoint["callbacks"].items() if key.startswith("BestCheckpoint")]
    return float(state["best_model_score"])


class Scripted(TextClassifier):
    """Logs 0.1, 0.9, 0.2, 0.3, 0.4 as the main metric of its epochs."""

    def on_validation_epoch_end(self) -> None:
        value = (0.1, 0.9, 0.2, 0.3, 0.4)[min(self.current_epoch, 4)]
        self.log(self.monitor, torch.tensor(value))
        self.val_metrics.reset()


FIVE = {"max_epochs": 5}


def fit_five(train: Any, clock: Clock, *callbacks: L.Callback, **more: Any) -> Any:
    stopping = EarlyStopping("val/accuracy", mode="max", patience=9, check_on_train_epoch_end=False)
    return train(of=Scripted, callbacks=[clock, stopping, *callbacks], trainer=FIVE | more)


def test_after_epochs_it_keeps_to_its_share_of_the_time(train, clock):
    """The first save takes 0.29 s, 2 % of which are 14.5 s: three epochs of five seconds."""
    epochs, saves = Epochs(), Saves()
    trained = fit_five(train, clock, epochs, saves, LastCheckpoint(max_share=0.02))
    assert epochs.steps == [[], [5, 5], [5, 5], [5, 5], [20, 10]]
    assert saves.steps == [5, 10, 20, 25]
    last, best = (read_checkpoint(trained.best.with_stem(name)) for name in ("last", "best"))
    assert (last["global_step"], best["global_step"]) == (25, 10)
    assert all(torch.equal(best["state_dict"][k], w) for k, w in epochs.weights[2].items())
    assert best_value(last) == pytest.approx(0.9)


def test_the_first_save_keeps_to_the_share_by_what_it_should_take(train, clock, monkeypatch):
    """Nothing is written in the first 14.5 s, so after the third epoch of five seconds."""
    monkeypatch.setattr(last_checkpoint, "_seconds_to_save", lambda module: 0.29)
    epochs = Epochs()
    trained = fit_five(train, clock, epochs, LastCheckpoint(max_share=0.02))
    assert epochs.steps == [[], [], [], [15, 10], [15, 10]]
    assert read_checkpoint(trained.best)["global_step"] == 10


def test_a_save_is_reckoned_by_the_weights_that_are_trained():
    """24 weights of 4 bytes, thrice, at 400 MB a second."""
    layers = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Linear(6, 100))
    layers[1].requires_grad_(False)
    assert last_checkpoint._seconds_to_save(layers) == pytest.approx(24 * 4 * 3 / 4e8)


def test_null_saves_after_every_epoch(train, clock):
    epochs = Epochs()
    fit_five(train, clock, epochs, LastCheckpoint(max_share=None))
    assert epochs.steps == [[], [5, 5], [10, 10], [15, 10], [20, 10]]


@pytest.mark.parametrize("share", [0, -0.1, 1.5])
def test_a_share_is_above_0_and_at_most_1(share):
    with pytest.raises(ConfigError, match=rf"LastCheckpoint\.max_share={share} is outside"):
        LastCheckpoint(max_share=share)


@pytest.mark.parametrize(("step", "kept"), [(3, []), (8, [5, 5]), (12, [10, 10]), (22, [20, 10])])
def test_an_error_leaves_what_waited_in_memory(train, tmp_path, clock, step, kept):
    """The best checkpoint of step 10 is written by the error; step 20 is saved as usual."""

    def fail(trainer: L.Trainer) -> None:
        raise RuntimeError("odd")

    with pytest.raises(RuntimeError, match="odd"):
        fit_five(
            train, clock, At("on_train_batch_start", fail, step), LastCheckpoint(max_share=0.02)
        )
    folder = tmp_path / "run" / "checkpoints"
    files = [file for name in ("last", "best") if (file := folder / f"{name}.ckpt").is_file()]
    assert [read_checkpoint(file)["global_step"] for file in files] == kept


def test_a_run_goes_on_exactly_from_what_waited_in_memory(train, tmp_path, clock):
    whole = fit_five(train, clock)

    def fail(trainer: L.Trainer) -> None:
        raise RuntimeError("odd")

    with pytest.raises(RuntimeError, match="odd"):
        fit_five(train, clock, At("on_train_batch_end", fail, 12))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["global_step"] == 10
    resumed = train(of=Scripted, ckpt_path=last, trainer=FIVE)
    for name, weight in whole.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], weight)


def test_a_signal_writes_the_best_that_waits(train, tmp_path, clock):
    with pytest.raises(StoppedError):
        fit_five(train, clock, At("on_train_batch_start", send(signal.SIGTERM), 12))
    files = [tmp_path / "run" / "checkpoints" / f"{name}.ckpt" for name in ("last", "best")]
    assert [read_checkpoint(file)["global_step"] for file in files] == [13, 10]


class Late(Checkpoint):
    """Ends a run after all other callbacks of an epoch."""

    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        trainer.should_stop = trainer.global_step == 15


def test_the_end_is_saved_whatever_ends_the_run(train, clock):
    def move(trainer: L.Trainer) -> None:
        trainer.callbacks.sort(key=lambda one: isinstance(one, Late))

    trained = fit_five(train, clock, Late(), At("on_fit_start", move))
    last = trained.best.with_stem("last")
    assert read_checkpoint(last)["global_step"] == 15
    resumed = train(of=Scripted, ckpt_path=last, trainer=FIVE)
    whole = fit_five(train, clock)
    for name, weight in whole.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], weight)

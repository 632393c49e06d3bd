"""The average of the best epochs: its numbers, kept only where it is better, no files left."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.training.callbacks import last_checkpoint
from lightning_tune.training.callbacks.average_best import (
    AVERAGED_KEY,
    AverageBest,
    Candidate,
    best_of,
)
from lightning_tune.training.callbacks.checkpointing import BestCheckpoint
from lightning_tune.training.callbacks.last_checkpoint import LastCheckpoint
from lightning_tune.training.callbacks.progress import EpochLines
from lightning_tune.training.callbacks.weight_average import RAW_KEY, WeightAverage
from lightning_tune.training.inference import load
from lightning_tune.training.module import TextClassifier

HEAD = "classifier.encoder.classifier.weight"


class Weights(L.Callback):
    """Moves the head before each validation to where it began plus a shift; keeps what answered."""

    def __init__(self, *shifts: float):
        self.shifts, self.seen = shifts, []

    def on_train_start(self, trainer, pl_module):
        self.first = pl_module.classifier.encoder.classifier.weight.detach().clone()
        generator = torch.Generator().manual_seed(0)
        self.direction = torch.randn(self.first.shape, generator=generator)

    def on_validation_start(self, trainer, pl_module):
        if trainer.state.fn == "fit":
            head = pl_module.classifier.encoder.classifier.weight
            shift = self.shifts[trainer.current_epoch]
            with torch.no_grad():
                head.copy_(self.first + shift * self.direction)
            self.seen.append({k: v.detach().clone() for k, v in pl_module.state_dict().items()})


class Scripted(TextClassifier):
    """Logs a main metric that the test wrote, one value an epoch, instead of the measured one."""

    script: tuple[float, ...] = ()

    def on_validation_epoch_end(self):
        self.log(
            self.monitor, torch.tensor(self.script[min(self.current_epoch, len(self.script) - 1)])
        )
        self.val_metrics.reset()


class UpperLayer(TextClassifier):
    """Trains no weight of the lowest layer."""

    def configure_model(self):
        super().configure_model()
        self.classifier.encoder.bert.encoder.layer[0].requires_grad_(False)


def scripted(*values: float) -> type[TextClassifier]:
    return type("Scripted", (Scripted,), {"script": values})


def names(trained) -> list[str]:
    return sorted(file.name for file in (trained.folder / "checkpoints").iterdir())


def mean_of(states, indices) -> dict[str, torch.Tensor]:
    chosen = [states[index] for index in indices]
    return {k: torch.stack([s[k].float() for s in chosen]).mean(dim=0) for k in chosen[0]}


def answers_alike(found, expected) -> bool:
    return all(torch.allclose(found[name].float(), expected[name]) for name in expected)


STILL = {"lr": 1e-30, "main_metric": "loss"}


def measured_loss(trained) -> float:
    trained.trainer.validate(trained.module, trained.data, verbose=False)
    return float(trained.trainer.callback_metrics["val/loss"])


def test_an_average_that_is_better_becomes_best_ckpt(train, capsys):
    """Heads on both sides of where it began, far out: their average is nearly where it began."""
    weights = Weights(60.0, -40.0, 90.0, -50.0)
    trained = train(callbacks=[weights, AverageBest(k=3)], model=STILL, trainer={"max_epochs": 4})
    losses = [row["val/loss"] for row in history(trained)]
    order = sorted(range(4), key=losses.__getitem__)[:3]
    assert 2 not in order
    best = read_checkpoint(trained.best)
    assert answers_alike(best["state_dict"], mean_of(weights.seen, order))
    assert best[AVERAGED_KEY]["epochs"] == [at + 1 for at in order]
    assert names(trained) == ["best.ckpt", "last.ckpt"]
    held = trained.module.state_dict()
    assert all(torch.equal(held[name], value) for name, value in best["state_dict"].items())
    assert torch.equal(load(trained.best).module.state_dict()[HEAD], best["state_dict"][HEAD])
    loss = measured_loss(trained)
    assert best[AVERAGED_KEY]["value"] == pytest.approx(loss)
    assert loss < min(losses)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "average of" in line]
    assert line == (
        f"average of epochs {', '.join(str(at + 1) for at in order)}: val/loss {loss:.4f} against "
        f"{min(losses):.4f} of epoch {order[0] + 1}; kept as best.ckpt"
    )


def test_an_average_that_is_worse_leaves_the_best_epoch(train, capsys):
    """The second head is far out, and so is the average."""
    weights = Weights(0.0, 90.0)
    trained = train(callbacks=[weights, AverageBest(k=2)], model=STILL)
    best = read_checkpoint(trained.best)
    assert AVERAGED_KEY not in best
    assert all(torch.equal(best["state_dict"][k], v) for k, v in weights.seen[0].items())
    assert torch.equal(trained.module.state_dict()[HEAD], weights.seen[0][HEAD])
    assert names(trained) == ["best.ckpt", "last.ckpt"]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "average of" in line]
    value = float(line.split("val/loss ")[1].split()[0])
    assert value > history(trained)[0]["val/loss"] + 0.1
    assert line.endswith("of epoch 1; not better: best.ckpt stays")


def history(trained) -> list[dict[str, float]]:
    return next(c.history for c in trained.trainer.callbacks if isinstance(c, EpochLines))


@pytest.mark.parametrize("best_is_low", [True, False])
def test_a_metric_to_be_made_small_is_compared_in_its_direction(train, best_is_low):
    script = (9.0, 8.0) if not best_is_low else (1e-9, 2e-9)
    trained = train(
        of=scripted(*script),
        callbacks=[AverageBest(k=2)],
        model={"main_metric": "loss"},
    )
    note = read_checkpoint(trained.best).get(AVERAGED_KEY)
    assert (note is None) is best_is_low
    if note is not None:
        assert note["epochs"] == [2, 1]
        assert note["value"] < 1


def test_the_moving_averages_are_what_is_averaged(train):
    weights = []

    class Answering(L.Callback):
        def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, *more):
            if trainer.state.fn == "fit":
                weights.append({k: v.detach().clone() for k, v in pl_module.state_dict().items()})

    trained = train(
        of=scripted(0.02, 0.01),
        callbacks=[WeightAverage(0.9), AverageBest(k=2), Answering()],
        data={"eval_batch_size": 64},
    )
    best = read_checkpoint(trained.best)
    assert len(weights) == 2
    assert answers_alike(best["state_dict"], mean_of(weights, [0, 1]))
    assert RAW_KEY not in best


class Look(L.Callback):
    """Notes which files lie beside the checkpoints when each epoch starts, and their size."""

    def __init__(self):
        self.files = []

    def on_train_epoch_start(self, trainer, pl_module):
        folder = Path(trainer.default_root_dir) / "checkpoints"
        found = sorted(file.name for file in folder.glob("candidate*"))
        self.files.append(found)


def test_only_the_best_files_lie_there_meanwhile_and_hold_weights_alone(train):
    look = Look()

    class Stop(L.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 4:
                file = Path(trainer.default_root_dir) / "checkpoints" / "candidate-5.ckpt"
                stored = torch.load(file, weights_only=True)
                assert set(stored) == {"state_dict"}
                assert not any(".layer.0." in name for name in stored["state_dict"])

    train(
        of=type("Upper", (UpperLayer, Scripted), {"script": (0.9, 0.5, 0.6, 0.95, 0.1)}),
        callbacks=[AverageBest(k=2), look, Stop(), LastCheckpoint(max_share=None)],
        trainer={"max_epochs": 5},
    )
    steps = [[int(name[10:-5]) for name in files] for files in look.files]
    assert steps == [[], [5], [10, 5], [15, 5], [20, 5]]


class Interrupt(L.Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise ValueError("power cut")


def test_a_resumed_run_averages_the_epochs_before_the_stop_too(train, capsys, tmp_path):
    of = scripted(0.04, 0.03, 0.02, 0.01)
    settings = {"of": of, "trainer": {"max_epochs": 4}}
    with pytest.raises(ValueError, match="power cut"):
        train(callbacks=[AverageBest(k=2), Interrupt(2)], **settings)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    trained = train(callbacks=[AverageBest(k=2)], ckpt_path=last, **settings)
    assert "average of epochs 1, 2: " in capsys.readouterr().out
    assert names(trained) == ["best.ckpt", "last.ckpt"]


def test_a_file_that_is_gone_is_said_and_left_out(train, capsys, tmp_path, caplog):
    settings = {"of": scripted(0.04, 0.03, 0.02), "trainer": {"max_epochs": 3}}
    with pytest.raises(ValueError, match="power cut"):
        train(callbacks=[AverageBest(k=2), Interrupt(2)], **settings)
    (tmp_path / "run" / "checkpoints" / "candidate-5.ckpt").unlink()
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    train(callbacks=[AverageBest(k=2)], ckpt_path=last, **settings)
    assert "candidate-5.ckpt is gone; it is averaged no more." in caplog.text
    assert "average of epochs 2, 3: " in capsys.readouterr().out


def test_a_run_that_goes_on_has_to_beat_the_average(train):
    """0.05 is better than the best epoch's 0.04, not than what was measured of the average."""
    of = scripted(0.04, 0.03, 0.05)
    first = train(of=of, callbacks=[AverageBest(k=2)])
    before = read_checkpoint(first.best)
    assert before[AVERAGED_KEY]["value"] > 0.05
    last = first.folder / "checkpoints" / "last.ckpt"
    train(
        of=of,
        callbacks=[AverageBest(k=1)],
        trainer={"max_epochs": 3},
        ckpt_path=last,
    )
    assert read_checkpoint(first.best)["epoch"] == before["epoch"]


def test_one_candidate_is_no_average_of_anything_but_itself(train, capsys):
    trained = train(callbacks=[AverageBest(k=1)])
    assert AVERAGED_KEY not in read_checkpoint(trained.best)
    assert "not better: best.ckpt stays" in capsys.readouterr().out


def test_a_trial_run_keeps_nothing(train, capsys):
    train(callbacks=[AverageBest()], trainer={"fast_dev_run": True})
    assert "average of" not in capsys.readouterr().out


def test_a_run_that_a_signal_ends_keeps_its_files(train, capsys):
    class Signal(L.Callback):
        def on_train_end(self, trainer, pl_module):
            trainer._signal_connector.received_sigterm = True

    trained = train(callbacks=[Signal(), AverageBest()])
    assert names(trained) == ["best.ckpt", "candidate-10.ckpt", "candidate-5.ckpt", "last.ckpt"]
    assert "average of" not in capsys.readouterr().out


@pytest.mark.parametrize("k", [0, -3])
def test_less_than_one_is_refused(k):
    with pytest.raises(ConfigError, match=rf"AverageBest\.k={k} is below 1; 3 is usual\."):
        AverageBest(k)


def test_it_needs_best_ckpt(train):
    with pytest.raises(ConfigError, match=r"compares with best\.ckpt, which nothing writes"):
        train(callbacks=[AverageBest(), L.pytorch.callbacks.ModelCheckpoint(monitor="val/loss")])


def test_of_equal_ones_the_earlier_is_better_and_nan_never():
    one, two, bad = Candidate("a", 1, 0.5), Candidate("b", 2, 0.5), Candidate("c", 3, float("nan"))
    assert best_of([bad, one, two], 3, "max") == [one, two]
    assert best_of([one, two], 1, "min") == [one]


def test_its_bare_name_is_known_to_a_config():
    from lightning_tune.commands.signatures import find_class
    from lightning_tune.training import defaults

    assert find_class("AverageBest", (L.Callback,)) in defaults.OPTIONAL
    assert issubclass(BestCheckpoint, L.Callback)


class Named(L.Callback):
    """Checks, when each epoch starts, that the files which last.ckpt names are there."""

    def __init__(self):
        self.named = []

    def on_train_epoch_start(self, trainer, pl_module):
        folder = Path(trainer.default_root_dir) / "checkpoints"
        if (folder / "last.ckpt").is_file():
            stored = read_checkpoint(folder / "last.ckpt")["callbacks"]["AverageBest"]["kept"]
            self.named.append([one["epoch"] for one in stored])
            assert all((folder / one["file"]).is_file() for one in stored)


def test_what_an_older_last_ckpt_names_stays(train, monkeypatch):
    """last.ckpt is written after the first epoch and the last one; the first is soon beaten."""
    monkeypatch.setattr(last_checkpoint, "_seconds_to_save", lambda module: 0.0)
    named = Named()
    train(
        of=scripted(0.1, 0.5, 0.6, 0.7),
        callbacks=[AverageBest(k=2), LastCheckpoint(max_share=1e-9), named],
        trainer={"max_epochs": 4},
    )
    assert named.named == [[1], [1], [1]]

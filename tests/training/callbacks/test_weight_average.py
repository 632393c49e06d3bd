"""The moving average of the weights: its numbers, who answers when, and an exact resume."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import lightning as L
import pytest
import torch

from lightning_tune.cli import main
from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.training.callbacks.weight_average import RAW_KEY, WeightAverage
from lightning_tune.training.inference import load
from lightning_tune.training.module import TextClassifier


class Watch(L.Callback):
    """Notes the weights after every optimizer step, and those that a validation finds."""

    def __init__(self):
        self.steps, self.validated = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step > len(self.steps):
            self.steps.append(copy_of(pl_module.classifier))

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if batch_idx == 0:
            self.validated.append(copy_of(pl_module.classifier))


def copy_of(classifier) -> torch.Tensor:
    return torch.cat([weight.detach().flatten().clone() for weight in classifier.parameters()])


def flat(state: dict[str, torch.Tensor], module) -> torch.Tensor:
    return torch.cat([state[name].flatten() for name, _ in module.named_parameters()])


def by_hand(steps: list[torch.Tensor], decays: list[float]) -> torch.Tensor:
    """The average in float64: the first weights, then d · average + (1 - d) · weights."""
    average = steps[0].double()
    for weights, decay in zip(steps[1:], decays, strict=True):
        average = decay * average + (1 - decay) * weights.double()
    return average


def warmed(decay: float, count: int) -> list[float]:
    return [min(decay, (1 + n) / (10 + n)) for n in range(1, count)]


@pytest.mark.parametrize("warmup", [True, False])
def test_the_average_is_that_of_a_loop_written_by_hand(train, warmup):
    watch = Watch()
    trained = train(callbacks=[watch, WeightAverage(decay=0.4, warmup=warmup)])
    count = len(watch.steps)
    assert count == 10
    decays = warmed(0.4, count) if warmup else [0.4] * (count - 1)
    assert (min(decays) < 0.4) is warmup
    last = read_checkpoint(trained.folder / "checkpoints" / "last.ckpt")
    found = flat(last["state_dict"], trained.module)
    expected = by_hand(watch.steps, decays)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(flat(last[RAW_KEY], trained.module), watch.steps[-1])
    assert not torch.allclose(found, watch.steps[-1], atol=1e-4)


def test_validation_sees_the_average_and_training_goes_on_from_the_weights(train):
    plain, averaged = Watch(), Watch()
    train(callbacks=[plain], folder="plain")
    train(callbacks=[averaged, WeightAverage(0.9)], folder="averaged")
    assert all(map(torch.equal, plain.steps, averaged.steps))
    first = by_hand(averaged.steps[:5], warmed(0.9, 5))
    torch.testing.assert_close(averaged.validated[0].double(), first, rtol=1e-5, atol=1e-6)
    assert torch.equal(plain.validated[0], plain.steps[4])


def test_best_checkpoint_model_and_loaded_answers_are_those_of_the_average(train):
    watch = Watch()
    trained = train(callbacks=[watch, WeightAverage(0.9)])
    best = read_checkpoint(trained.best)
    answered = watch.validated[best["epoch"]]
    assert torch.equal(flat(best["state_dict"], trained.module), answered)
    assert torch.equal(copy_of(trained.module.classifier), answered)
    assert torch.equal(copy_of(load(trained.best).module.classifier), answered)


def test_without_checkpoints_the_average_is_left_in_the_model(train):
    watch = Watch()
    train_without = {"enable_checkpointing": False}
    trained = train(folder="data_only", trainer={"max_epochs": 1})
    module = TextClassifier(trained.module.backbone, trained.module.label_set, lr=0.01)
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[watch, WeightAverage(0.9)],
        **train_without,
    )
    trainer.fit(module, datamodule=trained.data)
    expected = by_hand(watch.steps, warmed(0.9, len(watch.steps)))
    torch.testing.assert_close(copy_of(module.classifier).double(), expected, rtol=1e-5, atol=1e-6)


def test_the_weights_themselves_answer_before_the_start(train):
    watch = Watch()
    average = WeightAverage(0.9, start_epoch=1)
    trained = train(callbacks=[watch, average], trainer={"max_epochs": 2})
    assert torch.equal(watch.validated[0], watch.steps[4])
    assert average.updates == 5
    last = read_checkpoint(trained.folder / "checkpoints" / "last.ckpt")
    expected = by_hand(watch.steps[5:], warmed(0.9, 5))
    found = flat(last["state_dict"], trained.module)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


def test_an_average_that_never_starts_changes_nothing(train):
    trained = train(callbacks=[WeightAverage(start_step=1000)])
    assert RAW_KEY not in read_checkpoint(trained.best)


def test_updates_can_be_every_few_steps(train):
    watch, average = Watch(), WeightAverage(0.9, warmup=False, every=3, start_step=2)
    trained = train(callbacks=[watch, average])
    last = read_checkpoint(trained.folder / "checkpoints" / "last.ckpt")
    seen = [watch.steps[at] for at in (2, 5, 8)]  # after steps 3, 6 and 9
    found = flat(last["state_dict"], trained.module)
    expected = by_hand(seen, [0.9**3] * 2)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


def test_batches_that_are_accumulated_make_one_update(train):
    average = WeightAverage(0.9)
    train(callbacks=[average], trainer={"accumulate_grad_batches": 2})
    assert average.updates == 6  # five batches an epoch make three steps


class HeadAlone(TextClassifier):
    def configure_model(self):
        super().configure_model()
        self.classifier.encoder.bert.requires_grad_(False)


def test_frozen_weights_are_not_copied(train):
    average = WeightAverage(0.9)
    sizes = []

    class Count(L.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            sizes.append(set(average.average))

    train(callbacks=[average, Count()], of=HeadAlone)
    assert sizes[-1] == {
        "classifier.encoder.classifier.weight",
        "classifier.encoder.classifier.bias",
    }


def test_a_resumed_run_goes_on_exactly(train):
    whole, second = Watch(), Watch()
    settings = {"model": {"dropout": {"hidden": 0.0, "attention": 0.0, "classifier": 0.0}}}
    constant = {"schedule": {"name": "constant", "warmup": 0}}
    settings["model"] |= constant
    one = train(
        callbacks=[whole, WeightAverage(0.9)], trainer={"max_epochs": 3}, folder="one", **settings
    )
    first = train(
        callbacks=[WeightAverage(0.9)], trainer={"max_epochs": 2}, folder="two", **settings
    )
    last = first.folder / "checkpoints" / "last.ckpt"
    two = train(
        callbacks=[second, WeightAverage(0.9)],
        trainer={"max_epochs": 3},
        folder="two",
        ckpt_path=last,
        **settings,
    )
    states = [read_checkpoint(run.folder / "checkpoints" / "last.ckpt") for run in (one, two)]
    for key in ("state_dict", RAW_KEY):
        assert states[0][key].keys() == states[1][key].keys()
        assert all(
            torch.equal(states[0][key][name], states[1][key][name]) for name in states[0][key]
        )
    assert not torch.equal(
        flat(states[0]["state_dict"], one.module), flat(states[0][RAW_KEY], one.module)
    )


def test_a_run_that_leaves_the_average_out_goes_on_from_the_weights_and_says_so(train, caplog):
    still = {"schedule": {"name": "constant", "warmup": 0}}
    first = train(callbacks=[WeightAverage(0.9)], trainer={"max_epochs": 1}, model=still)
    last = first.folder / "checkpoints" / "last.ckpt"
    raw = flat(read_checkpoint(last)[RAW_KEY], first.module)
    began = []

    class Begin(L.Callback):
        def on_train_start(self, trainer, pl_module):
            began.append(copy_of(pl_module.classifier))

    train(callbacks=[Begin()], trainer={"max_epochs": 2}, model=still, ckpt_path=last)
    assert torch.equal(began[0], raw)
    assert "no WeightAverage: the run goes on without it" in caplog.text


def test_a_run_that_began_without_an_average_starts_one(train):
    first = train(trainer={"max_epochs": 1})
    average = WeightAverage(0.9)
    train(
        callbacks=[average],
        trainer={"max_epochs": 2},
        ckpt_path=first.folder / "checkpoints" / "last.ckpt",
    )
    assert average.updates == 5


class Fails(L.Callback):
    def on_validation_batch_end(self, *args, **kwargs):
        raise ValueError("broken")


def test_a_validation_that_fails_leaves_the_weights_under_training(train):
    watch, average = Watch(), WeightAverage(0.9)
    seen = {}

    class Keep(L.Callback):
        def on_train_start(self, trainer, pl_module):
            seen["module"] = pl_module

    with pytest.raises(ValueError, match="broken"):
        train(callbacks=[watch, average, Keep(), Fails()])
    assert torch.equal(copy_of(seen["module"].classifier), watch.steps[-1])


class Line(L.LightningModule):
    """A weight that every step lowers by 2 ** -6; its averages need more bits than bfloat16 has."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, batch_idx):
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=2**-6)


def test_half_precision_weights_are_averaged_in_full_precision(tmp_path):
    module, average = Line(), WeightAverage(0.75, warmup=False)
    trainer = L.Trainer(
        max_steps=4,
        accelerator="cpu",
        precision="bf16-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[average, Save(tmp_path / "line.ckpt")],
    )
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    trainer.fit(module, torch.utils.data.DataLoader([torch.zeros(1)] * 4))
    saved = torch.load(tmp_path / "line.ckpt", weights_only=True)
    steps = [torch.tensor([1 - n * 2**-6]) for n in (1, 2, 3, 4)]
    expected = by_hand(steps, [0.75] * 3)
    assert saved[RAW_KEY]["weight"].dtype == torch.bfloat16
    assert saved["state_dict"]["weight"].item() == pytest.approx(expected.item(), abs=1e-7)
    assert saved["state_dict"]["weight"].bfloat16() != saved["state_dict"]["weight"]


class Save(L.Callback):
    def __init__(self, file):
        self.file = file

    def on_train_end(self, trainer, pl_module):
        trainer.save_checkpoint(self.file)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay": 1.0}, r"WeightAverage\.decay=1\.0 is outside \[0, 1\); 0\.999 is usual"),
        ({"decay": -0.1}, r"WeightAverage\.decay=-0\.1 is outside"),
        ({"decay": float("nan")}, r"WeightAverage\.decay=nan is outside"),
        ({"start_step": -1}, r"WeightAverage\.start_step=-1 is below 0; raise it\."),
        ({"start_epoch": -1}, r"WeightAverage\.start_epoch=-1 is below 0"),
        ({"every": 0}, r"WeightAverage\.every=0 is below 1"),
    ],
)
def test_wrong_settings_are_one_line(settings, message):
    with pytest.raises(ConfigError, match=message):
        WeightAverage(**settings)


def test_split_weights_are_refused(train):
    average = WeightAverage()

    class Split:
        strategy = object()

    with pytest.raises(
        ConfigError, match="needs whole weights on each device, which object splits"
    ):
        average.setup(Split(), None, "fit")
    average.setup(Split(), None, "test")


CONFIG = """
trainer:
  callbacks+:
    - class_path: WeightAverage
      init_args: {decay: 0.9}
    - watch.Compare
"""
WATCH = '''
import json
from pathlib import Path

import lightning as L
import torch

from lightning_tune.training.callbacks.weight_average import WeightAverage


class Compare(L.Callback):
    """Averages by hand on every rank, and writes how far all ranks are from it."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        found = [one.detach().flatten() for one in pl_module.parameters()]
        weights, n = torch.cat(found).double(), trainer.global_step - 1
        decay = min(0.9, (1 + n) / (10 + n)) if n else 0.0
        previous = getattr(self, "average", weights)
        self.average, self.weights = decay * previous + (1 - decay) * weights, weights

    def on_train_end(self, trainer, pl_module):
        (one,) = [c for c in trainer.callbacks if isinstance(c, WeightAverage)]
        flat = torch.cat([value.flatten() for value in one.average.values()])
        ranks = pl_module.all_gather(flat)
        if trainer.is_global_zero:
            told = {
                "ranks": len(ranks),
                "apart": float((ranks[0] - ranks[1]).abs().max()),
                "from_hand": float((ranks - self.average).abs().max()),
                "from_weights": float((ranks - self.weights).abs().max()),
            }
            Path("told.json").write_text(json.dumps(told))
'''


def test_two_ranks_hold_the_same_average_and_test_answers_with_it(work, tiny_fit, monkeypatch):
    Path("average.yaml").write_text(CONFIG)
    Path("watch.py").write_text(WATCH)
    words = [*tiny_fit, "-c", "average.yaml", "--trainer.devices=2", "--trainer.strategy=ddp"]
    command = [sys.executable, "-m", "lightning_tune", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(Path("told.json").read_text())
    assert (told["ranks"], told["apart"]) == (2, 0.0)
    assert told["from_hand"] < 1e-6
    assert told["from_weights"] > 1e-3
    (run,) = Path("runs").iterdir()
    monkeypatch.syspath_prepend(work)
    assert main(["test", f"--ckpt_path={run}/checkpoints/best.ckpt", "--data.test=test.csv"]) == 0

"""model.lr=auto: the run is the one with the number given, and the number is kept everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
import yaml

from lightning_tune.cli import main
from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.training.callbacks import find_lr
from lightning_tune.training.callbacks.find_lr import FIGURE, FindLR
from lightning_tune.training.inference import load
from lightning_tune.training.lr_range import RangeTest
from lightning_tune.training.module import TextClassifier

FAST = {"lowest": 1e-4, "highest": 1.0, "steps": 60}


class Watch(L.Callback):
    """Notes the order of the rows, the rates and the losses of a run."""

    def __init__(self):
        self.rows, self.rates, self.losses = [], [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.rows.append(batch["index"].tolist())
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])
        self.losses.append(float(outputs["loss"]))


MODEL = {"optimizer": {"layer_decay": 0.8}, "schedule": {"warmup": 0.3}}


@pytest.mark.parametrize("trainer", [{}, {"accumulate_grad_batches": 2}])
def test_the_run_is_bit_by_bit_the_one_with_the_number_given(train, capsys, trainer):
    found, given = Watch(), Watch()
    first = train(callbacks=[found, FindLR(**FAST)], model={"lr": "auto"} | MODEL, trainer=trainer)
    rate = first.module.lr
    assert 1e-4 < rate < 1.0
    second = train(callbacks=[given], model={"lr": rate} | MODEL, trainer=trainer, folder="given")
    assert (found.rows, found.rates, found.losses) == (given.rows, given.rates, given.losses)
    one, two = (
        read_checkpoint(run.folder / "checkpoints" / "last.ckpt") for run in (first, second)
    )
    assert one["hyper_parameters"]["lr"] == two["hyper_parameters"]["lr"] == rate
    assert all(torch.equal(value, two["state_dict"][k]) for k, value in one["state_dict"].items())
    states = [
        [m["exp_avg"] for m in run["optimizer_states"][0]["state"].values()] for run in (one, two)
    ]
    assert all(map(torch.equal, *states))
    assert one["optimizer_states"][0]["param_groups"] == two["optimizer_states"][0]["param_groups"]
    told = capsys.readouterr().out
    assert f"learning rate    {rate:g}: " in told
    assert (first.folder / FIGURE).read_bytes().startswith(b"\x89PNG")
    assert load(first.best).module.lr == rate


def test_a_number_is_not_searched_for(train, monkeypatch):
    monkeypatch.setattr(FindLR, "_try", None)
    assert not (train().folder / FIGURE).exists()


def test_a_resumed_run_keeps_its_number_and_cannot_find_another(train):
    first = train(callbacks=[FindLR(**FAST)], model={"lr": "auto"})
    last = first.folder / "checkpoints" / "last.ckpt"
    with pytest.raises(ConfigError, match=r"found before the first step, and this run goes on"):
        train(callbacks=[FindLR(**FAST)], model={"lr": "auto"}, ckpt_path=last)
    again = TextClassifier.load_from_checkpoint(last, weights_only=True)
    assert again.lr == first.module.lr


def test_a_trial_run_searches_and_draws_nothing(train):
    trained = train(
        callbacks=[FindLR(**FAST)], model={"lr": "auto"}, trainer={"fast_dev_run": True}
    )
    assert isinstance(trained.module.lr, float)
    assert not trained.folder.exists()


def test_a_loss_that_never_falls_is_told(train, monkeypatch):
    monkeypatch.setattr(find_lr, "measure", lambda step, rates: RangeTest((), (), (), None))
    with pytest.raises(ConfigError) as caught:
        train(callbacks=[FindLR(**FAST)], model={"lr": "auto"})
    assert str(caught.value) == (
        "model.lr=auto found no rate: in 60 trial steps from 0.0001 to 1 the loss never fell "
        "clearly; give a number, 2e-5 to 1e-4 are usual."
    )


def test_the_callback_is_needed(train):
    trained = train()
    module = TextClassifier(trained.module.backbone, trained.module.label_set, lr="auto")
    plain = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **plain)
    with pytest.raises(ConfigError, match="by the callback FindLR among default_callbacks"):
        trainer.fit(module, datamodule=trained.data)


def test_a_data_module_is_needed(train):
    trained = train()
    module = TextClassifier(trained.module.backbone, trained.module.label_set, lr="auto")
    plain = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", enable_model_summary=False, callbacks=FindLR(), **plain
    )
    with pytest.raises(ConfigError, match="tries batches of a data module"):
        trainer.fit(module, trained.data.train_dataloader(), trained.data.val_dataloader())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lowest": 0.0}, r"FindLR\.lowest=0\.0 and highest=0\.1 are no rising rates"),
        ({"lowest": 1.0}, r"FindLR\.lowest=1\.0 and highest=0\.1 are no rising rates"),
        ({"steps": 9}, r"FindLR\.steps=9 is below 10; 150 are usual\."),
    ],
)
def test_wrong_settings_are_one_line(settings, message):
    with pytest.raises(ConfigError, match=message):
        FindLR(**settings)


CONFIG = """
model:
  lr: auto
trainer:
  callbacks+:
    - class_path: FindLR
      init_args: {lowest: 1.0e-4, highest: 1.0, steps: 60}
"""


def without_rate(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith("--model.lr")]


def test_the_command_line_keeps_the_number(work, tiny_fit, capsys):
    Path("auto.yaml").write_text(CONFIG)
    words = [*without_rate(tiny_fit), "-c", "auto.yaml"]
    assert main(words) == 0
    (run,) = Path("runs").iterdir()
    config = yaml.safe_load((run / "config.yaml").read_text())
    rate = read_checkpoint(run / "checkpoints" / "last.ckpt")["hyper_parameters"]["lr"]
    assert config["model"]["init_args"]["lr"] == rate
    assert (run / FIGURE).is_file()
    assert json.loads((run / "report.json").read_text())["settings"]["lr"] == rate

    assert main(["fit", "--ckpt_path=last", "--trainer.max_epochs=3"]) == 0
    resumed = read_checkpoint(run / "checkpoints" / "last.ckpt")
    assert (resumed["epoch"], resumed["hyper_parameters"]["lr"]) == (2, rate)
    capsys.readouterr()
    assert main(["fit", "--ckpt_path=last", "--trainer.max_epochs=4", "--model.lr=auto"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: model.lr=auto is found before the first step")
    assert message.count("\n") == 1


def test_two_ranks_take_the_same_number(work, tiny_fit):
    Path("auto.yaml").write_text(CONFIG)
    words = [*without_rate(tiny_fit), "-c", "auto.yaml"]
    words += ["--trainer.devices=2", "--trainer.strategy=ddp"]
    command = [sys.executable, "-m", "lightning_tune", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("learning rate    ") == 1
    (run,) = Path("runs").iterdir()
    rate = read_checkpoint(run / "checkpoints" / "last.ckpt")["hyper_parameters"]["lr"]
    again = [*without_rate(tiny_fit), f"--model.lr={rate}", *words[-2:]]
    command = [sys.executable, "-m", "lightning_tune", *again, "--trainer.default_root_dir=given"]
    subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    (given,) = Path("given").iterdir()
    one, two = (read_checkpoint(folder / "checkpoints" / "last.ckpt") for folder in (run, given))
    assert all(torch.equal(value, two["state_dict"][k]) for k, value in one["state_dict"].items())

"""The LightningModule in real runs: dropout, losses, metrics, clipping, best weights, resume."""

from __future__ import annotations

import json
import math

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint
from lightning_tune.schema import LabelSet
from lightning_tune.training.losses import LossSettings
from lightning_tune.training.metrics import MetricSpec
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.optim import OptimizerSettings, ScheduleSettings

BINARY = LabelSet("binary", ("bad", "good"), "good")


class Watch(L.Callback):
    """Notes in which mode dropout is at every step, and what a step's loss is."""

    def __init__(self):
        self.training, self.validating, self.losses = [], [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.training.append(dropout_modes(pl_module))
        self.losses.append(float(outputs["loss"]))

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self.validating.append(dropout_modes(pl_module))


def dropout_modes(module) -> set[bool]:
    layers = [layer for layer in module.classifier.modules() if isinstance(layer, nn.Dropout)]
    assert layers
    assert all(layer.p > 0 for layer in layers)
    return {layer.training for layer in layers}


def test_dropout_is_on_in_every_step_of_training_and_off_in_every_validation(train):
    watch = Watch()
    trained = train(callbacks=[watch], trainer={"max_epochs": 2, "val_check_interval": 0.5})
    assert watch.training == [{True}] * trained.trainer.global_step
    assert watch.validating == [{False}] * 8


def test_dropout_changes_the_answers_of_training_and_not_of_evaluation(train):
    trained = train()
    batch = next(iter(trained.data.val_dataloader()))
    trained.module.train()
    assert not torch.equal(trained.module(batch), trained.module(batch))
    trained.module.eval()
    assert torch.equal(trained.module(batch), trained.module(batch))


def test_dropout_settings_reach_the_encoder(train):
    watch = Watch()
    trained = train(callbacks=[watch], model={"dropout": {"hidden": 0.3, "attention": 0.2}})
    config = trained.module.classifier.encoder.config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.3, 0.2)
    assert watch.training[0] == {True}


class Scripted(TextClassifier):
    """Logs a main metric that the test wrote, one value an epoch, instead of the measured one."""

    script: tuple[float, ...] = ()

    def on_validation_epoch_end(self):
        value = self.script[min(self.current_epoch, len(self.script) - 1)]
        self.log(self.monitor, torch.tensor(value))
        self.val_metrics.reset()


@pytest.mark.parametrize(
    ("kind", "metric", "script", "best", "epochs"),
    [
        ("binary", None, (0.5, 0.8, 0.7, 0.7, 0.6, 0.9), 1, 5),
        ("multiclass", "mcc", (0.1, 0.2, 0.3, 0.2, 0.2, 0.2, 0.9), 2, 6),
        ("multilabel", None, (0.9, 0.8, 0.7, 0.6, 1.0), 0, 4),
        ("regression", None, (0.1, 0.5, 0.4, 0.3, 0.2, 0.9), 1, 5),
        ("regression", "mae", (0.5, 0.2, 0.3, 0.4, 0.5, 0.1), 1, 5),
        ("binary", "loss", (0.9, 0.5, 0.6, 0.7, 0.8, 0.1), 1, 5),
    ],
)
def test_training_stops_and_the_best_epoch_is_chosen_in_the_direction_of_the_metric(
    train, kind, metric, script, best, epochs
):
    trained = train(
        kind,
        of=type("Scripted", (Scripted,), {"script": script}),
        model={"main_metric": metric, "lr": 1e-4},
        trainer={"max_epochs": 20},
    )
    assert trained.trainer.current_epoch == epochs
    assert read_checkpoint(trained.best)["epoch"] == best


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key:UserWarning")
def test_a_run_may_end_before_its_first_validation(train):
    trained = train(trainer={"max_steps": 2})
    assert trained.trainer.global_step == 2
    assert (trained.folder / "checkpoints" / "last.ckpt").is_file()


def test_early_stopping_counts_on_after_a_resume(train):
    of = type("Scripted", (Scripted,), {"script": (0.8, 0.7, 0.6, 0.5, 0.4)})
    first = train(of=of, trainer={"max_epochs": 2})
    assert first.trainer.current_epoch == 2
    last = first.folder / "checkpoints" / "last.ckpt"
    second = train(of=of, trainer={"max_epochs": 20}, ckpt_path=last)
    assert second.trainer.current_epoch == 4
    stopping = next(c for c in second.trainer.callbacks if isinstance(c, EarlyStopping))
    assert float(stopping.best_score) == pytest.approx(0.8)
    assert read_checkpoint(second.best)["epoch"] == 0


class Spoil(L.Callback):
    """Turns the head's answers around after the first epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch > 0:
            with torch.no_grad():
                pl_module.classifier.encoder.classifier.weight.mul_(-100)


def test_the_best_weights_are_in_the_model_after_a_fit(train):
    trained = train(
        callbacks=[Spoil()],
        of=type("Scripted", (Scripted,), {"script": (0.9, 0.1, 0.1)}),
        trainer={"max_epochs": 3},
    )
    best = read_checkpoint(trained.best)
    last = read_checkpoint(trained.folder / "checkpoints" / "last.ckpt")
    name = "classifier.encoder.classifier.weight"
    assert (best["epoch"], last["epoch"]) == (0, 2)
    assert not torch.equal(best["state_dict"][name], last["state_dict"][name])
    held = trained.module.state_dict()
    assert all(torch.equal(held[key], value) for key, value in best["state_dict"].items())


def test_the_trainer_hands_back_what_it_measured_also_without_a_logger(train):
    trained = train()
    assert trained.trainer.loggers == []
    (found,) = trained.trainer.validate(trained.module, datamodule=trained.data, verbose=False)
    assert {"val/loss", "val/accuracy", "val/f1"} <= found.keys()


def test_sample_weights_reach_the_loss(train):
    """Rows of weight 0 do not matter, whatever their labels."""
    trained = train(data={"weight": "weight"})
    batch = dict(next(iter(trained.data.train_dataloader())))
    assert set(batch["weights"].tolist()) == {0.0, 1.0}
    kept = batch["weights"] > 0
    logits = trained.module.eval()(batch).detach()
    expected = functional.cross_entropy(logits[kept], batch["labels"][kept])
    loss, _ = trained.module.objective(trained.module.classifier, batch, trained.module.loss)
    assert loss.item() == pytest.approx(float(expected), rel=1e-5)
    assert loss.item() != pytest.approx(float(functional.cross_entropy(logits, batch["labels"])))


def test_automatic_class_weights_are_those_of_the_training_rows(train, write_task):
    file = write_task("binary")
    rows = file.read_text().splitlines()
    few = [row for number, row in enumerate(rows) if ",bad," not in row or number % 3 == 0]
    file.write_text("\n".join([*few, ""]))
    trained = train(file=file, model={"loss": LossSettings(class_weights="auto")})
    split = trained.data.train_data
    labels = [split[row]["label"] for row in range(len(split))]
    expected = compute_class_weight("balanced", classes=np.array(["bad", "good"]), y=labels)
    assert trained.module.loss.class_weights.tolist() == pytest.approx(expected.tolist())
    assert expected[0] > expected[1]


def still(train, kind: str, **more):
    """Train with a rate that moves nothing."""
    return train(kind, model={"lr": 1e-30}, trainer={"max_epochs": 1}, **more)


def test_a_new_head_starts_at_the_base_rates_of_train(train):
    trained = still(train, "multilabel")
    targets = [
        trained.data.train_data[row]["target"] for row in range(len(trained.data.train_data))
    ]
    shares = np.mean(targets, axis=0)
    bias = trained.module.classifier.encoder.classifier.bias.detach()
    assert bias.sigmoid().tolist() == pytest.approx(shares.tolist(), rel=1e-5)
    numbers = still(train, "regression", folder="numbers")
    split = numbers.data.train_data
    mean = np.mean([float(split[row]["label"]) for row in range(len(split))])
    assert numbers.module.classifier.encoder.classifier.bias.item() == pytest.approx(mean)


def test_a_tuned_head_goes_on_from_where_it_was(train):
    first = train("multilabel")
    tuned = first.module.classifier.encoder.classifier.bias.detach().clone()
    again = still(train, "multilabel", of=from_checkpoint(first.best), folder="again")
    stored = torch.load(first.best, weights_only=True)["state_dict"]
    bias = again.module.classifier.encoder.classifier.bias.detach()
    assert torch.equal(bias, stored["classifier.encoder.classifier.bias"])
    assert tuned.count_nonzero() == len(tuned)


def from_checkpoint(path):
    """Return a module that starts from a checkpoint instead of the backbone it is given."""
    return lambda backbone, labels, **settings: TextClassifier(str(path), labels, **settings)


def test_automatic_class_weights_need_counts(train):
    trained = train()
    loss = LossSettings(class_weights="auto")
    module = TextClassifier(trained.module.backbone, trained.module.label_set, loss=loss)
    with pytest.raises(ConfigError, match="needs the counts of a TextDataModule"):
        fit_alone(module, trained)


def fit_alone(module, trained) -> L.Trainer:
    """Fit on another run's batches, without a data module."""
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, trained.data.train_dataloader(), trained.data.val_dataloader())
    return trainer


class Gradients(L.Callback):
    """Notes norm and greatest value of all gradients, before clipping and after the step."""

    def __init__(self):
        self.before, self.after, self.largest = [], [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.before.append(gradients(pl_module).norm().item())

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.after.append(gradients(pl_module).norm().item())
        self.largest.append(gradients(pl_module).abs().max().item())


def gradients(module) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_gradients_are_clipped_also_under_bf16_with_a_fused_optimizer(train, precision):
    seen = Gradients()
    settings = {"precision": precision, "gradient_clip_val": 0.01, "max_epochs": 1}
    trained = train(callbacks=[seen], trainer=settings)
    assert trained.trainer.optimizers[0].defaults["fused"]
    assert min(seen.before) > 0.02
    assert seen.after == pytest.approx([0.01] * len(seen.after), rel=1e-3)


def test_gradients_can_be_clipped_by_value(train):
    seen = Gradients()
    settings = {"gradient_clip_val": 1e-3, "gradient_clip_algorithm": "value", "max_epochs": 1}
    train(callbacks=[seen], trainer=settings | {"precision": "bf16-mixed"})
    assert seen.largest == pytest.approx([1e-3] * len(seen.largest))


def test_without_a_limit_nothing_is_clipped(train):
    seen = Gradients()
    train(callbacks=[seen], trainer={"max_epochs": 1, "precision": "bf16-mixed"})
    assert seen.after == seen.before


def test_more_tokens_than_positions_are_refused(train):
    with pytest.raises(ConfigError) as caught:
        train(data={"max_length": 65})
    message = str(caught.value)
    assert message.startswith("data.max_length=65 exceeds the 64 positions of ")
    assert message.endswith(
        "lower it to 64 or less, or read long texts with data.truncation=windows."
    )


def test_exactly_as_many_tokens_as_positions_are_fine(train):
    assert train(data={"max_length": 64}).best.is_file()


@pytest.mark.parametrize("as_dictionary", [False, True])
def test_a_metric_of_the_users_own_is_measured_in_every_validation(train, as_dictionary):
    spec = MetricSpec("torchmetrics.classification.BinaryF1Score", {"threshold": 0.0})
    given = {"class_path": spec.class_path, "init_args": spec.init_args} if as_dictionary else spec
    trained = train(model={"metrics": {"mine": given}})
    measured = trained.trainer.callback_metrics
    assert 0 < float(measured["val/mine"]) < 1  # all are called positive: precision is the share
    assert read_checkpoint(trained.best)["hyper_parameters"]["metrics"]["mine"] == {
        "class_path": spec.class_path,
        "init_args": spec.init_args,
    }


def test_what_a_checkpoint_holds_is_plain(train):
    trained = train("multiclass", model={"optimizer": OptimizerSettings(betas=(0.8, 0.9))})
    checkpoint = torch.load(trained.best, weights_only=True)
    assert checkpoint["hyper_parameters"]["optimizer"]["betas"] == [0.8, 0.9]
    assert checkpoint[PACKAGE_KEY]["labels"]["names"] == ["bad", "good", "odd"]
    json.dumps(checkpoint["hyper_parameters"])
    json.dumps(checkpoint[PACKAGE_KEY])


def test_lightning_itself_reloads_a_checkpoint(train):
    trained = train()
    again = TextClassifier.load_from_checkpoint(trained.best, weights_only=True)
    batch = next(iter(trained.data.val_dataloader()))
    assert torch.equal(again.eval()(batch), trained.module.eval()(batch))


def test_a_checkpoint_of_another_label_set_is_not_resumed(train):
    trained = train()
    with pytest.raises(
        CheckpointError, match=r"answers \['bad', 'good'\], this run \['bad', 'good', 'odd'\]"
    ):
        train("multiclass", ckpt_path=trained.best)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop(PACKAGE_KEY), "was not written by lightning_tune"),
        (lambda c: c[PACKAGE_KEY].update(format=2), "has format 2, this version reads up to 1"),
    ],
)
def test_a_foreign_or_newer_checkpoint_is_refused(change, message):
    module = TextClassifier("none", BINARY)
    checkpoint = {PACKAGE_KEY: {"format": 1, "labels": BINARY.to_dict()}, "hyper_parameters": {}}
    change(checkpoint)
    with pytest.raises(CheckpointError, match=message):
        module.on_load_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": None}, "labels is missing; give the label set of your data module"),
        ({"lr": 0.0}, "model.lr=0.0 is not above 0"),
        ({"lr": math.nan}, "model.lr=nan is not above 0"),
        ({"optimizer": 3}, "OptimizerSettings expected, got 3."),
        ({"schedule": {"nmae": "linear"}}, "ScheduleSettings: .*nmae.*; see its docstring"),
        ({"architecture": "[1"}, "model.architecture is not JSON .*; a checkpoint fills it"),
        ({"architecture": "[1]"}, r"model.architecture='\[1\]' is no encoder config"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TextClassifier("none", **({"labels": BINARY} | settings)).configure_model()


def test_settings_are_taken_as_plain_values_too():
    module = TextClassifier("none", BINARY.to_dict(), schedule={"name": "constant"})
    assert module.label_set == BINARY
    assert module.schedule_settings == ScheduleSettings("constant")


def test_a_run_without_a_data_module_trains_and_says_what_its_checkpoint_lacks(train, tmp_path):
    trained = train()
    module = TextClassifier(trained.module.backbone, trained.module.label_set, lr=0.01)
    trainer = fit_alone(module, trained)
    trainer.save_checkpoint(tmp_path / "bare.ckpt")
    assert "tokenizer" not in read_checkpoint(tmp_path / "bare.ckpt")[PACKAGE_KEY]
    assert module.travelling == {}

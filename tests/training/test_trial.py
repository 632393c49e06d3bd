"""Steps on trial: the same as the training's own, and afterwards nothing has happened."""

from __future__ import annotations

import hashlib
import random

import lightning as L
import numpy as np
import pytest
import torch

from lightning_tune.training.module import TextClassifier
from lightning_tune.training.trial import trial_steps


def digest(module, *, with_random: bool = True) -> str:
    """Of weights and gradients, and of random states unless told otherwise."""
    seen = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        seen.update(name.encode() + value.numpy().tobytes())
    for weight in module.parameters():
        seen.update(b"-" if weight.grad is None else weight.grad.numpy().tobytes())
    if not with_random:
        return seen.hexdigest()
    seen.update(torch.get_rng_state().numpy().tobytes())
    seen.update(repr((random.getstate(), np.random.get_state())).encode())
    return seen.hexdigest()


class During(L.Callback):
    """Does something in on_fit_start."""

    def __init__(self, act):
        self.act = act

    def on_fit_start(self, trainer, pl_module):
        self.act(trainer, pl_module)


def batches(trainer, count):
    loader = trainer.datamodule.train_dataloader()
    return [batch for _, batch in zip(range(count), loader, strict=False)]


SETTINGS = [
    {},
    {"trainer": {"precision": "bf16-mixed"}},
    {"trainer": {"gradient_clip_val": 0.1}},
    {"trainer": {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_everything_is_as_it_was(train, settings):
    digests = []

    def act(trainer, module):
        module.classifier.eval()
        digests.append(digest(module))
        with trial_steps(trainer, module) as step:
            for batch in batches(trainer, 3):
                step([batch], 0.1)
            random.random()
            np.random.rand()
            digests.append(digest(module))
        digests.append(digest(module))
        assert not any(part.training for part in module.classifier.modules())

    train(callbacks=[During(act)], **settings)
    before, inside, after = digests
    assert before == after != inside


def test_the_weights_are_as_they_were_after_an_error_too(train):
    digests = []

    def fail(trainer, module):
        with trial_steps(trainer, module) as step:
            step(batches(trainer, 1), 0.1)
            raise ValueError("broken")

    def act(trainer, module):
        digests.append(digest(module, with_random=False))
        with pytest.raises(ValueError, match="broken"):
            fail(trainer, module)
        digests.append(digest(module, with_random=False))

    train(callbacks=[During(act)])
    assert digests[0] == digests[1]


class Weights(L.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append({k: v.detach().clone() for k, v in pl_module.state_dict().items()})


@pytest.mark.parametrize("settings", SETTINGS)
def test_steps_on_trial_are_those_of_the_training(train, settings):
    """Dropout off, a constant rate: three trial steps and the first three of the epoch."""
    weights, tried = Weights(), []

    def act(trainer, module):
        with trial_steps(trainer, module) as step:
            for batch in batches(trainer, 3):
                step([batch], 0.01)
            tried.append({k: v.detach().clone() for k, v in module.state_dict().items()})

    model = {
        "dropout": {"hidden": 0.0, "attention": 0.0, "classifier": 0.0},
        "schedule": {"name": "constant", "warmup": 0},
        "optimizer": {"layer_decay": 0.5},
    }
    train(callbacks=[weights, During(act)], model=model, **settings)
    expected = weights.seen[2]
    assert all(torch.equal(tried[0][name], value) for name, value in expected.items())


def test_batches_given_together_make_one_step_of_their_mean_loss(train):
    """Under plain SGD two halves make the step of the whole batch."""
    states, losses = [], []

    def act(trainer, module):
        (batch,) = batches(trainer, 1)
        half = len(batch["index"]) // 2
        parts = [{name: value[at : at + half] for name, value in batch.items()} for at in (0, half)]
        for given in ([batch], parts):
            with trial_steps(trainer, module) as step:
                losses.append(step(given, 0.1))
                states.append({k: v.detach().clone() for k, v in module.state_dict().items()})

    model = {
        "dropout": {"hidden": 0.0, "attention": 0.0, "classifier": 0.0},
        "optimizer": {"name": "sgd", "momentum": 0.0, "weight_decay": 0.0},
    }
    train(callbacks=[During(act)], model=model)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-6)


class CountingScaler:
    """Stands for fp16's gradient scaler, which a CPU run has no use for."""

    def __init__(self):
        self.calls = []

    def scale(self, loss):
        self.calls.append("scale")
        return loss * 1024

    def unscale_(self, optimizer):
        self.calls.append("unscale")
        for group in optimizer.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.grad /= 1024

    def step(self, optimizer):
        self.calls.append("step")
        optimizer.step()

    def update(self):
        self.calls.append("update")

    def __deepcopy__(self, memo):
        self.copy = CountingScaler()
        return self.copy


def test_scaled_gradients_are_unscaled_before_the_step_by_a_scaler_of_their_own(train):
    trained = train(trainer={"max_epochs": 1})
    scaler = CountingScaler()
    trained.trainer.precision_plugin.scaler = scaler
    (batch,) = batches(trained.trainer, 1)
    module: TextClassifier = trained.module
    before = {k: v.detach().clone() for k, v in module.state_dict().items()}
    with trial_steps(trained.trainer, module) as step:
        step([batch], 0.1)
        assert not torch.equal(
            module.classifier.encoder.classifier.weight,
            before["classifier.encoder.classifier.weight"],
        )
    assert scaler.calls == []
    assert scaler.copy.calls == ["scale", "unscale", "step", "update"]

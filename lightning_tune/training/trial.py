"""Optimizer steps on trial: real ones, after which everything is as it was before."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from lightning_tune.models.classifier import Batch
from lightning_tune.training.clipping import clip_step
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.objectives import Plain
from lightning_tune.training.optim import build_optimizer

Step = Callable[[Sequence[Batch], float], float]
"""Make one optimizer step on some batches at a learning rate; return their mean loss."""


@contextmanager
def trial_steps(trainer: L.Trainer, module: TextClassifier) -> Iterator[Step]:
    """Yield a function that makes one step of the training to come, under its plain loss.

    Precision, clipping, optimizer and layer-wise rates are the training's, the schedule is not
    followed. Afterwards weights, gradients and random states are as they were, bit by bit; random
    states after an error are not.
    """
    kept = {name: value.detach().clone() for name, value in module.classifier.state_dict().items()}
    training = [part.training for part in module.classifier.modules()]
    with isolate_rng():
        module.classifier.train()
        try:
            yield _Trial(trainer, module).step
        finally:
            module.classifier.load_state_dict(kept)
            for weight in module.classifier.parameters():
                weight.grad = None
            for part, mode in zip(module.classifier.modules(), training, strict=True):
                part.training = mode


class _Trial:
    def __init__(self, trainer: L.Trainer, module: TextClassifier) -> None:
        self._trainer = trainer
        self._module = module
        self._plugin = trainer.precision_plugin
        self._scaler = copy.deepcopy(getattr(self._plugin, "scaler", None))
        self._optimizer = build_optimizer(
            module.classifier.encoder, 1.0, module.optimizer_settings, fused=self._scaler is None
        )

    def step(self, batches: Sequence[Batch], rate: float) -> float:
        """Accumulate the gradients of the batches, clip, and step."""
        self._optimizer.zero_grad()
        losses = [self._backward(batch, 1 / len(batches)) for batch in batches]
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        if self._scaler is not None:
            self._scaler.unscale_(self._optimizer)
        clip_step(
            self._module,
            self._module.classifier.encoder.get_input_embeddings(),
            self._optimizer,
            self._trainer.gradient_clip_val,
            self._trainer.gradient_clip_algorithm,
        )
        if self._scaler is not None:
            self._scaler.step(self._optimizer)
            self._scaler.update()
        else:
            self._optimizer.step()
        return float(torch.stack(losses).sum())

    def _backward(self, batch: Batch, share: float) -> Tensor:
        """Return a batch's share of the loss, detached; add its gradients to what is there."""
        on_device = self._trainer.strategy.batch_to_device(batch)
        with self._plugin.train_step_context():
            loss, _ = Plain()(self._module.classifier, on_device, self._module.loss)
        loss = loss * share
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()
        return loss.detach()

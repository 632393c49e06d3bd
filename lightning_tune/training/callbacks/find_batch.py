"""Find the token budget of a batch before training: trial steps of growing size, measured."""

from __future__ import annotations

import gc
import logging
import math
import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import Any

import lightning as L
import numpy as np

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Batch
from lightning_tune.training import memory
from lightning_tune.training.batch_search import Found, Trial, search
from lightning_tune.training.failures import is_out_of_memory
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.strategies import require_whole_weights
from lightning_tune.training.trial import Step, trial_steps

logger = logging.getLogger(__name__)

_LOWEST = 512  # tokens of the first trial, or what the longest example needs
_TIMED = 3  # batches that are timed at least …
_TIMED_TOKENS = 4096  # … and their tokens
_FEW_STEPS = 100  # optimizer steps of a run that are told to be few
_GIGABYTE = 1e9


class FindBatch(L.Callback):
    """Where `data.batch_tokens` is auto, put the budget in its place that this machine takes best.

    Batches of growing size are trained on trial: one of the longest example over and over, for the
    memory, then a few real ones, for the speed. Weights and random states are then as they were.
    With `data.effective_batch` the budget is made such that a whole number of batches comes
    nearest to it. On several devices the first rank tries, and all take its number.

    Raises:
        ConfigError: if the run is a resumed one, or not even the longest example fits.
    """

    def __init__(self) -> None:
        self._has_found = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find the budget, tell it, and let the trainer accumulate by it."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if stage != "fit" or getattr(data, "batch_tokens", None) != "auto":
            return
        require_whole_weights(trainer, "data.batch_tokens=auto")
        if not isinstance(pl_module, TextClassifier) or not isinstance(data, TextDataModule):
            raise ConfigError(
                "data.batch_tokens=auto needs a TextClassifier and a TextDataModule; give a number."
            )
        pl_module.configure_model()
        found = self._find(trainer, pl_module, data) if trainer.is_global_zero else (0, "")
        self._has_found = True
        tokens, line = trainer.strategy.broadcast(found)
        data.use_batch_tokens(tokens)
        data.accumulate(trainer)
        if trainer.is_global_zero:
            print(line, flush=True)
            _tell_few_steps(trainer, data, tokens)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse a run that goes on: its batches are what they are."""
        if trainer.state.fn == "fit" and self._has_found:
            raise ConfigError(
                "data.batch_tokens=auto is found before the first step, and this run goes on from "
                f"{trainer.ckpt_path}; leave it out to keep the number that was found."
            )

    def _find(
        self, trainer: L.Trainer, module: TextClassifier, data: TextDataModule
    ) -> tuple[int, str]:
        """Return the budget and the line that tells it."""
        device = trainer.strategy.root_device
        module.to(device)
        limit = memory.limit(device, trainer.num_devices)
        sizes = _Sizes(data, trainer.world_size)
        with trial_steps(trainer, module) as step:
            found = search(
                lambda tokens: _try(trainer, data, sizes, step, tokens),
                max(_LOWEST, sizes.longest),
                sizes.most,
                limit,
            )
        gc.collect()
        if found is None:
            raise ConfigError(
                f"data.batch_tokens=auto: not even the longest example, of {sizes.longest} tokens, "
                "fits the memory; lower data.max_length, or set model.gradient_checkpointing."
            )
        tokens = found.trial.tokens
        if data.effective_batch is not None:
            tokens = _for_effective(data, trainer, data.effective_batch, tokens)
        return tokens, _line(data, trainer, found, tokens)


class _Sizes:
    """What the training examples need: tokens of the longest, and of all that a batch may hold."""

    def __init__(self, data: TextDataModule, ranks: int) -> None:
        train: Any = data.train_data  # set up before any callback
        tokens = np.asarray(train.longest) * np.asarray(train.windows)
        self.row = int(tokens.argmax())
        self.longest = int(tokens[self.row])
        examples = len(tokens)
        if data.effective_batch is not None:  # a batch never holds more
            examples = min(examples, -(-data.effective_batch // ranks))
        self.most = examples * self.longest


def _try(
    trainer: L.Trainer, data: TextDataModule, sizes: _Sizes, step: Step, tokens: int
) -> Trial | None:
    """Take steps with a budget; None where memory runs out."""
    device = trainer.strategy.root_device
    memory.forget_peak(device)
    batches = _batches(data, sizes, tokens)
    try:
        step([next(batches)], 0.0)
        started, real = time.perf_counter(), 0
        for batch in batches:
            step([batch], 0.0)
            real += int(batch["attention_mask"].sum())
    except RuntimeError as err:
        if not is_out_of_memory(err):
            raise
        return None
    return Trial(tokens, real / (time.perf_counter() - started), memory.peak(device))


def _batches(data: TextDataModule, sizes: _Sizes, tokens: int) -> Iterator[Batch]:
    """Yield a batch of the longest example over and over, then real ones."""
    data.use_batch_tokens(tokens)
    loader: Any = data.train_dataloader()
    data.use_batch_tokens("auto")
    yield loader.dataset[[sizes.row] * max(1, tokens // sizes.longest)]
    for rows in islice(loader.sampler, max(_TIMED, _TIMED_TOKENS // tokens)):
        yield loader.dataset[rows]


def _for_effective(data: TextDataModule, trainer: L.Trainer, effective: int, tokens: int) -> int:
    """Return the budget up to `tokens` with which a whole number of batches comes nearest."""
    examples = len(data.train_data or ())
    batches = math.ceil(effective * data.batches_of_an_epoch(tokens, trainer) / examples)
    wanted = examples * batches / effective
    return bisect_left(
        range(tokens),
        -wanted,
        lo=1,
        key=lambda budget: -data.batches_of_an_epoch(budget, trainer),
    )


def _line(data: TextDataModule, trainer: L.Trainer, found: Found, tokens: int) -> str:
    batches = data.batches_of_an_epoch(tokens, trainer)
    mean = len(data.train_data or ()) / (batches * trainer.world_size)
    peak = found.trial.peak
    took = "" if peak is None else f", {peak / _GIGABYTE:.1f} GB in use at most"
    more = {
        "memory": "more does not fit",
        "speed": "more gains no speed",
        "data": "no batch would be larger",
    }
    tried = f"{found.tried[0].tokens} to {found.tried[-1].tokens} tried"
    return (
        f"batch tokens     {tokens}: {mean:.1f} examples a batch, {batches} batches an epoch"
        f"{took}; {tried}, {more[found.reason]}"
    )


def _tell_few_steps(trainer: L.Trainer, data: TextDataModule, tokens: int) -> None:
    epochs = trainer.max_epochs
    if data.effective_batch is not None or epochs is None or epochs < 0:
        return
    steps = data.batches_of_an_epoch(tokens, trainer) * epochs // trainer.accumulate_grad_batches
    if steps < _FEW_STEPS:
        logger.warning(
            "data.batch_tokens=%d makes the whole run %d optimizer steps, which is few; "
            "data.effective_batch states how many examples a step is to see.",
            tokens,
            steps,
        )

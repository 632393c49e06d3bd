"""The average of the best epochs' weights, kept where it is better than the best epoch.

Izmailov et al. 2018, https://arxiv.org/abs/1803.05407, average the weights along one run; Wortsman
et al. 2022, https://arxiv.org/abs/2203.05482, average those of several runs, by validation.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor

from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.training import metrics as task_metrics
from lightning_tune.training.callbacks.checkpointing import BestCheckpoint
from lightning_tune.training.callbacks.last_checkpoint import LastCheckpoint
from lightning_tune.training.callbacks.weight_average import RAW_KEY, WeightAverage
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.resuming import EPOCH_DONE
from lightning_tune.training.strategies import require_whole_weights

logger = logging.getLogger(__name__)

AVERAGED_KEY = "averaged"
"""Where best.ckpt says that it is an average: its epochs, and its value of the main metric."""


@dataclass(frozen=True)
class Candidate:
    """The weights of one validation.

    Args:
        file: Name of the file that keeps them, beside best.ckpt.
        epoch: The epoch, from 1.
        value: The main metric.
    """

    file: str
    epoch: int
    value: float


class AverageBest(L.Callback):
    """After training, average the weights of the best validations, and keep what is better.

    The average is measured on the validation split. If its main metric is better than that of the
    best epoch it becomes best.ckpt; if not, best.ckpt stays. Either way a line says both values.
    Until then the weights lie beside best.ckpt, in files that are removed at the end.

    Args:
        k: How many of the best validations to average, at least 1.

    Raises:
        ConfigError: if k is out of its range, nothing writes best.ckpt, or a device has no whole
            weights.
    """

    def __init__(self, k: int = 3) -> None:
        if k < 1:
            raise ConfigError(f"AverageBest.k={k} is below 1; 3 is usual.")
        self.k = k
        self.kept: list[Candidate] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Start anew with each fit; refuse what cannot be averaged or compared."""
        if stage != "fit" or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self.kept = []
        require_whole_weights(trainer, "AverageBest")
        if _best_of(trainer) is None:
            raise ConfigError(
                "AverageBest compares with best.ckpt, which nothing writes; leave "
                "trainer.enable_checkpointing on and BestCheckpoint among the callbacks."
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Go on with the files that a stopped run left, and with the best that it had."""
        best = _best_of(trainer)
        if best is None:
            return
        folder = Path(str(best.dirpath))
        missing = [one.file for one in self.kept if not (folder / one.file).is_file()]
        if missing:
            logger.warning(
                "AverageBest: %s is gone; it is averaged no more.", ", ".join(map(str, missing))
            )
        self.kept = [one for one in self.kept if one.file not in missing]
        _adopt_average(best)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remove files that are no longer among the best, once last.ckpt names none of them."""
        callbacks = trainer.checkpoint_callbacks
        last = next((one for one in callbacks if isinstance(one, LastCheckpoint)), None)
        if last is None or last.saved_at == (trainer.global_step, EPOCH_DONE):
            self._remove_others(trainer, {one.file for one in self.kept})

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the weights of this validation if it is among the best."""
        best = _best_of(trainer)
        unwanted = trainer.state.fn != "fit" or trainer.sanity_checking
        if best is None or unwanted or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        value = float(trainer.callback_metrics[str(best.monitor)])
        new = Candidate(f"candidate-{trainer.global_step}.ckpt", trainer.current_epoch + 1, value)
        self.kept = best_of([*self.kept, new], self.k, best.mode)
        if new in self.kept:
            weights = {"state_dict": _answering_weights(trainer, pl_module)}
            trainer.strategy.save_checkpoint(weights, Path(str(best.dirpath)) / new.file)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Average, measure, keep what is better, and remove the files."""
        best = _best_of(trainer)
        if best is None or not self.kept or trainer.received_sigterm:
            return
        if isinstance(pl_module, TextClassifier):
            best.write(trainer)
            trainer.strategy.barrier()  # the first rank's files are whole
            self._compare(trainer, pl_module, best)
        trainer.strategy.barrier()  # no rank reads any more
        self._remove_others(trainer, set())
        self.kept = []

    def _compare(self, trainer: L.Trainer, module: TextClassifier, best: BestCheckpoint) -> None:
        folder = Path(str(best.dirpath))
        average = average_weights([folder / one.file for one in self.kept])
        value = _measure(trainer, module, average, str(best.monitor))
        top = self.kept[0]
        better = value < top.value if best.mode == "min" else value > top.value
        if better:
            epochs = [one.epoch for one in self.kept]
            _write(trainer, best, average, {"epochs": epochs, "value": value})
        if trainer.is_global_zero:
            epochs_named = ", ".join(str(one.epoch) for one in self.kept)
            print(
                f"average of epochs {epochs_named}: {best.monitor} {value:.4f} against "
                f"{top.value:.4f} of epoch {top.epoch}; "
                f"{'kept as best.ckpt' if better else 'not better: best.ckpt stays'}",
                flush=True,
            )

    def _remove_others(self, trainer: L.Trainer, wanted: set[str]) -> None:
        best = _best_of(trainer)
        if best is None or not trainer.is_global_zero:
            return
        for file in Path(str(best.dirpath)).glob("candidate-*.ckpt"):
            if file.name not in wanted:
                file.unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """Name the files that are kept."""
        return {"kept": [asdict(one) for one in self.kept]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the files that are kept."""
        self.kept = [Candidate(**one) for one in state_dict["kept"]]


def best_of(
    candidates: Sequence[Candidate], k: int, mode: Literal["min", "max"] | str
) -> list[Candidate]:
    """Return the k best, the best first, of equal ones the earlier; those without a value never.

    >>> best_of([Candidate("a", 1, 0.5), Candidate("b", 2, 0.7)], 1, "max")[0].epoch
    2
    """
    sign = 1 if mode == "min" else -1
    measured = [one for one in candidates if one.value == one.value]  # not NaN
    return sorted(measured, key=lambda one: sign * one.value)[:k]


def average_weights(files: Sequence[Path]) -> dict[str, Tensor]:
    """Average the tensors of checkpoints, each in its own type; whole numbers are the first's."""
    states = [
        torch.load(file, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
        for file in files
    ]
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if first.is_floating_point()
        else first.clone()
        for name, first in states[0].items()
    }


def _best_of(trainer: L.Trainer) -> BestCheckpoint | None:
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((one for one in callbacks if isinstance(one, BestCheckpoint)), None)


def _answering_weights(trainer: L.Trainer, module: L.LightningModule) -> Mapping[str, Tensor]:
    """Return what answered in this validation, without what is never trained."""
    checkpoint = {"state_dict": trainer.strategy.lightning_module_state_dict()}
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, WeightAverage):
            callback.on_save_checkpoint(trainer, module, checkpoint)
    frozen = {name for name, weight in module.named_parameters() if not weight.requires_grad}
    return {name: value for name, value in checkpoint["state_dict"].items() if name not in frozen}


def _measure(
    trainer: L.Trainer, module: TextClassifier, weights: Mapping[str, Tensor], monitor: str
) -> float:
    """Measure weights on the validation split; the module keeps its own."""
    own = {name: value.clone() for name, value in module.state_dict().items() if name in weights}
    module.load_state_dict(weights, strict=False)
    module.eval()
    try:
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            return _validate(trainer, module)[monitor]
    finally:
        module.load_state_dict(own, strict=False)
        module.train()


def _validate(trainer: L.Trainer, module: TextClassifier) -> dict[str, float]:
    metrics = module.val_metrics.clone()
    metrics.reset()
    totals = torch.zeros(2)  # loss, examples
    batches: Any = trainer.val_dataloaders
    for batch in islice(batches, int(trainer.num_val_batches[0])):
        batch = trainer.strategy.batch_to_device(batch)
        logits = module(batch)
        size = len(batch["index"])
        totals += torch.tensor([float(module.loss(logits, batch)) * size, size])
        task_metrics.update(metrics, module.label_set, logits, batch["labels"])
    totals = trainer.strategy.reduce(totals.to(module.device), reduce_op="sum")
    measured = {name: float(value) for name, value in metrics.compute().items()}
    return {**measured, "val/loss": float(totals[0] / totals[1])}


def _write(
    trainer: L.Trainer, best: BestCheckpoint, average: Mapping[str, Tensor], note: dict[str, Any]
) -> None:
    """Put the average in place of the best epoch's weights, and its value in place of theirs."""
    checkpoint = read_checkpoint(best.best_model_path)
    checkpoint.pop(RAW_KEY, None)
    state = checkpoint["state_dict"]
    checkpoint["state_dict"] = {name: average.get(name, value) for name, value in state.items()}
    checkpoint[AVERAGED_KEY] = note
    trainer.strategy.save_checkpoint(checkpoint, best.best_model_path)
    _set_score(best, note["value"])


def _adopt_average(best: BestCheckpoint) -> None:
    """Let a resumed run beat the average that is best.ckpt by now, not the best epoch alone."""
    if best.best_model_path and Path(best.best_model_path).is_file():
        note = read_checkpoint(best.best_model_path).get(AVERAGED_KEY)
        if note is not None:
            _set_score(best, note["value"])


def _set_score(best: BestCheckpoint, value: float) -> None:
    best.best_model_score = best.kth_value = torch.tensor(value)
    best.best_k_models[best.best_model_path] = torch.tensor(value)

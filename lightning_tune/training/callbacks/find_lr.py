"""Find the learning rate before training: trial steps under a rising rate, then all as it was."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import lightning as L

from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Batch
from lightning_tune.tables import replace_file
from lightning_tune.training.lr_range import RangeTest, measure, spread
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.strategies import require_whole_weights
from lightning_tune.training.trial import trial_steps

FIGURE = "lr_range.png"


class FindLR(L.Callback):
    """Where `model.lr` is auto, put a number in its place by a range test on training batches.

    The steps are those of the training (its precision, clipping, optimizer, layer-wise rates and
    batches a step), under the plain loss and without the schedule, whose peak is what is looked
    for. Weights, random states and the order of batches are then as if nothing had been tried: the
    run is bit by bit the one with that number in its config. On several devices the first rank
    tries, and all take its number. The curve is drawn into the run's folder.

    Args:
        lowest: The rate of the first step, above 0.
        highest: The rate of the last step, unless the loss has risen again before.
        steps: Number of steps, at least 10.

    Raises:
        ConfigError: if a setting is out of its range, the run is a resumed one, or the loss never
            falls.
    """

    def __init__(self, lowest: float = 1e-6, highest: float = 0.1, steps: int = 150) -> None:
        if not 0 < lowest < highest:
            raise ConfigError(
                f"FindLR.lowest={lowest} and highest={highest} are no rising rates above 0; 1e-6 "
                "and 0.1 are usual."
            )
        if steps < 10:
            raise ConfigError(f"FindLR.steps={steps} is below 10; 150 are usual.")
        self.lowest = lowest
        self.highest = highest
        self.steps = steps

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse what has no rate to be found for."""
        if stage != "fit" or not _is_wanted(pl_module):
            return
        require_whole_weights(trainer, "model.lr=auto")
        if not hasattr(trainer.datamodule, "train_dataloader"):  # type: ignore[attr-defined]
            raise ConfigError(
                "model.lr=auto tries batches of a data module, and this fit was given none; "
                "fit with datamodule=…, or give a number."
            )

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse a run that goes on: its rate is found already."""
        if trainer.state.fn == "fit" and _is_wanted(pl_module):
            raise ConfigError(
                "model.lr=auto is found before the first step, and this run goes on from "
                f"{trainer.ckpt_path}; leave model.lr out to keep the rate that was found, or give "
                "a number."
            )

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find the rate, tell it, and set the optimizer up with it."""
        if not isinstance(pl_module, TextClassifier) or not _is_wanted(pl_module):
            return
        rate: float | None = None
        if trainer.is_global_zero:
            found = self._try(trainer, pl_module)
            rate = found.suggestion
            if not trainer.fast_dev_run:  # type: ignore[attr-defined]
                _draw(Path(trainer.default_root_dir) / FIGURE, found)
        rate = trainer.strategy.broadcast(rate)
        if rate is None:
            raise ConfigError(
                f"model.lr=auto found no rate: in {self.steps} trial steps from {self.lowest:g} to "
                f"{self.highest:g} the loss never fell clearly; give a number, 2e-5 to 1e-4 are "
                "usual."
            )
        pl_module.use_lr(rate)
        trainer.strategy.setup_optimizers(trainer)
        if trainer.is_global_zero:
            print(f"learning rate    {rate:g}: {len(found.rates)} trial steps, see {FIGURE}")

    def _try(self, trainer: L.Trainer, module: TextClassifier) -> RangeTest:
        size = trainer.accumulate_grad_batches * trainer.world_size
        batches = _endless(trainer)
        with trial_steps(trainer, module) as step:
            return measure(
                lambda rate: step(list(islice(batches, size)), rate),
                spread(self.lowest, self.highest, self.steps),
            )


def _is_wanted(module: L.LightningModule) -> bool:
    return isinstance(module, TextClassifier) and module.lr == "auto"


def _endless(trainer: L.Trainer) -> Iterator[Batch]:
    """Yield the batches of one epoch after the other, from a loader of its own."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    loader = data.train_dataloader()
    for epoch in count():
        if hasattr(loader.sampler, "set_epoch"):
            loader.sampler.set_epoch(epoch)
        yield from loader


def _draw(file: Path, found: RangeTest) -> None:
    from lightning_tune.reports.figures import rate_figure, to_bytes

    figure = rate_figure(found.rates, found.losses, found.smoothed, found.suggestion)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(file, private=True) as temporary:
        temporary.write_bytes(to_bytes(figure))

"""Lightning's cost over a bare loop with the same step: interleaved runs on the same batches.

    python tests/benchmarks/overhead.py --data ../shared/data --steps 120 --repeats 3

Each turn trains MiniLM on SST-2 sentences twice from the same weights: once by the Trainer, with
the default callbacks that count in training (rates, lines) and the metrics file, and once by a loop
that takes the same batches through the same objective, clipping, optimizer and schedule. Printed:
milliseconds a step, and the median ratio.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping
from speed import CLIP, MINILM, TASKS, data_module

from lightning_tune import TextClassifier
from lightning_tune.training.clipping import clip_gradients
from lightning_tune.training.defaults import default_callbacks
from lightning_tune.training.loggers import MetricsCSV
from lightning_tune.training.optim import ScheduleSettings, build_optimizer, build_scheduler


class Clock(L.Callback):
    """Time from the first step's start to the last one's end."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Note the start of the second step: the first one warms up."""
        if batch_idx == 1:
            self.began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the end."""
        self.ended = time.perf_counter()


def by_trainer(dm: Any, steps: int) -> float:
    """Return the seconds of `steps` steps by the Trainer."""
    L.seed_everything(0, verbose=False)
    module = TextClassifier(MINILM, dm.label_set, lr=5e-5)
    clock = Clock()
    usual = default_callbacks(module, progress=False, checkpoints=False)
    counting = [callback for callback in usual if not isinstance(callback, EarlyStopping)]
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            max_steps=steps + 1,
            precision="bf16-mixed",
            accelerator="cpu",
            gradient_clip_val=CLIP,
            log_every_n_steps=10,
            callbacks=[*counting, clock],
            logger=MetricsCSV(folder),
            default_root_dir=folder,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.fit(module, datamodule=dm)
    return clock.ended - clock.began


def by_hand(dm: Any, steps: int) -> float:
    """Return the seconds of `steps` steps by a bare loop."""
    L.seed_everything(0, verbose=False)
    module = TextClassifier(MINILM, dm.label_set, lr=5e-5)
    module.configure_model()
    module.classifier.train()
    encoder = module.classifier.encoder
    optimizer = build_optimizer(encoder, module.lr, module.optimizer_settings)
    schedule = build_scheduler(optimizer, ScheduleSettings(), steps + 1)
    batches = iter(dm.train_dataloader())
    began = 0.0
    for step in range(steps + 1):
        if step == 1:
            began = time.perf_counter()
        batch = next(batches)
        with torch.autocast("cpu", torch.bfloat16):
            loss, _ = module.objective(module.classifier, batch, module.loss)
        optimizer.zero_grad()
        loss.backward()
        clip_gradients(encoder.parameters(), CLIP, encoder.get_input_embeddings())
        optimizer.step()
        schedule.step()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    dm = data_module(TASKS["sst2"], asked.data, 42)
    by_trainer(dm, 10)
    pairs = [(by_trainer(dm, asked.steps), by_hand(dm, asked.steps)) for _ in range(asked.repeats)]
    for name, seconds in zip(("trainer", "by hand"), zip(*pairs, strict=True), strict=True):
        print(f"{name:8} {1e3 * statistics.median(seconds) / asked.steps:7.1f} ms a step")
    ratios = [ours / bare for ours, bare in pairs]
    print(
        f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), "
        f"{asked.repeats} runs of {asked.steps} steps"
    )


if __name__ == "__main__":
    main()

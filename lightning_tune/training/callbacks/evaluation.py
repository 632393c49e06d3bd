"""Gather a split's answers and write what a person reads: metrics.json, report.md, report.html."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from lightning_tune import __version__
from lightning_tune.reports.evaluate import evaluate
from lightning_tune.reports.mistakes import TextOf
from lightning_tune.reports.records import Evaluation
from lightning_tune.reports.runs import read_run
from lightning_tune.reports.throughput import stored_throughput
from lightning_tune.training.callbacks.gathering import Answers
from lightning_tune.training.callbacks.prediction_table import prediction_table
from lightning_tune.training.callbacks.progress import EpochLines
from lightning_tune.training.metrics import probabilities
from lightning_tune.training.module import TextClassifier


class EvaluationReport(L.Callback):
    """After `validate` or `test`, write the split's report and send it to the loggers.

    Other callbacks may add to it: before it is written, `add_to_report(record)` of those that have
    this method is called.

    Args:
        texts: Whether the local report shows the worst mistakes' texts; trackers have a setting of
            their own.
        worst: How many mistakes to list, at least 0.
    """

    def __init__(self, texts: bool = True, worst: int = 25) -> None:
        self.texts = texts
        self.worst = worst
        self.settings: Mapping[str, Any] = {}
        self.evaluation: Evaluation | None = None
        self._answers = Answers()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch's answers; the validations inside a fit need none."""
        if trainer.state.fn == "validate":
            self._answers.add(outputs)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch's answers."""
        self._answers.add(outputs)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the validation split's report, outside a fit."""
        if trainer.state.fn == "validate":
            self._finish(trainer, pl_module, "val")

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the test split's report."""
        self._finish(trainer, pl_module, "test")

    def _finish(self, trainer: L.Trainer, pl_module: L.LightningModule, split: str) -> None:
        gathered = self._answers.collect()
        if (
            not isinstance(pl_module, TextClassifier)
            or not trainer.is_global_zero
            or gathered is None
        ):
            return
        data = getattr(trainer, "datamodule", None)
        labels, targets = pl_module.label_set, gathered["labels"].numpy()
        scores = probabilities(gathered["logits"], labels.kind).numpy().astype(np.float64)
        text_of = _texts(getattr(data, f"{split}_data", None), gathered["index"].tolist())
        record = evaluate(
            labels,
            targets,
            scores,
            split=split,
            text_of=text_of if self.texts else None,
            worst=self.worst,
        )
        logged = {
            name.removeprefix(f"{split}/"): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith(f"{split}/")
        }
        record.metrics = {**logged, **record.metrics}
        record.main_metric = pl_module.main_metric
        folder = Path(trainer.default_root_dir)
        run = read_run(folder, folder.name)
        record.curves = run.curves or curves(trainer)
        record.throughput = stored_throughput(run.metrics)  # until this process measured its own
        record.data_summary = (
            data.summary().to_dict() if data is not None and hasattr(data, "summary") else {}
        )
        record.settings = dict(self.settings) or dict(pl_module.hparams)
        record.provenance = provenance(trainer, pl_module)
        record.title = folder.name
        for other in trainer.callbacks:  # type: ignore[attr-defined]
            if hasattr(other, "add_to_report"):
                other.add_to_report(record)
        record = record if self.texts else record.without_texts()
        self.evaluation = record
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        write_reports(folder, record)
        for sink in trainer.loggers:
            if hasattr(sink, "log_evaluation"):
                texts = bool(getattr(sink, "log_texts", False))  # none reach a tracker unasked
                table = prediction_table(
                    labels, targets, scores, text_of=text_of if texts else None
                )
                sink.log_evaluation(record if texts else record.without_texts(), table)


def _texts(rows: Any, index: Sequence[int]) -> TextOf | None:
    """Return what gives the texts of an evaluated row, counted from 0; None without data."""
    return None if rows is None else lambda row: rows.text(index[row])


def curves(trainer: L.Trainer) -> dict[str, list[tuple[float, float]]]:
    """Return the history of a fit as points (step, value) by metric."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    history = next((c.history for c in callbacks if isinstance(c, EpochLines)), [])
    names = [name for name in (history[0] if history else {}) if "/" in name]
    return {name: [(row["step"], row[name]) for row in history if name in row] for name in names}


def provenance(trainer: L.Trainer, module: TextClassifier) -> dict[str, str]:
    """Return what made the figures: model, weights, precision, device, versions, time."""
    return {
        "backbone": module.backbone,
        "trained": module.trained_weights,
        "checkpoint": str(trainer.ckpt_path or "the best of this run"),
        "precision": str(trainer.precision),
        "device": str(module.device),
        "lightning_tune": __version__,
        "torch": torch.__version__,
        "written": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def write_reports(folder: Path, record: Evaluation) -> None:
    """Write metrics.json, report.json, report.md and report.html into a run's folder."""
    from lightning_tune.reports.html import write_html
    from lightning_tune.reports.markdown import write_markdown
    from lightning_tune.reports.records import write_evaluation, write_metrics

    folder.mkdir(parents=True, exist_ok=True)
    write_metrics(folder / "metrics.json", record)
    write_evaluation(folder / "report.json", record)
    write_markdown(folder / "report.md", record)
    write_html(folder / "report.html", record)

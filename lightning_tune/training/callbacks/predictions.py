"""Write the answers of `predict`: one row a row of the input, bad rows with their error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L

from lightning_tune.errors import ConfigError
from lightning_tune.serving.answers import prediction_columns
from lightning_tune.tables import write_rows
from lightning_tune.training.callbacks.gathering import Answers
from lightning_tune.training.metrics import probabilities
from lightning_tune.training.module import TextClassifier

EXTENSIONS = (".parquet", ".csv", ".tsv", ".jsonl")


class WritePredictions(L.Callback):
    """Write row, text, prediction, probability and one column a label; readable by the owner alone.

    Args:
        path: The file, .parquet, .csv, .tsv or .jsonl; null: predictions.parquet in the run's
            folder.
    """

    def __init__(self, path: str | None = None) -> None:
        if path is not None and Path(path).suffix not in EXTENSIONS:
            raise ConfigError(f"output={path!r} must end in one of {', '.join(EXTENSIONS)}.")
        self.path = None if path is None else Path(path)
        self._answers = Answers()

    def on_predict_batch_end(
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

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the file and say where it is."""
        gathered = self._answers.collect()
        data = getattr(trainer, "datamodule", None)
        if gathered is None or data is None or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, TextClassifier)
        split = data.predict_data
        columns = prediction_columns(
            pl_module.label_set, probabilities(gathered["logits"], pl_module.label_set.kind).numpy()
        )
        rows = gathered["index"].tolist()
        texts = [split.text(row) for row in rows]
        errors = [split.error(row) for row in rows]
        table: dict[str, Any] = {"row": rows, "text": [text for text, _ in texts]}
        if any(pair is not None for _, pair in texts):
            table["text_pair"] = [pair for _, pair in texts]
        for name, values in columns.items():
            answered = zip(values, errors, strict=True)
            table[name] = [None if error else value for value, error in answered]
        table["error"] = errors
        self.path = self.path or Path(trainer.default_root_dir) / "predictions.parquet"
        write_rows(self.path, table, private=True)
        failed = sum(error is not None for error in errors)
        note = f" ({failed} with an error, not labelled)" if failed else ""
        print(f"{len(rows)} rows -> {self.path}{note}")

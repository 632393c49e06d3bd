"""A backbone as what fits and answers: tuned on some texts, asked about others."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.quality.folds import FitPredict, Training
from lightning_tune.schema import LabelSet, TaskKind


@dataclass(frozen=True)
class EncoderSettings:
    """How a backbone is tuned for each fold.

    Args:
        backbone: A hub name or a folder; null: the MiniLM of the quickstart extra.
        epochs: Passes over the other folds, at least 1.
        lr: Learning rate, above 0.
        batch_size: Texts a batch, at least 1.
        max_length: Most tokens of a text.

    Raises:
        ConfigError: if a value is out of its range.
    """

    backbone: str | None = None
    epochs: int = 2
    lr: float = 1e-4
    batch_size: int = 32
    max_length: int = 128

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"encoder.{name}={getattr(self, name)} is below 1; use 1 or more."
                )
        if not self.lr > 0:
            raise ConfigError(f"encoder.lr={self.lr} is not above 0; 1e-4 is usual for MiniLM.")

    @property
    def name(self) -> str:
        """Where the backbone is from."""
        return self.backbone or "sentence-transformers/all-MiniLM-L6-v2"


def cross_fitted(
    names: Sequence[str], settings: EncoderSettings, *, several: bool, seed: int = 0
) -> FitPredict:
    """Return a function that tunes the backbone on some rows and answers other texts.

    Args:
        names: The labels, in the order of the targets' columns.
        settings: How the backbone is tuned.
        several: Whether several labels may hold.
        seed: Decides about the new head and the order of batches.
    """
    kind: TaskKind = "multilabel" if several else "binary" if len(names) == 2 else "multiclass"
    labels = LabelSet(kind, tuple(names))

    def fit_predict(training: Training, held: Sequence[str]) -> NDArray[np.float64]:
        with TemporaryDirectory(prefix="lightning-tune-") as folder, _quiet():
            found = _fit_predict(training, held, labels, settings, Path(folder), seed)
        print(f"tuned on {len(training.texts):,} texts, answered {len(held):,}", flush=True)
        return found

    return fit_predict


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Lightning says at the start of every fit; name this command's settings."""
    import lightning  # noqa: F401  # importing it sets the levels

    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\).*")
            yield
    except ConfigError as err:
        raise ConfigError(str(err).replace("data.max_length", "encoder.max_length")) from err
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _fit_predict(
    training: Training,
    held: Sequence[str],
    labels: LabelSet,
    settings: EncoderSettings,
    folder: Path,
    seed: int,
) -> NDArray[np.float64]:
    import lightning as L

    from lightning_tune.data.datamodule import TextDataModule
    from lightning_tune.training.inference import answering
    from lightning_tune.training.module import TextClassifier

    train = folder / "train.parquet"
    _write(train, training, labels)
    L.seed_everything(seed, verbose=False)
    data = TextDataModule(
        str(train),
        str(train),  # never read: the last weights are taken, with no choice among epochs
        weight="weight",
        task=labels.kind,
        labels=labels,
        tokenizer=settings.name,
        max_length=settings.max_length,
        batch_size=settings.batch_size,
        cache_dir=str(folder / "cache"),
        seed=seed,
    )
    model = TextClassifier(settings.name, labels, lr=settings.lr)
    trainer = L.Trainer(
        max_epochs=settings.epochs,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        devices=1,
        precision=precision(),  # type: ignore[arg-type]
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        gradient_clip_val=1.0,
    )
    trainer.fit(model, datamodule=data)
    scores = answering(model, data.travelling()).scores(list(held), batch_size=64)
    return scores.double().numpy()


def precision() -> str:
    """Return the precision that `fit` would choose here."""
    from lightning_tune.commands.advice import choose
    from lightning_tune.commands.machine_facts import read_cpu, read_gpus

    chosen = choose(read_cpu(), read_gpus())
    return next(choice.value for choice in chosen if choice.flag == "precision")


def _write(path: Path, training: Training, labels: LabelSet) -> None:
    from lightning_tune.tables import write_rows

    held = [[labels.names[at] for at in np.flatnonzero(row)] for row in training.targets]
    single = labels.kind != "multilabel"
    columns = {
        "text": list(training.texts),
        "label": [names[0] for names in held] if single else held,
        "weight": training.weights,
    }
    write_rows(path, columns)


def embedder(
    backbone: str, *, batch_size: int = 64
) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Return a function that gives each text the mean of its last hidden states, [n, width].

    Args:
        backbone: A hub name or a folder of a pretrained encoder.
        batch_size: Texts computed at once.

    Raises:
        ConfigError: if it is not found, or is no encoder.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    from lightning_tune.models.backbones import not_found, within_reach

    place = within_reach(backbone)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place)
        model = AutoModel.from_pretrained(place, dtype=torch.float32).eval()
    except (OSError, ValueError, KeyError) as err:
        raise not_found(backbone, err) from err

    @torch.inference_mode()
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        found = np.empty((len(texts), model.config.hidden_size), np.float32)
        for start in range(0, len(order), batch_size):
            some = order[start : start + batch_size]
            batch = tokenizer(
                [texts[at] for at in some],
                padding=True,
                truncation=True,
                max_length=128,
                return_tensors="pt",
            )
            hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            found[some] = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
        return found

    return embed

"""Recovery: epochs of distillation in which a pruned model learns to answer as before.

The same module, Trainer, early stopping and best checkpoint as in `fit`; only the objective is
`Distillation`, with the unpruned model as the teacher.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Classifier
from lightning_tune.models.encoder import DropoutSettings
from lightning_tune.training.callbacks.checkpointing import BestCheckpoint, WholeFileCheckpointIO
from lightning_tune.training.defaults import PATIENCE
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.objectives import Distillation
from lightning_tune.training.objectives.base import spec_of
from lightning_tune.training.optim import ScheduleSettings
from lightning_tune.training.stored import as_plain
from lightning_tune_export.prune.probing import fast_type
from lightning_tune_export.prune.rebuilding import module_like

SHORT_LR, LR, WIDTH = 1e-4, 6e-4, 384
_WITHOUT_DROPOUT = DropoutSettings(hidden=0.0, attention=0.0)


@dataclass(frozen=True)
class RecoverSettings:
    """How a pruned model is taught.

    Args:
        epochs: Most epochs over the training split, at least 0; training stops early where the
            main metric of validation does not rise.
        lr: Peak learning rate, above 0; None: `lr_for` chooses.
        temperature: Of the answers, above 0.
        hidden: Weight of the hidden states' difference, at least 0.
        labels: Share of the loss against the labels, in [0, 1].
        dropout: Whether the student's layers drop while they learn; in few steps that costs more
            than it gives.
        seed: Of what is drawn.
    """

    epochs: int = 1
    lr: float | None = None
    temperature: float = 2.0
    hidden: float = 1.0
    labels: float = 0.0
    dropout: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ConfigError(f"recover.epochs={self.epochs} is below 0; 0 leaves recovery out.")
        if self.lr is not None and not self.lr > 0:
            raise ConfigError(
                f"recover.lr={self.lr} is not above 0; 1e-4 to 6e-4 are usual, null chooses one."
            )

    def lr_for(self, width: int) -> float:
        """Return the learning rate for an encoder of a width.

        One epoch must not undo what least squares have mended; several have the time to learn
        anew, and end higher. Both rates were chosen on validation with MiniLM; wider encoders get
        less in proportion.
        """
        if self.lr is not None:
            return self.lr
        return (SHORT_LR if self.epochs == 1 else LR) * min(1.0, WIDTH / width)

    def objective(self, layers: list[int] | None) -> Distillation:
        """Return the objective that they make, for a student of these layers of its teacher."""
        return Distillation("", self.temperature, self.labels, self.hidden, layers)


def recover(
    pruned: TextClassifier,
    teacher: Classifier,
    data: TextDataModule,
    settings: RecoverSettings,
    *,
    layers: list[int] | None = None,
) -> None:
    """Teach a pruned module, in place; it keeps the weights of its best epoch.

    Args:
        pruned: The module.
        teacher: The classifier that it was made of.
        data: Whose training split it learns from, and whose validation split decides.
        settings: How long and how.
        layers: The teacher's layer of each of the student's, where some were dropped.
    """
    objective = settings.objective(layers)
    with TemporaryDirectory(prefix="recover-") as folder, torch.random.fork_rng(), _quietly():
        torch.manual_seed(settings.seed)
        student = module_like(
            pruned,
            pruned.classifier.encoder,
            objective=spec_of(objective),
            lr=settings.lr_for(pruned.classifier.encoder.config.hidden_size),
            schedule=as_plain(ScheduleSettings()),
            **({} if settings.dropout else {"dropout": as_plain(_WITHOUT_DROPOUT)}),
        )
        student.objective = objective.learn_from(copy.deepcopy(teacher))  # it changes its type
        _trainer(student, settings, Path(folder)).fit(student, datamodule=data)
    data.trainer = None
    pruned.classifier.load_state_dict(student.classifier.state_dict())


def _trainer(student: TextClassifier, settings: RecoverSettings, folder: Path) -> L.Trainer:
    monitor, mode = student.monitor, student.main_metric_mode
    return L.Trainer(
        max_epochs=settings.epochs,
        devices=1,
        precision="bf16-mixed" if _has_bf16() else "32-true",
        gradient_clip_val=1.0,
        callbacks=[
            EarlyStopping(monitor, mode=mode, patience=PATIENCE, check_on_train_epoch_end=False),
            BestCheckpoint(monitor, mode),
        ],
        plugins=[WholeFileCheckpointIO()],
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _has_bf16() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return fast_type() is torch.bfloat16


@contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what Lightning tells whoever wrote the training script."""
    told = logging.getLogger("lightning.pytorch")
    level = told.level
    told.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in _ADVICE:
            warnings.filterwarnings("ignore", message=message)
        try:
            yield
        finally:
            told.setLevel(level)


_ADVICE = (
    r".*does not have many workers.*",
    r".*in eval mode at the start of training.*",  # metrics and the loss, which have no mode
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*The number of training batches .* is smaller than the logging interval.*",
)

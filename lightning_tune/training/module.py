"""The LightningModule: an encoder, an objective, an optimizer and the metrics of its task."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import lightning as L
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import GradClipAlgorithmType
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import MetricCollection

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.checkpoints import PACKAGE_KEY, require_known_class
from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.models.encoder import (
    DropoutSettings,
    architecture_of,
    build_encoder,
    max_positions,
    start_at_base_rates,
)
from lightning_tune.schema import LabelSet
from lightning_tune.training import metrics as task_metrics
from lightning_tune.training.losses import Loss, LossSettings, auto_weights
from lightning_tune.training.metrics import MetricSpec
from lightning_tune.training.objectives import Objective, Plain
from lightning_tune.training.objectives.base import from_spec, spec_of
from lightning_tune.training.optim import (
    ENDLESS,
    OptimizerSettings,
    ScheduleSettings,
    build_optimizer,
    build_scheduler,
    freeze,
    retarget,
)

logger = logging.getLogger(__name__)
Settings = TypeVar("Settings")

FORMAT = 1
"""Version of what we add to a checkpoint; a reader refuses a newer one."""


class TextClassifier(L.LightningModule):
    """Fine-tune a BERT-family encoder to classify texts.

    Args:
        backbone: Pretrained encoder: a hub name, a folder, or a checkpoint of this package to
            start from (another label set then gets a new head).
        labels: The label set; the command line takes it from the data.
        objective: How one batch becomes one loss.
        lr: Peak learning rate.
        optimizer: How weights follow their gradients.
        schedule: How the learning rate moves.
        loss: Class weights, label smoothing, focal loss.
        dropout: Probabilities that differ from the encoder's own.
        frozen_layers: Lowest layers that are not trained, embeddings with them; "all": only the
            head is.
        main_metric: Metric that chooses the best epoch; null: accuracy (binary, multiclass),
            f1_macro (multilabel), spearman (regression).
        metrics: Metrics of your own by name, each a class_path and its init_args.
        architecture: Config of the encoder as JSON, from a checkpoint; null: the backbone's own.

    Raises:
        ConfigError: if settings contradict the task or each other.
    """

    classifier: Classifier

    def __init__(
        self,
        backbone: str,
        labels: LabelSet | None = None,
        *,
        objective: Objective = Plain(),  # noqa: B008 - no state
        lr: float = 2e-5,
        optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008 - frozen
        schedule: ScheduleSettings = ScheduleSettings(),  # noqa: B008 - frozen
        loss: LossSettings = LossSettings(),  # noqa: B008 - frozen
        dropout: DropoutSettings = DropoutSettings(),  # noqa: B008 - frozen
        frozen_layers: int | Literal["all"] = 0,
        main_metric: str | None = None,
        metrics: dict[str, MetricSpec | dict[str, Any]] | None = None,
        architecture: str | None = None,
    ) -> None:
        super().__init__()
        if labels is None:
            raise ConfigError(
                "labels is missing; give the label set of your data module: labels=dm.label_set."
            )
        if not lr > 0:
            raise ConfigError(
                f"model.lr={lr} is not above 0; 1e-5 to 5e-5 are usual for BERT encoders."
            )
        self.label_set = LabelSet.from_dict(labels) if isinstance(labels, Mapping) else labels
        self.backbone = backbone
        self.lr = lr
        self.objective = _known_objective(objective)
        self.optimizer_settings = _settings(OptimizerSettings, optimizer)
        self.schedule_settings = _settings(ScheduleSettings, schedule)
        self.loss_settings = _settings(LossSettings, loss)
        self.dropout_settings = _settings(DropoutSettings, dropout)
        self.frozen_layers = frozen_layers
        self.loss_settings.check(self.label_set)
        own = {name: _settings(MetricSpec, spec) for name, spec in (metrics or {}).items()}
        collection = task_metrics.build_metrics(self.label_set, own)
        self.main_metric = task_metrics.main_metric(self.label_set.kind, main_metric, collection)
        self.main_metric_mode = task_metrics.direction(self.main_metric, collection)
        self.val_metrics: MetricCollection = collection.clone(prefix="val/")
        self.test_metrics: MetricCollection = collection.clone(prefix="test/")
        self.logs_validation = True
        self._architecture = architecture
        self._travelling: dict[str, Any] = {}
        plain_values = {
            "backbone": backbone,
            "labels": self.label_set.to_dict(),
            "objective": spec_of(self.objective),
            "lr": lr,
            "optimizer": _plain(self.optimizer_settings),
            "schedule": _plain(self.schedule_settings),
            "loss": _plain(self.loss_settings),
            "dropout": _plain(self.dropout_settings),
            "frozen_layers": frozen_layers,
            "main_metric": main_metric,
            "metrics": {name: _plain(spec) for name, spec in own.items()},
            "architecture": architecture,
        }
        self.save_hyperparameters(plain_values)

    @property
    def monitor(self) -> str:
        """The logged name of the main metric, for early stopping and the best checkpoint."""
        return f"val/{self.main_metric}"

    def configure_model(self) -> None:
        """Build the encoder once, from the backbone or from a checkpoint's architecture."""
        if hasattr(self, "classifier"):
            return
        encoder = build_encoder(
            self.backbone,
            self.label_set,
            architecture=_read_architecture(self._architecture),
            dropout=self.dropout_settings,
        )
        freeze(encoder, self.frozen_layers)
        self.classifier = Classifier(encoder)
        given = self.loss_settings.class_weights
        weights = given if isinstance(given, list) else None  # "auto" needs the data: on_fit_start
        self.loss = Loss(self.label_set.kind, self.loss_settings, weights)
        self.hparams["architecture"] = json.dumps(architecture_of(encoder), ensure_ascii=False)

    def on_fit_start(self) -> None:
        """Put every module into training mode: pretrained encoders come in evaluation mode."""
        self.classifier.train()

    def setup(self, stage: str) -> None:
        """Fit the model to the data before any work is done: length, class weights, head."""
        data = getattr(self.trainer, "datamodule", None)
        wanted = getattr(data, "max_length", None)
        if wanted is not None:
            self.configure_model()
            self.check_length(wanted)
        if stage == "fit":
            self._start_from_counts(data)

    def _start_from_counts(self, data: Any) -> None:
        """Weigh classes by their counts in train, and start the head at their base rates."""
        if not hasattr(data, "class_counts"):
            if self.loss_settings.class_weights == "auto":
                raise ConfigError(
                    "loss.class_weights='auto' needs the counts of a TextDataModule; give a list."
                )
            return
        kind = self.label_set.kind
        if self.loss_settings.class_weights == "auto":
            weights = auto_weights(kind, *data.class_counts())
            self.loss = Loss(kind, self.loss_settings, weights)
        if kind in ("multilabel", "regression"):
            start_at_base_rates(
                self.classifier.encoder, kind, data.mean_targets(), self.loss.class_weights
            )

    def check_length(self, wanted: int) -> None:
        """Refuse sequences that the encoder has no positions for.

        Raises:
            ConfigError: naming the limit.
        """
        limit = max_positions(self.classifier.encoder.config)
        if limit is not None and wanted > limit:
            raise ConfigError(
                f"data.max_length={wanted} exceeds the {limit} positions of {self.backbone}; "
                f"lower it to {limit} or less, or read long texts with data.truncation=windows."
            )

    def forward(self, batch: Batch) -> Tensor:
        """Return logits [examples, outputs] float32."""
        return self.classifier(batch)  # type: ignore[no-any-return]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the objective's loss of one batch."""
        loss, _ = self.objective(self.classifier, batch, self.loss)
        self.log("train/loss", loss.detach(), batch_size=len(batch["index"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Count a validation batch; return its logits for the report."""
        return self._evaluate(batch, self.val_metrics, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Count a test batch; return its logits for the report."""
        return self._evaluate(batch, self.test_metrics, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Answer a batch: logits [examples, outputs] and index [examples]."""
        return {"logits": self(batch), "index": batch["index"]}

    def _evaluate(self, batch: Batch, metrics: MetricCollection, split: str) -> dict[str, Tensor]:
        logits = self(batch)
        size = len(batch["index"])
        loss = self.loss(logits, batch)
        self.log(
            f"{split}/loss",
            loss,
            on_step=False,
            on_epoch=True,
            batch_size=size,
            sync_dist=True,
            logger=self._belongs_to_the_curves(),
        )
        task_metrics.update(metrics, self.label_set, logits, batch["labels"])
        return {"logits": logits, "index": batch["index"], "labels": batch["labels"]}

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation split."""
        self._log_metrics(self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test split."""
        self._log_metrics(self.test_metrics)

    def _log_metrics(self, metrics: MetricCollection) -> None:
        logged = self._belongs_to_the_curves()
        for name, value in metrics.compute().items():
            shown = name.endswith(f"/{self.main_metric}")
            self.log(name, value.float(), prog_bar=shown, logger=logged)
        metrics.reset()

    def _belongs_to_the_curves(self) -> bool:
        reported_only = self.trainer.state.fn == TrainerFn.VALIDATING and not self.logs_validation
        return bool(self.trainer.loggers) and not reported_only

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and a schedule that moves with every step."""
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        optimizer = build_optimizer(
            self.classifier.encoder, self.lr, self.optimizer_settings, fused=not scaled
        )
        total = int(min(self.trainer.estimated_stepping_batches, ENDLESS))
        scheduler = build_scheduler(optimizer, self.schedule_settings, total)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "name": "lr"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip also where Lightning declines to: a fused optimizer under bf16, without a scaler."""
        plugin = self.trainer.precision_plugin
        if isinstance(plugin, MixedPrecision) and plugin.scaler is None:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(plugin, optimizer, gradient_clip_val or 0.0, algorithm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what answers need beside the weights: label set, tokenizer, data settings."""
        data = getattr(self._trainer, "datamodule", None)
        if data is not None and hasattr(data, "travelling"):
            self._travelling = data.travelling()
        checkpoint[PACKAGE_KEY] = {
            "format": FORMAT,
            "labels": self.label_set.to_dict(),
            "class_path": f"{type(self).__module__}.{type(self).__qualname__}",
            **self._travelling,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what travels with the weights; let this run's settings win over the stored ones."""
        ours = checkpoint.get(PACKAGE_KEY)
        if ours is None:
            raise CheckpointError(
                "the checkpoint was not written by lightning_tune; fine-tune with `fit` first."
            )
        if ours["format"] > FORMAT:
            raise CheckpointError(
                f"the checkpoint has format {ours['format']}, this version reads up to {FORMAT}; "
                "upgrade lightning-tune."
            )
        if ours["labels"] != self.label_set.to_dict():
            raise CheckpointError(
                f"the checkpoint answers {ours['labels']['names'][:8]}, this run "
                f"{list(self.label_set.names)[:8]}; "
                "to start another task from it, give it as model.backbone instead of ckpt_path."
            )
        self._travelling = {
            key: value
            for key, value in ours.items()
            if key not in ("format", "labels", "class_path")
        }
        stored = checkpoint["hyper_parameters"]
        retarget(checkpoint, old_lr=stored["lr"], lr=self.lr, settings=self.optimizer_settings)

    @property
    def travelling(self) -> dict[str, Any]:
        """Tokenizer and data settings that came with the checkpoint; empty before one was read."""
        return self._travelling


def _known_objective(objective: Objective | Mapping[str, Any]) -> Objective:
    """Return an objective, also from what a checkpoint holds, which may name known classes only."""
    if not isinstance(objective, Mapping):
        return objective
    require_known_class(str(objective["class_path"]))
    return from_spec(objective)


def _read_architecture(text: str | None) -> dict[str, Any] | None:
    """Return an encoder's config from the JSON that a checkpoint holds."""
    try:
        found = None if text is None else json.loads(text)
    except json.JSONDecodeError as err:
        raise ConfigError(
            f"model.architecture is not JSON ({err}); a checkpoint fills it."
        ) from err
    if not isinstance(found, dict | None):
        raise ConfigError(f"model.architecture={text!r} is no encoder config; leave it out.")
    return found


def _settings(kind: type[Settings], value: Any) -> Settings:
    """Return a settings object, also from the plain values that a checkpoint holds."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"{kind.__name__} expected, got {value!r}.")
    try:
        return kind(**value)
    except TypeError as err:
        raise ConfigError(
            f"{kind.__name__}: {err}; see its docstring for the settings there are."
        ) from err


def _plain(settings: Any) -> dict[str, Any]:
    """Turn a settings object into values that a checkpoint may hold: tuples become lists."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(settings).items()
    }

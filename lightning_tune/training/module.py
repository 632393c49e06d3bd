"""The LightningModule: an encoder, an objective, an optimizer and the metrics of its task."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import MetricCollection

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.checkpoints import PACKAGE_KEY
from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.models.compiled import compile_layers
from lightning_tune.models.encoder import (
    DropoutSettings,
    architecture_of,
    build_encoder,
    start_at_base_rates,
)
from lightning_tune.models.family_names import max_positions
from lightning_tune.models.fast import accelerate
from lightning_tune.models.packed import check_device, pack_sequences
from lightning_tune.models.partial import (
    BACKBONE_KEY,
    check_digest,
    completed,
    digest,
    trained_only,
)
from lightning_tune.models.peft import Tuning, as_tuning, count_weights, same_function
from lightning_tune.models.recomputation import recompute_layers
from lightning_tune.models.sharding import is_sharded, shard
from lightning_tune.models.specs import describe_object
from lightning_tune.schema import LabelSet
from lightning_tune.training import metrics as task_metrics
from lightning_tune.training.accumulation import example_share
from lightning_tune.training.allocator import keep_freed_memory
from lightning_tune.training.callbacks.weight_average import without_average
from lightning_tune.training.clipping import clip_step, is_scaled
from lightning_tune.training.divergence import StepWatch
from lightning_tune.training.failures import is_out_of_memory
from lightning_tune.training.losses import Loss, LossSettings, auto_weights
from lightning_tune.training.metrics import MetricSpec
from lightning_tune.training.objectives import FitContext, Objective, Plain
from lightning_tune.training.objectives.base import OBJECTIVE_KEY, spec_of, unscaled
from lightning_tune.training.optim import (
    ENDLESS,
    OptimizerSettings,
    ScheduleSettings,
    build_optimizer,
    build_scheduler,
    retarget,
)
from lightning_tune.training.resuming import RESUME_KEY, Resuming
from lightning_tune.training.stored import as_plain, as_settings, known_objective, read_architecture
from lightning_tune.training.strategies import require_known, require_whole_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

TRACKED_KEY = "tracked"
"""Where a checkpoint says which run of a tracker it belongs to, beside the label set."""
FORMAT = 1
"""Version of what we add to a checkpoint; a reader refuses a newer one."""


class TextClassifier(L.LightningModule):
    """Fine-tune a BERT-family encoder to classify texts.

    Args:
        backbone: Pretrained encoder: a hub name, a folder, or a checkpoint of this package to
            start from (another label set then gets a new head).
        labels: The label set; the command line takes it from the data.
        objective: How one batch becomes one loss.
        lr: Peak learning rate; auto: found before training by trial steps.
        optimizer: How weights follow their gradients.
        schedule: How the learning rate moves.
        loss: Class weights, label smoothing, focal loss.
        dropout: Probabilities that differ from the encoder's own.
        tuning: Which weights are trained, and what is added for it; null: all, as with Full.
        gradient_checkpointing: Whether to compute each layer again for the gradients instead of
            keeping what is inside: less memory, more time.
        packed: Whether training steps compute on the real tokens alone, all sequences in one row.
        compiled: Whether training steps run layers that torch.compile made, at a few lengths.
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
        lr: float | Literal["auto"] = 2e-5,
        optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008 - frozen
        schedule: ScheduleSettings = ScheduleSettings(),  # noqa: B008 - frozen
        loss: LossSettings = LossSettings(),  # noqa: B008 - frozen
        dropout: DropoutSettings = DropoutSettings(),  # noqa: B008 - frozen
        tuning: Tuning | None = None,
        gradient_checkpointing: bool = False,
        packed: bool = False,
        compiled: bool = False,
        main_metric: str | None = None,
        metrics: dict[str, MetricSpec | dict[str, Any]] | None = None,
        architecture: str | None = None,
    ) -> None:
        super().__init__()
        if labels is None:
            raise ConfigError(
                "labels is missing; give the label set of your data module: labels=dm.label_set."
            )
        if lr != "auto" and not lr > 0:
            raise ConfigError(
                f"model.lr={lr} is not above 0; 1e-5 to 5e-5 are usual for BERT encoders."
            )
        self.label_set = LabelSet.from_dict(labels) if isinstance(labels, Mapping) else labels
        self.backbone = backbone
        self.lr = lr
        self.objective = known_objective(objective)
        self.optimizer_settings = as_settings(OptimizerSettings, optimizer)
        self.schedule_settings = as_settings(ScheduleSettings, schedule)
        self.loss_settings = as_settings(LossSettings, loss)
        self.dropout_settings = as_settings(DropoutSettings, dropout)
        self.tuning = as_tuning(tuning)
        self.gradient_checkpointing = gradient_checkpointing
        self.packed = packed
        self.compiled = compiled
        self.loss_settings.check(self.label_set)
        own = {name: as_settings(MetricSpec, spec) for name, spec in (metrics or {}).items()}
        collection = task_metrics.build_metrics(self.label_set, own)
        self.main_metric = task_metrics.main_metric(self.label_set.kind, main_metric, collection)
        self.main_metric_mode = task_metrics.direction(self.main_metric, collection)
        self.val_metrics: MetricCollection = collection.clone(prefix="val/")
        self.test_metrics: MetricCollection = collection.clone(prefix="test/")
        self.logs_validation = True
        self._architecture = architecture
        self._travelling: dict[str, Any] = {}
        self._objective_state: Mapping[str, Any] = {}
        self._digest = ""
        self._watch = StepWatch()
        self._resuming = Resuming()
        plain_values = {
            "backbone": backbone,
            "labels": self.label_set.to_dict(),
            "objective": spec_of(self.objective),
            "lr": lr,
            "optimizer": as_plain(self.optimizer_settings),
            "schedule": as_plain(self.schedule_settings),
            "loss": as_plain(self.loss_settings),
            "dropout": as_plain(self.dropout_settings),
            "tuning": describe_object(self.tuning, "tuning"),
            "gradient_checkpointing": gradient_checkpointing,
            "packed": packed,
            "compiled": compiled,
            "main_metric": main_metric,
            "metrics": {name: as_plain(spec) for name, spec in own.items()},
            "architecture": architecture,
        }
        self.save_hyperparameters(plain_values)

    @property
    def monitor(self) -> str:
        """The logged name of the main metric, for early stopping and the best checkpoint."""
        return f"val/{self.main_metric}"

    def configure_model(self) -> None:
        """Build the encoder once, and split it where the strategy does that."""
        self._build()
        mesh: Any = self.device_mesh
        if mesh is not None and not is_sharded(self.classifier):
            shard(self.classifier, mesh["data_parallel"])

    def _build(self) -> None:
        """Build the encoder from the backbone or from a checkpoint's architecture."""
        if hasattr(self, "classifier"):
            return
        try:
            encoder = build_encoder(
                self.backbone,
                self.label_set,
                architecture=read_architecture(self._architecture),
                dropout=self.dropout_settings,
                tuning=self.tuning,
            )
        except (RuntimeError, MemoryError) as err:
            if not is_out_of_memory(err):
                raise
            raise ConfigError(
                f"the encoder {self.backbone!r} does not fit into this machine's memory; choose a "
                "smaller one."
            ) from err
        if self.tuning.partial:
            self._digest = digest(self.backbone)
        if self.gradient_checkpointing:
            recompute_layers(encoder)
        self._choose_steps(encoder)
        self.classifier = Classifier(encoder, packed=self.packed, compiled=self.compiled)
        given = self.loss_settings.class_weights
        weights = given if isinstance(given, list) else None  # "auto" needs the data: on_fit_start
        self.loss = Loss(self.label_set.kind, self.loss_settings, weights)
        self.hparams["architecture"] = json.dumps(architecture_of(encoder), ensure_ascii=False)
        self.objective.check(self.classifier)

    def _choose_steps(self, encoder: PreTrainedModel) -> None:
        """Let training steps be packed or compiled, or those that are fastest on a CPU."""
        if self.packed:
            pack_sequences(encoder)
        if self.compiled:
            if self.objective.keeps_graph:
                raise ConfigError(
                    f"model.compiled=true: {type(self.objective).__name__} differentiates twice "
                    "through one pass, which compiled layers cannot; use FGM or RDrop, or leave "
                    "it out."
                )
            compile_layers(encoder)
        if not (self.packed or self.compiled):
            accelerate(encoder)

    def on_fit_start(self) -> None:
        """Put every module into training mode, as pretrained ones are not; ready the objective."""
        self.classifier.train()
        if self.lr == "auto":
            raise ConfigError(
                "model.lr=auto is found before training, by the callback FindLR among "
                "default_callbacks; add it to the trainer's callbacks, or give a number."
            )
        tokenizer = getattr(getattr(self.trainer, "datamodule", None), "loaded_tokenizer", None)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        self.objective.prepare(
            FitContext(
                self.classifier,
                special_ids=None if tokenizer is None else tokenizer.special_ids,
                scale=unscaled if scaler is None else scaler.scale,
            )
        )
        self.objective.load_state_dict(self._objective_state)
        self._objective_state = {}

    def on_train_start(self) -> None:
        """Go on exactly where a checkpoint ended."""
        self._resuming.start(self.trainer)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Note where a step begins, to resume there."""
        self._resuming.before_batch(self.trainer, batch_idx)

    def setup(self, stage: str) -> None:
        """Fit the model to the data before any work is done: length, class weights, head."""
        if stage == "fit" and self.trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
        data = getattr(self.trainer, "datamodule", None)
        wanted = getattr(data, "max_length", None)
        self._build()
        require_known(self.trainer.strategy)
        if stage == "fit" and self.objective.needs_whole_weights:
            require_whole_weights(self.trainer, f"model.objective={type(self.objective).__name__}")
        if stage == "fit":
            self._check_steps()
        if stage == "fit" and self.optimizer_settings.name == "adafactor":
            require_whole_weights(self.trainer, "model.optimizer.name=adafactor")
        if wanted is not None:
            self.check_length(wanted)
        if stage == "fit":
            self._start_from_counts(data)

    def _check_steps(self) -> None:
        """Refuse packed or compiled steps where they cannot be; tell where they are no gain."""
        device = self.trainer.strategy.root_device
        if self.compiled:
            require_whole_weights(self.trainer, "model.compiled=true")
        if self.packed:
            check_device(device)
        if (self.packed or self.compiled) and device.type == "cpu":
            logger.warning(
                "model.packed and model.compiled are made for a GPU; on a CPU a training is faster "
                "without them."
            )

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
        """Return the objective's loss of one batch, or the plain one in its clean epochs."""
        clean = self.current_epoch < self.objective.clean_epochs
        objective = Plain() if clean else self.objective
        loss, _ = objective(self.classifier, batch, self.loss)
        for name, value in {"loss": loss.detach(), **objective.parts}.items():
            self.log(f"train/{name}", value, batch_size=len(batch["index"]))
        share = example_share(self.trainer, batch, batch_idx)
        loss = loss if share is None else loss * share
        return self._watch.guard(loss, batch["index"], poisoned=not is_scaled(self.trainer))

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        """Move the weights, and let the objective see them."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.objective.after_step(self.classifier)

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
            logger=self._in_curves,
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
        for name, value in metrics.compute().items():
            shown = name.endswith(f"/{self.main_metric}")
            self.log(name, value.float(), prog_bar=shown, logger=self._in_curves)
        metrics.reset()

    @property
    def _in_curves(self) -> bool | None:
        """False for what is reported only; else None: True would warn where no logger is."""
        reported_only = self.trainer.state.fn == TrainerFn.VALIDATING and not self.logs_validation
        return False if reported_only else None

    def use_lr(self, lr: float) -> None:
        """Take a learning rate in place of auto; checkpoints and trackers will say so too."""
        self.lr = lr
        self.save_hyperparameters({"lr": lr})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and a schedule that moves with every step."""
        lr = 1.0 if self.lr == "auto" else self.lr  # until FindLR sets the optimizer up again
        optimizer = build_optimizer(
            self.classifier.encoder,
            lr,
            self.optimizer_settings,
            fused=not is_scaled(self.trainer),
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
        """Clip, and refuse the step where its loss or gradient is not finite.

        Raises:
            RunError: naming the rows of the step.
        """
        words = self.classifier.encoder.get_input_embeddings()
        norm = clip_step(self, words, optimizer, gradient_clip_val, gradient_clip_algorithm)
        self._watch.check(self.trainer, norm, self.lr)

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
        loggers = getattr(self._trainer, "loggers", ())
        tracked = [each.address for each in loggers if getattr(each, "address", None)]
        if tracked:
            checkpoint[PACKAGE_KEY][TRACKED_KEY] = tracked[0]
        if self.tuning.partial:
            checkpoint[PACKAGE_KEY][BACKBONE_KEY] = {"name": self.backbone, "sha256": self._digest}
            checkpoint["state_dict"] = trained_only(checkpoint["state_dict"], self)
        checkpoint[OBJECTIVE_KEY] = self.objective.state_dict()
        if self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING:
            state = self._resuming.save(self._trainer, checkpoint, _order_of(data))
            checkpoint[RESUME_KEY] = state

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
            if key not in ("format", "labels", "class_path", BACKBONE_KEY, TRACKED_KEY)
        }
        if self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING:
            self._objective_state = checkpoint.get(OBJECTIVE_KEY, {})
            without_average(self._trainer, checkpoint)
            data = getattr(self._trainer, "datamodule", None)
            self._resuming.load(self._trainer, checkpoint, _order_of(data))
        checkpoint["state_dict"] = self.whole_weights(checkpoint)
        if self.lr == "auto":  # refused by FindLR where it is a fit
            return
        stored = checkpoint["hyper_parameters"]
        retarget(checkpoint, old_lr=stored["lr"], lr=self.lr, settings=self.optimizer_settings)

    def whole_weights(self, checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return a checkpoint's weights, with this module's own where it holds only the trained.

        Raises:
            CheckpointError: if it was tuned in another way, or on other weights of the backbone.
        """
        tuned = as_tuning(checkpoint["hyper_parameters"].get("tuning"))
        if not same_function(tuned, self.tuning):
            raise CheckpointError(
                f"the checkpoint was tuned with {tuned}, model.tuning is {self.tuning}; it has to "
                "stay: to change it, start a new run with the checkpoint as model.backbone."
            )
        weights: dict[str, Tensor] = checkpoint["state_dict"]
        if not tuned.partial:
            return weights
        self.configure_model()
        check_digest(checkpoint[PACKAGE_KEY][BACKBONE_KEY], self.backbone, self._digest)
        return completed(weights, self)

    @property
    def trained_weights(self) -> str:
        """How many weights of the encoder and its head are trained, in words."""
        trained, total = count_weights(self.classifier.encoder)
        method = type(self.tuning).__name__
        return f"{trained:,} of {total:,} weights ({trained / total:.2%}), {method}"

    @property
    def travelling(self) -> dict[str, Any]:
        """Tokenizer and data settings that came with the checkpoint; empty before one was read."""
        return self._travelling


def _order_of(data: Any) -> Any:
    return data.train_order() if hasattr(data, "train_order") else None

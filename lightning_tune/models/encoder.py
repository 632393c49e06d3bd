"""Build a sequence classifier of any encoder family, from pretrained files or an architecture."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.backbones import not_found, within_reach
from lightning_tune.models.checkpoints import PACKAGE_KEY, is_checkpoint, read_checkpoint
from lightning_tune.models.family_names import DROPOUT_NAMES
from lightning_tune.models.layout import apply_own_layout
from lightning_tune.models.naming import is_head
from lightning_tune.models.partial import BACKBONE_KEY, check_digest, completed, digest
from lightning_tune.models.peft import Full, Tuning, as_tuning
from lightning_tune.schema import LabelSet, TaskKind

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DropoutSettings:
    """Dropout probabilities in [0, 1); null keeps the encoder's own.

    Args:
        hidden: After embeddings, attention and feed-forward blocks.
        attention: On attention probabilities.
        classifier: Before the classification head.
    """

    hidden: float | None = None
    attention: float | None = None
    classifier: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not 0 <= value < 1:
                raise ConfigError(
                    f"dropout.{field.name}={value} is outside [0, 1); give a probability, or null."
                )


_DEBERTA = ("deberta", "deberta-v2")
_PROBLEM_TYPE: Mapping[
    TaskKind,
    Literal["single_label_classification", "multi_label_classification", "regression"],
] = {
    "binary": "single_label_classification",
    "multiclass": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}


def build_encoder(
    backbone: str,
    labels: LabelSet,
    *,
    architecture: Mapping[str, Any] | None = None,
    dropout: DropoutSettings = DropoutSettings(),
    tuning: Tuning = Full(),  # noqa: B008 - no settings
) -> PreTrainedModel:
    """Build the encoder with its classification head, in training mode and fp32.

    Args:
        backbone: A hub name, a folder or one of our checkpoints, whose weights start the training.
        labels: What the head answers.
        architecture: The encoder's config as plain values, where a checkpoint is loaded
            afterwards; unless the tuning is partial no file is read, and the weights are random.
        dropout: Probabilities that differ from the encoder's own.
        tuning: Which weights are trained, and what is added for it.

    Raises:
        ConfigError: if the backbone is not found, is no encoder that can classify sequences, or
            cannot take the tuning.
        CheckpointError: if the backbone is a checkpoint that cannot be used.
    """
    if architecture is not None and not tuning.partial:
        model = _from_architecture(architecture, labels, dropout)
    elif is_checkpoint(backbone):
        model = _from_checkpoint(backbone, labels, dropout, tuning, quiet=architecture is not None)
    else:
        model = _from_pretrained(backbone, labels, dropout, architecture)
        tuning.apply(model)
    model.train()
    return model


def architecture_of(model: PreTrainedModel) -> dict[str, Any]:
    """Return an encoder's config as plain values, from which `build_encoder` rebuilds it."""
    values: dict[str, Any] = json.loads(model.config.to_json_string(use_diff=False))
    values["id2label"] = {int(index): name for index, name in values["id2label"].items()}
    for key in ("_name_or_path", "transformers_version"):
        values.pop(key, None)
    return values


def start_at_base_rates(
    model: PreTrainedModel,
    kind: TaskKind,
    mean_targets: Sequence[float],
    positive_weights: Tensor | None = None,
) -> None:
    """Set the bias of a new head so that it first answers with the means of train.

    From a bias of zero, a multi-label task with rare labels starts by pushing all its logits down
    together, and the encoder follows until all texts look alike to it. A head whose bias is not
    zero was trained before and stays as it is. The remedy is Lin et al. 2017's (section 4.1,
    https://arxiv.org/abs/1708.02002).

    Args:
        model: The encoder with its head.
        kind: multilabel or regression.
        mean_targets: Mean target of each output in train: a share of the examples, or a number.
        positive_weights: Weight of each label's positive side in the loss, [outputs] float32.
    """
    outputs = [
        module
        for name, module in model.named_modules()
        if is_head(model, name) and isinstance(module, nn.Linear)
    ]
    bias = outputs[-1].bias if outputs else None
    if bias is None or bias.is_meta or bias.count_nonzero():
        return
    start = torch.tensor(mean_targets, dtype=torch.float32)
    if kind == "multilabel":
        start = torch.logit(start, eps=1e-4)
        if positive_weights is not None:
            start = start + positive_weights.cpu().clamp_min(1e-4).log()
    with torch.no_grad():
        bias.copy_(start)


def _prepare_config(config: PreTrainedConfig, labels: LabelSet, dropout: DropoutSettings) -> None:
    names = list(labels.names) or ["score"]
    config.num_labels = labels.num_outputs
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    config.problem_type = _PROBLEM_TYPE[labels.kind]
    for kind in DROPOUT_NAMES:
        value = getattr(dropout, kind)
        if value is None:
            continue
        known = [name for name in DROPOUT_NAMES[kind] if hasattr(config, name)]
        if kind == "classifier" and config.model_type in _DEBERTA:
            known = ["cls_dropout"]  # its head reads what its config class does not declare
        if not known:
            raise ConfigError(
                f"dropout.{kind}={value} cannot be set: {config.model_type} has no such dropout; "
                "use dropout.hidden."
            )
        for name in known:
            setattr(config, name, value)


def _from_pretrained(
    backbone: str,
    labels: LabelSet,
    dropout: DropoutSettings,
    architecture: Mapping[str, Any] | None = None,
) -> PreTrainedModel:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = within_reach(backbone)
    try:
        if architecture is None:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        else:
            config = _read_config(architecture)
        tuned_for = _tuned_labels(config)
        _prepare_config(config, labels, dropout)
        with _quiet_transformers():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                trust_remote_code=False,
            )
    except ConfigError:
        raise
    except Exception as err:  # broken files raise whatever their parser raises
        raise not_found(backbone, err) from err
    mismatched = {name for name, *_ in report["mismatched_keys"]}
    new_pooler = _check_body(model, {*report["missing_keys"], *mismatched}, backbone)
    if architecture is not None:  # head and pooler come from a checkpoint
        return model  # type: ignore[no-any-return]
    if new_pooler:
        logger.warning("%s comes without a pooler; it starts with a new one.", backbone)
    wanted = list(model.config.id2label.values())
    if tuned_for and tuned_for != wanted:
        logger.warning(
            "%s was tuned for the labels %s; its head is replaced by a new one for %s.",
            backbone,
            tuned_for[:8],
            wanted[:8],
        )
        _renew_head(model)
    return model  # type: ignore[no-any-return]


def _tuned_labels(config: PreTrainedConfig) -> list[str]:
    """Return the labels that the stored weights have a head for; none for a bare encoder."""
    has_head = any("ForSequenceClassification" in name for name in config.architectures or ())
    return list((config.id2label or {}).values()) if has_head else []


def _check_body(model: PreTrainedModel, absent: Collection[str], backbone: str) -> bool:
    """Refuse weights that would leave parts of the encoder random; return if the pooler is new."""
    body = sorted(name for name in absent if not is_head(model, name))
    pooler = [name for name in body if ".pooler." in name]
    if len(body) > len(pooler):
        raise ConfigError(
            f"the weights of backbone={backbone!r} do not fit its config.json: {len(body)} "
            f"parameters are missing or of another shape, {body[0]} the first; give an encoder "
            "whose files belong together."
        )
    return bool(pooler)


def _renew_head(model: PreTrainedModel) -> None:
    fresh = dict(_random(model.config).named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_head(model, name):
                parameter.copy_(fresh[name])


def _random(config: PreTrainedConfig) -> PreTrainedModel:
    """Build an encoder with random weights; building writes into its config, so it gets a copy."""
    from transformers import AutoModelForSequenceClassification

    from_config: Any = AutoModelForSequenceClassification.from_config  # untyped in transformers
    model: PreTrainedModel = from_config(copy.deepcopy(config)).float()
    apply_own_layout(model)
    return model


def _from_architecture(
    architecture: Mapping[str, Any], labels: LabelSet, dropout: DropoutSettings
) -> PreTrainedModel:
    config = _read_config(architecture)
    _prepare_config(config, labels, dropout)
    return _random(config)


def _read_config(architecture: Mapping[str, Any]) -> PreTrainedConfig:
    from transformers import AutoConfig

    values = copy.deepcopy(dict(architecture))
    config: PreTrainedConfig = AutoConfig.for_model(values.pop("model_type"), **values)
    return config


def restore_encoder(
    checkpoint: Mapping[str, Any], path: str, *, backbone: str | None = None
) -> PreTrainedModel:
    """Rebuild the encoder that a checkpoint was written of, with what its tuning added.

    Args:
        checkpoint: What `read_checkpoint` gave.
        path: Where it is from, for errors.
        backbone: Where the backbone is now, if a partial checkpoint names another place.

    Raises:
        ConfigError: if the backbone of a partial checkpoint is not found.
        CheckpointError: if its weights are not those of the training, or the checkpoint's do not
            fit the encoder that its config describes.
    """
    ours, stored = checkpoint[PACKAGE_KEY], checkpoint["hyper_parameters"]
    tuning = as_tuning(stored.get("tuning"))
    name = backbone or stored.get("backbone", "")
    model = build_encoder(
        name,
        LabelSet.from_dict(ours["labels"]),
        architecture=json.loads(stored["architecture"]),
        tuning=tuning,
    )
    weights = _encoder_weights(checkpoint)
    if tuning.partial:
        check_digest(ours[BACKBONE_KEY], name, digest(name))
        weights = completed(weights, model)
    _load(model, weights, path)
    return model


def _encoder_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    prefix = "classifier.encoder."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }


def _load(model: PreTrainedModel, weights: Mapping[str, Tensor], path: str) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as err:
        raise CheckpointError(
            f"checkpoint {path!r} does not hold the encoder that its config describes; use another."
        ) from err


def _from_checkpoint(
    path: str, labels: LabelSet, dropout: DropoutSettings, tuning: Tuning, *, quiet: bool
) -> PreTrainedModel:
    """Start from a tuned checkpoint; another label set gets a new head, and that is said.

    What its tuning added is merged, or kept where it cannot be and the tuning goes on.
    """
    checkpoint = read_checkpoint(path)
    stored = checkpoint["hyper_parameters"]
    before = as_tuning(stored.get("tuning"))
    if not before.merges and before != tuning:
        raise CheckpointError(
            f"checkpoint {path!r} was tuned with {before}, which cannot be merged; set "
            "model.tuning to the same to go on with it, or start from its own backbone, "
            f"{stored['backbone']}."
        )
    model = _from_architecture(json.loads(stored["architecture"]), labels, dropout)
    weights = _encoder_weights(checkpoint)
    if before.partial:
        source = restore_encoder(checkpoint, path)
        if before.merges:
            before.merge(source)
        else:
            tuning.apply(model)
        weights = source.state_dict()
    tuned_for = LabelSet.from_dict(checkpoint[PACKAGE_KEY]["labels"])
    if (tuned_for.kind, tuned_for.names) != (labels.kind, labels.names):
        if not quiet:
            logger.warning(
                "%s was tuned for the labels %s; its head is replaced by a new one for %s.",
                path,
                list(tuned_for.names[:8]),
                list(labels.names[:8]),
            )
        own = {name: value for name, value in model.state_dict().items() if is_head(model, name)}
        body = {name: value for name, value in weights.items() if not is_head(model, name)}
        weights = own | body
    _load(model, weights, path)
    if before.merges:
        tuning.apply(model)
    return model


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silence the load report, which lists the new head as if it were a fault."""
    from transformers.utils import logging

    library: Any = logging  # untyped in transformers
    level, bar = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(level)
        if bar:
            library.enable_progress_bar()

"""Build a sequence classifier of any encoder family, from pretrained files or an architecture."""

from __future__ import annotations

import copy
import json
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.backbones import not_found, resolve
from lightning_tune.models.checkpoints import PACKAGE_KEY, is_checkpoint, read_checkpoint
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


# What the families call the same thing.
_DROPOUT_NAMES: Mapping[str, tuple[str, ...]] = {
    "hidden": ("hidden_dropout_prob", "dropout", "embedding_dropout", "mlp_dropout"),
    "attention": ("attention_probs_dropout_prob", "attention_dropout"),
    "classifier": ("classifier_dropout", "classifier_dropout_prob", "seq_classif_dropout"),
}
_DEBERTA = ("deberta", "deberta-v2")
# Families whose first token has position padding_idx + 1.
_COUNTS_FROM_PADDING = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "mpnet"}
)
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
) -> PreTrainedModel:
    """Build the encoder with its classification head, in training mode and fp32.

    Args:
        backbone: A hub name, a folder or one of our checkpoints, whose weights start the training.
        labels: What the head answers.
        architecture: The encoder's config as plain values; given, no file is read and the weights
            are random, to be loaded from a checkpoint afterwards.
        dropout: Probabilities that differ from the encoder's own.

    Raises:
        ConfigError: if the backbone is not found or is no encoder that can classify sequences.
        CheckpointError: if the backbone is a checkpoint that cannot be used.
    """
    if architecture is not None:
        model = _from_architecture(architecture, labels, dropout)
    elif is_checkpoint(backbone):
        model = _from_checkpoint(backbone, labels, dropout)
    else:
        model = _from_pretrained(backbone, labels, dropout)
    model.train()
    return model


def architecture_of(model: PreTrainedModel) -> dict[str, Any]:
    """Return an encoder's config as plain values, from which `build_encoder` rebuilds it."""
    values: dict[str, Any] = json.loads(model.config.to_json_string(use_diff=False))
    values["id2label"] = {int(index): name for index, name in values["id2label"].items()}
    for key in ("_name_or_path", "transformers_version"):
        values.pop(key, None)
    return values


def max_positions(config: PreTrainedConfig) -> int | None:
    """Longest sequence that the encoder's position embeddings allow; None where there is no limit.

    Rotary (ModernBERT) and relative positions (DeBERTa) have none.
    """
    positions = int(getattr(config, "max_position_embeddings", None) or 0)
    rotary = getattr(config, "rope_parameters", None) is not None
    if positions <= 0 or rotary or not getattr(config, "position_biased_input", True):
        return None
    counts_from_padding = config.model_type in _COUNTS_FROM_PADDING
    return positions - int(config.pad_token_id or 0) - 1 if counts_from_padding else positions


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


def layer_index(name: str) -> int | None:
    """Return which encoder layer a parameter belongs to, by its name; None outside the layers.

    ALBERT's layers share their parameters, which count as layer 0.

    >>> layer_index("bert.encoder.layer.3.attention.self.query.weight")
    3
    >>> layer_index("classifier.weight") is None
    True
    """
    found = re.search(r"\.(?:layer|layers|albert_layer_groups)\.(\d+)\.", name)
    return int(found.group(1)) if found else None


def is_head(model: PreTrainedModel, name: str) -> bool:
    """Whether a parameter belongs to the classification head and not to the pretrained encoder."""
    return not name.startswith(f"{model.base_model_prefix}.")


def is_embedding(name: str) -> bool:
    """Whether a parameter stands below all layers: embeddings, their projection, shared positions.

    >>> is_embedding("mpnet.encoder.relative_attention_bias.weight")
    True
    >>> is_embedding("bert.pooler.dense.weight"), is_embedding("deberta.encoder.layer.0.x.bias")
    (False, False)
    """
    if layer_index(name) is not None:
        return False
    shared = r"embed|\.relative_attention_bias\.|^deberta\.encoder\."
    return re.search(shared, name) is not None


def _prepare_config(config: PreTrainedConfig, labels: LabelSet, dropout: DropoutSettings) -> None:
    names = list(labels.names) or ["score"]
    config.num_labels = labels.num_outputs
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    config.problem_type = _PROBLEM_TYPE[labels.kind]
    for kind in _DROPOUT_NAMES:
        value = getattr(dropout, kind)
        if value is None:
            continue
        known = [name for name in _DROPOUT_NAMES[kind] if hasattr(config, name)]
        if kind == "classifier" and config.model_type in _DEBERTA:
            known = ["cls_dropout"]  # its head reads what its config class does not declare
        if not known:
            raise ConfigError(
                f"dropout.{kind}={value} cannot be set: {config.model_type} has no such dropout; "
                "use dropout.hidden."
            )
        for name in known:
            setattr(config, name, value)


def _from_pretrained(backbone: str, labels: LabelSet, dropout: DropoutSettings) -> PreTrainedModel:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = resolve(backbone)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
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
    _check_body(model, {*report["missing_keys"], *mismatched}, backbone)
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


def _check_body(model: PreTrainedModel, absent: Collection[str], backbone: str) -> None:
    """Refuse weights that would leave parts of the encoder random; a pooler may be new."""
    body = sorted(name for name in absent if not is_head(model, name))
    pooler = [name for name in body if ".pooler." in name]
    if len(body) > len(pooler):
        raise ConfigError(
            f"the weights of backbone={backbone!r} do not fit its config.json: {len(body)} "
            f"parameters are missing or of another shape, {body[0]} the first; give an encoder "
            "whose files belong together."
        )
    if pooler:
        logger.warning("%s comes without a pooler; it starts with a new one.", backbone)


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
    return model


def _from_architecture(
    architecture: Mapping[str, Any], labels: LabelSet, dropout: DropoutSettings
) -> PreTrainedModel:
    from transformers import AutoConfig

    values = copy.deepcopy(dict(architecture))
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    _prepare_config(config, labels, dropout)
    return _random(config)


def _from_checkpoint(path: str, labels: LabelSet, dropout: DropoutSettings) -> PreTrainedModel:
    """Start from a tuned checkpoint; another label set gets a new head, and that is said."""
    checkpoint = read_checkpoint(path)
    tuned_for = LabelSet.from_dict(checkpoint[PACKAGE_KEY]["labels"])
    model = _from_architecture(
        json.loads(checkpoint["hyper_parameters"]["architecture"]), labels, dropout
    )
    prefix = "classifier.encoder."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }
    if (tuned_for.kind, tuned_for.names) != (labels.kind, labels.names):
        logger.warning(
            "%s was tuned for the labels %s; its head is replaced by a new one for %s.",
            path,
            list(tuned_for.names[:8]),
            list(labels.names[:8]),
        )
        weights = {name: value for name, value in weights.items() if not is_head(model, name)}
        weights = {**{k: v for k, v in model.state_dict().items() if is_head(model, k)}, **weights}
    try:
        model.load_state_dict(weights)
    except RuntimeError as err:
        raise CheckpointError(
            f"checkpoint {path!r} does not hold the encoder that its config describes; use another."
        ) from err
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

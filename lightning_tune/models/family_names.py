"""What the families' configs call the same thing: dropout probabilities and positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

DROPOUT_NAMES: Mapping[str, tuple[str, ...]] = {
    "hidden": ("hidden_dropout_prob", "dropout", "embedding_dropout", "mlp_dropout"),
    "attention": ("attention_probs_dropout_prob", "attention_dropout"),
    "classifier": ("classifier_dropout", "classifier_dropout_prob", "seq_classif_dropout"),
}
"""By what `DropoutSettings` calls it, the names in configs."""
# Families whose first token has position padding_idx + 1.
_COUNTS_FROM_PADDING = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "mpnet"}
)


def max_positions(config: PreTrainedConfig) -> int | None:
    """Longest sequence that the encoder's position embeddings allow; None where there is no limit.

    Rotary (ModernBERT) and relative positions (DeBERTa) have none.
    """
    positions = int(getattr(config, "max_position_embeddings", None) or 0)
    rotary = getattr(config, "rope_parameters", None) is not None
    if positions <= 0 or rotary or not getattr(config, "position_biased_input", True):
        return None
    return positions - first_position(config)


def first_position(config: PreTrainedConfig) -> int:
    """Return the position of a sequence's first token in an encoder's position embeddings."""
    counts_from_padding = config.model_type in _COUNTS_FROM_PADDING
    return int(config.pad_token_id or 0) + 1 if counts_from_padding else 0


def attention_dropout(config: PreTrainedConfig) -> float:
    """Return the dropout probability on attention weights that an encoder's config asks for."""
    found = (getattr(config, name, None) for name in DROPOUT_NAMES["attention"])
    return max(float(value or 0.0) for value in found)

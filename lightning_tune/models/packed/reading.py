"""Let an encoder of transformers read a row of sequences, and answer each of them.

Positions and the kernel's offsets go in by the arguments that transformers has for it; the head
reads one token a sequence, and gets no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from lightning_tune.errors import ConfigError
from lightning_tune.models.family_names import attention_dropout, first_position
from lightning_tune.models.packed.attention import attend
from lightning_tune.models.packed.rows import Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "packed"
LAST: Mapping[str, str] = {
    **dict.fromkeys(
        ("bert", "roberta", "xlm-roberta", "camembert", "electra", "ernie", "albert"), "encoder"
    ),
    "distilbert": "transformer",
    "modernbert": "final_norm",
}
"""By model type, the part of an encoder's body that ends with the last hidden state."""

_ROW: ContextVar[Row | None] = ContextVar("row", default=None)


def pack_sequences(encoder: PreTrainedModel) -> None:
    """Let an encoder read packed sequences through `answer`; padded ones it reads as before.

    Raises:
        ConfigError: if its family, its dropout or its tuning do not allow it.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    _check(encoder)
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _mask)
    encoder.set_attn_implementation(NAME)
    last: nn.Module = getattr(encoder.base_model, LAST[encoder.config.model_type])
    by_mean = getattr(encoder.config, "classifier_pooling", None) == "mean"  # ModernBERT's
    last.register_forward_hook(_keep_means if by_mean else _keep_firsts)


def _check(encoder: PreTrainedModel) -> None:
    kind = encoder.config.model_type
    if kind not in LAST:
        raise ConfigError(
            f"model.packed=true: {kind} encoders compute attention in a way of their own; leave it "
            f"out, or take one of {', '.join(LAST)}."
        )
    dropout = attention_dropout(encoder.config)
    if dropout:
        raise ConfigError(
            f"model.packed=true: attention over packed sequences has no dropout, and this encoder "
            f"asks for {dropout}; set model.dropout.attention=0."
        )
    if any(isinstance(getattr(each, "prefix", None), nn.Parameter) for each in encoder.modules()):
        raise ConfigError(
            "model.packed=true: Prefix puts keys before each sequence, which packed ones have no "
            "room for; leave it out, or tune by LoRA, IA3 or Adapters."
        )


def answer(encoder: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """Answer padded sequences, computing their real tokens alone.

    Args:
        encoder: One that `pack_sequences` has seen.
        inputs: `attention_mask`, and `input_ids` or `inputs_embeds`; maybe `token_type_ids`.

    Returns:
        Logits [sequences, outputs].
    """
    row = Row.of(inputs["attention_mask"])
    packed = {name: row.pack(each) for name, each in inputs.items() if name != "attention_mask"}
    with _reading(row):
        logits: Tensor = encoder(
            **packed,
            position_ids=row.positions + first_position(encoder.config),
            cu_seq_lens_q=row.offsets,
            max_length_q=row.longest,
        ).logits
    return logits


@contextmanager
def _reading(row: Row) -> Iterator[None]:
    token = _ROW.set(row)
    try:
        yield
    finally:
        _ROW.reset(token)


def _keep_firsts(module: nn.Module, args: Any, output: Any) -> Any:
    row = _ROW.get()
    return output if row is None else _pooled(output, row.first)


def _keep_means(module: nn.Module, args: Any, output: Any) -> Any:
    row = _ROW.get()
    return output if row is None else _pooled(output, row.mean)


def _pooled(output: Any, pool: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(output, Tensor):
        return pool(output)
    output.last_hidden_state = pool(output.last_hidden_state)
    return output


def _mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """Make the mask of padded sequences; packed ones have none."""
    from transformers.masking_utils import sdpa_mask

    return None if _ROW.get() else sdpa_mask(*args, **kwargs)

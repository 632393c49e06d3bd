"""Compiled layers: in training each encoder layer is one compiled function, at a few lengths.

`torch.compile`: Ansel et al. 2024, https://doi.org/10.1145/3620665.3640366. All layers of a model
share what is compiled. A length is compiled once for any number of sequences, and batches are
padded to a few lengths. Packed sequences (lightning_tune/models/packed) need no padding: a row is
compiled once for any number of tokens.
"""

from __future__ import annotations

import inspect
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lightning_tune.errors import ConfigError
from lightning_tune.models.family_names import max_positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LENGTHS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Lengths in tokens to which batches are padded; longer ones to a multiple of the last."""
VARIANTS = 128
"""How often a layer may be compiled: lengths, with a mask and without, and what is trained."""


def compile_layers(encoder: PreTrainedModel) -> None:
    """Let an encoder's layers be compiled where they are trained; names and weights stay.

    Raises:
        ConfigError: if this version of torch cannot keep as many variants.
    """
    if "recompile_limit" not in inspect.signature(torch.compile).parameters:
        raise ConfigError(
            f"model.compiled=true needs torch 2.13 or newer, this is {torch.__version__}; upgrade "
            "it, or leave the setting out."
        )
    from lightning_tune.models.fast.install import become

    for name, module in list(encoder.named_modules()):
        parent, _, child = name.rpartition(".")
        if re.search(r"\.(layer|layers|albert_layer_groups)$", parent):
            setattr(encoder.get_submodule(parent), child, become(module, _kind_of(type(module))))


def padded_to_few(encoder: PreTrainedModel, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pad a batch on the right to the next of `LENGTHS`, if the encoder has so many positions.

    Args:
        encoder: The encoder that will read it.
        inputs: `attention_mask` and others, [sequences, longest, …].
    """
    longest = inputs["attention_mask"].shape[1]
    more = next_length(longest, max_positions(encoder.config)) - longest
    fill = {"input_ids": int(encoder.config.pad_token_id or 0)}
    return {
        name: pad(each, (*(0, 0) * (each.ndim - 2), 0, more), value=fill.get(name, 0))
        for name, each in inputs.items()
    }


def next_length(longest: int, limit: int | None = None) -> int:
    """Return the length to pad a batch to.

    >>> [next_length(n) for n in (3, 16, 17, 512, 513)]
    [16, 16, 32, 512, 1024]
    >>> next_length(33, limit=40)
    40
    """
    at = bisect_left(LENGTHS, longest)
    found = LENGTHS[at] if at < len(LENGTHS) else -(-longest // LENGTHS[-1]) * LENGTHS[-1]
    return found if limit is None else max(longest, min(found, limit))


class _CompiledLayer(nn.Module):
    """A layer that is compiled where it is trained, and computes as ever elsewhere."""

    def __call__(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not (self.training and torch.is_grad_enabled()):
            return super().__call__(hidden_states, *args, **kwargs)
        packed = kwargs.get("cu_seq_lens_q") is not None
        for each in _tensors((hidden_states, *args, *kwargs.values())):
            _mark(each, packed=packed)
        return compiled_forward()(self, hidden_states, *args, **kwargs)


def _tensors(values: tuple[Any, ...]) -> Iterator[Tensor]:
    for each in values:
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, tuple):  # ModernBERT's rotary positions
            yield from _tensors(each)


def _mark(each: Tensor, *, packed: bool) -> None:
    """Compile for any number of sequences, in a row for any number of tokens; else as it is."""
    any_size = 1 if packed and each.ndim > 1 else 0
    for at in range(each.ndim):
        mark = torch._dynamo.maybe_mark_dynamic if at == any_size else torch._dynamo.mark_static
        mark(each, at)


@cache
def compiled_forward() -> Callable[..., Any]:
    """Return the function that all compiled layers of a process share: (layer, inputs …)."""
    compile_: Any = torch.compile  # its overloads lack what it takes
    compiled: Callable[..., Any] = compile_(_forward, recompile_limit=VARIANTS)
    return compiled


def _forward(layer: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return layer.forward(*args, **kwargs)


_KINDS: dict[type[nn.Module], type[nn.Module]] = {}


def _kind_of(kind: type[nn.Module]) -> type[nn.Module]:
    if kind not in _KINDS:
        _KINDS[kind] = type(f"Compiled{kind.__name__}", (_CompiledLayer, kind), {})
    return _KINDS[kind]

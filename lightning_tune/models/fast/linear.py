"""The weight and bias that a linear layer computes with: its own, or what peft makes of them.

LoRA, DoRA and IA3 are linear in their input, so each is a linear layer with another weight, which
autograd takes apart again; for the papers see lightning_tune/models/peft. Computed once for all
rows, it costs less than the additional products of each row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def is_linear(part: nn.Module) -> bool:
    """Whether a layer is linear in its input, with float32 weights and a bias, in a way known."""
    if type(part) is nn.Linear:
        return part.bias is not None and part.weight.dtype == torch.float32
    kind = _ADAPTED.get(_path(part))
    return kind is not None and kind[0](part)


def weight_and_bias(part: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the weight [outputs, inputs] and the bias [outputs] of a layer that `is_linear`."""
    if type(part) is nn.Linear:
        return part.weight, part.bias
    return _ADAPTED[_path(part)][1](part)


def _path(part: nn.Module) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def _is_adapted_once(part: Any) -> bool:
    plain = is_linear(part.get_base_layer()) and not part.fan_in_fan_out
    return plain and len(part.active_adapters) == 1 and not (part.disable_adapters or part.merged)


def _has_low_rank(part: Any) -> bool:
    if not _is_adapted_once(part):
        return False
    name = part.active_adapters[0]
    dropout = part.lora_dropout[name]
    factors = (part.lora_A[name], part.lora_B[name])
    variant = name in part.lora_variant and not part.use_dora[name]
    drops = dropout.training and getattr(dropout, "p", 0.0) > 0
    return not (variant or drops) and all(
        factor.bias is None and factor.weight.dtype == torch.float32 for factor in factors
    )


def _with_low_rank(part: Any) -> tuple[Tensor, Tensor]:
    name, (weight, bias) = part.active_adapters[0], weight_and_bias(part.get_base_layer())
    low, high = part.lora_A[name].weight, part.lora_B[name].weight
    changed = torch.addmm(weight, high, low, alpha=part.scaling[name])
    if not part.use_dora[name]:
        return changed, bias
    lengths = torch.linalg.vector_norm(changed.detach(), dim=1)  # the paper's section 4.3
    factor = part.lora_magnitude_vector[name].weight / lengths
    return factor.unsqueeze(1) * changed, bias


def _has_factors(part: Any) -> bool:
    return _is_adapted_once(part) and part.ia3_l[part.active_adapters[0]].dtype == torch.float32


def _with_factors(part: Any) -> tuple[Tensor, Tensor]:
    weight, bias = weight_and_bias(part.get_base_layer())
    factors = part.ia3_l[part.active_adapters[0]].flatten()
    if part.is_feedforward:  # on the inputs
        return weight * factors, bias
    return factors.unsqueeze(1) * weight, factors * bias


_ADAPTED: Mapping[str, tuple[Callable[[Any], bool], Callable[[Any], tuple[Tensor, Tensor]]]] = {
    "peft.tuners.lora.layer.Linear": (_has_low_rank, _with_low_rank),
    "peft.tuners.ia3.layer.Linear": (_has_factors, _with_factors),
}

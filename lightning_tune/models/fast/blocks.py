"""What both blocks of an encoder layer share: casts, linear backward, residual and norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_tune.models.fast.dropout import keep_bits, mask, mask_, scale_of


class NormSaved(NamedTuple):
    """What the backward of `add_norm` needs."""

    summed: Tensor
    mean: Tensor
    rstd: Tensor
    bits: Tensor | None


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor in another type; the same one where it has it."""
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


def add_norm(
    residual: Tensor, out: Tensor, weight: Tensor, bias: Tensor, p: float, eps: float
) -> tuple[Tensor, NormSaved]:
    """Return norm(residual + dropout(out)), [rows, width], overwriting `out`."""
    bits = keep_bits(tuple(out.shape), p, out.dtype) if p else None
    if bits is not None:
        mask_(out, bits)
    summed = torch.add(residual, out, alpha=scale_of(p))
    normed, mean, rstd = torch.native_layer_norm(summed, [summed.shape[-1]], weight, bias, eps)
    return normed, NormSaved(summed, mean, rstd, bits)


def add_norm_backward(
    grad: Tensor, saved: NormSaved, weight: Tensor, bias: Tensor, p: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of the sum, of what dropout was given, of norm weight and bias."""
    # In float32: on bfloat16 the kernel is slower, and sums weight and bias with an error of 4 %.
    d_sum, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
        grad.float(),
        saved.summed.float(),
        [saved.summed.shape[-1]],
        saved.mean,
        saved.rstd,
        weight,
        bias,
        [True, True, True],
    )
    d_sum = d_sum.to(grad.dtype)
    if saved.bits is None:
        return d_sum, d_sum, d_weight, d_bias
    return d_sum, mask(d_sum, saved.bits).mul_(scale_of(p)), d_weight, d_bias


def rows_at_once(rows: int, inner: int, outer: int) -> int:
    """Return how many rows of a product [rows, inner] @ [inner, outer] to compute in one call.

    Products that narrow, of some hundred rows, run on one thread in oneDNN 3.7 (torch 2.13) however
    many there are; in pieces they do not. Measured by tests/benchmarks/products.py.

    >>> rows_at_once(768, 1536, 384), rows_at_once(768, 384, 1536), rows_at_once(4096, 1536, 384)
    (192, 768, 4096)
    """
    few = rows <= (448 if outer < 512 else 512)
    many = rows >= (960 if outer < 512 else 1536)
    if outer >= inner or few or many:
        return rows
    return 192 if outer < 512 else -(-rows // 2)


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return rows @ weight (+ bias), [n, inner] @ [inner, outer]."""
    count, (inner, outer) = len(rows), weight.shape
    step = rows_at_once(count, inner, outer)
    if step == count:
        return _multiply(rows, weight, bias)
    out = rows.new_empty(count, outer)
    for start in range(0, count, step):
        part, into = rows[start : start + step], out[start : start + step]
        if bias is None:
            torch.mm(part, weight, out=into)
        else:
            torch.addmm(bias, part, weight, out=into)
    return out


def _multiply(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if bias is None:
        return rows @ weight
    if _WITH_BIAS is None or rows.dtype != torch.bfloat16:
        return torch.addmm(bias, rows, weight)
    # addmm spreads the bias over the whole result first and adds the product to it.
    out: Tensor = _WITH_BIAS(rows, weight.t(), bias, "none", [], "")
    return out


_WITH_BIAS: Any = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    else None
)


def linear_backward(
    grad: Tensor, rows: Tensor, weight: Tensor, asked: Sequence[bool]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients of the input, the weight and the bias of rows @ weight.t() + bias.

    Those of the parameters are float32, as the parameters are, or None where not asked for (weight,
    bias).
    """
    d_weight = d_bias = None
    if asked[0]:
        narrows = grad.shape[1] < rows.shape[1]
        left = grad.t().contiguous() if narrows else grad.t()  # oneDNN's own transposing is slower
        d_weight = (left @ rows).float()
    if asked[1]:
        d_bias = grad.sum(dim=0).float()  # summed in float32; asking for it would cast it all first
    return product(grad, weight), d_weight, d_bias

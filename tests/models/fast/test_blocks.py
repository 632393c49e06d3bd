"""Products and their gradients, whichever way they are computed, are the plain ones."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.models.fast import blocks
from lightning_tune.models.fast.blocks import linear_backward, product, rows_at_once


@pytest.mark.parametrize("rows", [448, 449, 700, 959, 960])
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_product_in_pieces_is_the_product(rows, with_bias):
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(rows, 48, generator=generator)
    right = torch.randn(48, 8, generator=generator)
    bias = torch.randn(8, generator=generator) if with_bias else None
    expected = left @ right + (0 if bias is None else bias)
    assert torch.allclose(product(left, right, bias), expected, atol=1e-5)


def test_only_narrowing_products_of_some_hundred_rows_are_cut():
    assert rows_at_once(800, 1536, 384) == 192
    assert rows_at_once(1000, 3072, 768) == 500
    whole = [(800, 384, 1536), (300, 1536, 384), (2000, 1536, 384), (512, 3072, 768)]
    assert all(rows_at_once(*sizes) == sizes[0] for sizes in whole)


@pytest.mark.parametrize("rows", [5, 700])
@pytest.mark.parametrize("op", ["of this build", "missing"])
def test_a_bfloat16_product_adds_its_bias_before_it_is_rounded(rows, op, monkeypatch):
    if op == "missing":
        monkeypatch.setattr(blocks, "_WITH_BIAS", None)
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(rows, 48, generator=generator).bfloat16()
    weight = torch.randn(72, 48, generator=generator).bfloat16()
    bias = torch.randn(72, generator=generator).bfloat16()
    exact = left.double() @ weight.double().t() + bias.double()
    found = product(left, weight.t(), bias)
    assert found.dtype == torch.bfloat16
    # Half of the distance of neighbouring bfloat16 numbers, 2**-8 of the value, and float32's sums.
    assert ((found.double() - exact).abs() <= exact.abs() * 2**-8 + 1e-4).all()


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_this_torch_has_the_product_that_takes_a_bias():
    assert blocks._WITH_BIAS is not None


@pytest.mark.parametrize(("inner", "outer"), [(12, 5), (5, 12)])
@pytest.mark.parametrize("asked", [(True, True), (True, False), (False, True)])
def test_the_gradients_of_a_linear_layer_are_autograds(inner, outer, asked):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(9, inner, generator=generator, requires_grad=True)
    weight = torch.randn(outer, inner, generator=generator, requires_grad=True)
    bias = torch.randn(outer, generator=generator, requires_grad=True)
    grad = torch.randn(9, outer, generator=generator)
    torch.nn.functional.linear(rows, weight, bias).backward(grad)
    found = linear_backward(grad, rows.detach(), weight.detach(), asked)
    for ours, theirs, wanted in zip(found, (rows, weight, bias), (True, *asked), strict=True):
        assert (ours is not None) == wanted
        assert ours is None or torch.allclose(ours, theirs.grad, atol=1e-5)

"""Dropout by bytes drops as often, as independently and with the same expectation as torch's."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lightning_tune.models.fast.dropout import ByteDropout, dropped_bytes, keep_bits, scale_of

TYPES = [torch.float32, torch.bfloat16, torch.float16]


def kept(shape, p, dtype=torch.float32):
    return keep_bits(shape, p, dtype) != 0


@pytest.mark.parametrize("p", [0.01, 0.1, 0.25, 0.5, 0.9])
def test_the_share_that_is_dropped_is_the_probability_to_a_256th(p):
    torch.manual_seed(0)
    count = 400_000
    dropped = count - int(kept((count,), p).sum())
    expected = round(p * 256) / 256
    assert abs(expected - p) <= 1 / 512
    deviation = math.sqrt(count * expected * (1 - expected))
    assert abs(dropped - count * expected) < 4.5 * deviation


@pytest.mark.parametrize("lag", [1, 2, 7, 8, 64])
def test_neighbours_are_dropped_independently(lag):
    torch.manual_seed(1)
    mask = kept((400_000,), 0.25).double()
    centred = mask - mask.mean()
    correlation = float((centred[:-lag] * centred[lag:]).mean() / centred.var())
    assert abs(correlation) < 4.5 / math.sqrt(len(mask))


def test_each_of_the_eight_bytes_of_a_drawn_number_drops_alike():
    torch.manual_seed(2)
    mask = kept((50_000, 8), 0.1).double()
    deviation = math.sqrt(0.1016 * 0.8984 / len(mask))
    assert ((1 - mask.mean(dim=0)) - 26 / 256).abs().max() < 4.5 * deviation


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (2, 3, 8)])
def test_a_mask_has_all_bits_or_none(dtype, shape):
    torch.manual_seed(0)
    bits = keep_bits(shape, 0.5, dtype)
    assert bits.shape == shape
    assert bits.element_size() == torch.empty(0, dtype=dtype).element_size()
    assert set(bits.unique().tolist()) <= {0, -1}


@pytest.mark.parametrize("dtype", TYPES)
def test_what_is_kept_is_scaled_so_that_the_expectation_stays(dtype):
    torch.manual_seed(3)
    dropout = ByteDropout(0.1)
    out = dropout(torch.ones(200_000, dtype=dtype)).double()
    assert sorted(out.unique().tolist()) == pytest.approx([0, 256 / 230], rel=5e-3)
    assert float(out.mean()) == pytest.approx(
        1, abs=4.5 * math.sqrt(0.1016 / 0.8984 / 200_000) + 4e-3
    )


def test_the_gradient_flows_where_a_value_was_kept_with_the_same_scale():
    torch.manual_seed(4)
    values = torch.randn(64, 33, requires_grad=True)
    out = ByteDropout(0.3)(values)
    weights = torch.randn_like(out)
    (out * weights).sum().backward()
    expected = torch.where(out == 0, 0.0, weights * scale_of(0.3))
    assert torch.allclose(values.grad, expected)


def test_a_transposed_input_is_dropped_where_it_stands():
    torch.manual_seed(5)
    values = torch.randn(6, 4, requires_grad=True)
    out = ByteDropout(0.5)(values.t())
    assert torch.allclose(out, torch.where(out == 0, 0.0, values.t() * 2))
    out.sum().backward()
    assert torch.allclose(values.grad, torch.where(out == 0, 0.0, 2.0).t())


def test_the_same_seed_draws_the_same_mask_and_the_next_draw_another():
    torch.manual_seed(6)
    first, second = kept((1000,), 0.5), kept((1000,), 0.5)
    torch.manual_seed(6)
    assert torch.equal(first, kept((1000,), 0.5))
    assert not torch.equal(first, second)


def test_nothing_is_dropped_in_evaluation_or_at_probability_zero():
    values = torch.randn(100)
    assert ByteDropout(0.5).eval()(values) is values
    assert ByteDropout(0.0)(values) is values


@pytest.mark.parametrize(("p", "dtype"), [(0.5, torch.float64), (1.0, torch.float32)])
def test_other_types_and_certain_dropping_are_left_to_torch(p, dtype):
    values = torch.ones(64, dtype=dtype)
    torch.manual_seed(7)
    out = ByteDropout(p)(values)
    torch.manual_seed(7)
    assert torch.equal(out, nn.Dropout(p)(values))


def test_the_smallest_probability_still_drops_and_the_largest_still_keeps():
    assert (dropped_bytes(1e-9), dropped_bytes(0.9999), dropped_bytes(0)) == (1, 255, 0)

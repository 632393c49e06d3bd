"""Attention in a row: each sequence by itself, and the call of the kernel that a GPU has for it."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import varlen

from lightning_tune.errors import ConfigError
from lightning_tune.models.packed import check_device
from lightning_tune.models.packed.attention import attend, by_kernel, one_by_one

OFFSETS = torch.tensor([0, 5, 6, 13], dtype=torch.int32)


def heads_of(total=13, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    drawn = (torch.randn(total, 2, 8, generator=generator) for _ in range(3))
    return tuple(each.to(dtype).requires_grad_() for each in drawn)


def by_hand(heads, *, scaling, near=None):
    """Over the whole row at once, with a mask that keeps sequences apart."""
    query, key, value = (each.transpose(0, 1) for each in heads)
    owners = torch.repeat_interleave(torch.arange(3), OFFSETS.diff())
    seen = owners.unsqueeze(0) == owners.unsqueeze(1)
    if near is not None:
        at = torch.arange(len(owners))
        seen &= (at.unsqueeze(0) - at.unsqueeze(1)).abs() <= near
    scores = (query @ key.transpose(1, 2) * scaling).masked_fill(~seen, float("-inf"))
    return (scores.softmax(-1) @ value).transpose(0, 1)


@pytest.mark.parametrize("near", [None, 1, 3])
def test_sequences_one_by_one_attend_as_under_a_mask(near):
    heads = heads_of()
    found = one_by_one(heads, OFFSETS, scaling=0.7, near=near)
    expected = by_hand(heads, scaling=0.7, near=near)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    pull = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    grads = (torch.autograd.grad((out * pull).sum(), heads) for out in (found, expected))
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_scale_is_torchs_own_where_none_is_given():
    expected = by_hand(heads_of(), scaling=8**-0.5)
    torch.testing.assert_close(one_by_one(heads_of(), OFFSETS), expected, rtol=1e-5, atol=1e-6)


def test_the_interface_takes_and_gives_the_shapes_of_transformers():
    heads = heads_of()
    row = [each.transpose(0, 1).unsqueeze(0) for each in heads]  # [1, heads, total, size]
    out, weights = attend(None, *row, None, scaling=0.7, cu_seq_lens_q=OFFSETS, sliding_window=4)
    assert out.shape == (1, 13, 2, 8)
    assert weights is None
    torch.testing.assert_close(out[0], by_hand(heads, scaling=0.7, near=3), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("near", "window"), [(None, (-1, -1)), (3, (3, 3))])
def test_the_kernel_is_told_lengths_scale_and_window(monkeypatch, near, window):
    told = {}

    def kernel(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, **others):
        told.update(others, cu=(cu_seq_q, cu_seq_k), longest=(max_q, max_k))
        return query + key - value

    monkeypatch.setattr(varlen, "varlen_attn", kernel)
    heads = heads_of(dtype=torch.bfloat16)
    found = by_kernel(heads, OFFSETS, 7, scaling=0.7, near=near)
    assert torch.equal(found, heads[0] + heads[1] - heads[2])
    assert told == {
        "cu": (OFFSETS, OFFSETS),
        "longest": (7, 7),
        "scale": 0.7,
        "window_size": window,
    }


@pytest.mark.parametrize("near", [None, 3])
def test_torchs_own_kernel_takes_the_call_forward_and_backward(near):
    """By shapes and types alone: what torch says of its kernel without a GPU."""
    with FakeTensorMode():
        heads = tuple(
            torch.empty(13, 2, 8, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)
        )
        offsets = torch.empty(4, dtype=torch.int32)
        out = by_kernel(heads, offsets, 7, scaling=0.7, near=near)
        assert (out.shape, out.dtype) == ((13, 2, 8), torch.bfloat16)
        out.float().sum().backward()
        assert all(each.grad.shape == each.shape for each in heads)


def test_float32_on_a_gpu_is_one_line():
    with pytest.raises(ConfigError) as told:
        by_kernel(heads_of(), OFFSETS, 7)
    assert str(told.value) == (
        "model.packed=true: a GPU attends over packed sequences in bf16 or fp16, not in float32; "
        "set trainer.precision=bf16-mixed."
    )


def test_a_gpu_without_the_kernel_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(ConfigError) as told:
        check_device(torch.device("cuda", 0))
    assert str(told.value) == (
        "model.packed=true needs a GPU of compute capability 8.0 (Ampere) or newer, this one has "
        "7.5; leave the setting out."
    )


def test_a_torch_without_the_kernel_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    check_device(torch.device("cuda", 0))
    monkeypatch.delattr(varlen, "varlen_attn")
    with pytest.raises(ConfigError, match=r"needs torch 2.13 or newer on a GPU, this is .*; upgra"):
        check_device(torch.device("cuda", 0))


def test_any_cpu_will_do():
    check_device(torch.device("cpu"))

"""Real tokens of a padded batch in one row, and back: one token a sequence, or the mean."""

from __future__ import annotations

import torch

from lightning_tune.models.packed.rows import Row

MASK = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]])


def test_a_row_holds_the_real_tokens_in_their_order():
    row = Row.of(MASK)
    ids = torch.arange(12).view(3, 4)
    assert row.pack(ids).tolist() == [[0, 1, 2, 4, 8, 9, 10, 11]]
    assert row.pack(ids.unsqueeze(2).expand(3, 4, 5)).shape == (1, 8, 5)
    assert row.offsets.tolist() == [0, 3, 4, 8]
    assert row.positions.tolist() == [[0, 1, 2, 0, 0, 1, 2, 3]]
    assert row.longest == 4


def test_the_kernel_gets_offsets_of_its_type():
    assert Row.of(MASK).offsets.dtype == torch.int32


def test_what_is_kept_of_each_sequence():
    row = Row.of(MASK)
    padded = torch.arange(24.0).view(3, 4, 2)
    packed = row.pack(padded)
    assert torch.equal(row.first(packed), padded[:, :1])
    by_hand = [padded[0, :3].mean(0), padded[1, 0], padded[2].mean(0)]
    torch.testing.assert_close(row.mean(packed), torch.stack(by_hand).unsqueeze(1))


def test_gradients_reach_real_tokens_alone():
    padded = torch.randn(3, 4, 2, requires_grad=True)
    Row.of(MASK).pack(padded).sum().backward()
    assert torch.equal(padded.grad[:, :, 0], MASK.float())

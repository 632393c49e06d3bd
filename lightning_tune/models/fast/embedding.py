"""A word-embedding lookup whose dense gradient reuses its memory from step to step.

The table of a small encoder is half of its parameters. Fresh memory for its gradient costs more
than all else in its backward: the operating system clears it page by page. And of its rows only
those of the batch's tokens are not zero, which spares passes over the rest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lightning_tune.models.fast.autograd import apply


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor, owner: ReusingEmbedding) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.owner = owner
        return torch.index_select(table, 0, ids.reshape(-1)).view(*ids.shape, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (ids,) = ctx.saved_tensors
        rows = grad.reshape(ids.numel(), -1).to(ctx.owner.weight.dtype)
        flat = ids.reshape(-1)
        if ctx.owner.padding_idx is not None:
            rows = rows.masked_fill((flat == ctx.owner.padding_idx).unsqueeze(1), 0)
        return ctx.owner.gradient(flat, rows), None, None


class ReusingEmbedding(nn.Embedding):
    """An embedding for training on a CPU; it answers and learns as `torch.nn.Embedding` does."""

    _kept: Tensor | None = None
    _ids: Tensor | None = None  # the rows of _kept that are not zero, while at _version
    _version = -1

    def forward(self, ids: Tensor) -> Tensor:
        """Look ids up, [*, width]."""
        plain = self.max_norm is not None or self.scale_grad_by_freq or self.sparse
        if plain or ids.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(ids)
        return apply(_Lookup, self.weight, ids, self)

    def gradient(self, ids: Tensor, rows: Tensor) -> Tensor:
        """Return the table's gradient, the sum of `rows` [n, width] at `ids` [n].

        In the kept memory unless a tensor in use lives there: the gradient of a batch before, of
        another lookup in this backward, or one that somebody asked for and holds.
        """
        kept = self._kept
        if kept is None or kept.shape != self.weight.shape:
            kept = torch.zeros_like(self.weight, requires_grad=False)
        elif is_shared(kept):
            self._ids = None
            return torch.zeros_like(self.weight, requires_grad=False).index_add_(0, ids, rows)
        else:
            self._clear(kept)
        self._kept = kept.index_add_(0, ids, rows)
        self._ids, self._version = ids, kept._version
        # Autograd takes over, without a copy, a tensor that nobody else holds: a new one.
        return kept.detach()

    def touched_rows(self) -> Tensor | None:
        """Return a copy of the gradient's rows that are not all zero, or None if not known."""
        grad, kept, ids = self.weight.grad, self._kept, self._known_ids()
        if grad is None or kept is None or ids is None or grad.data_ptr() != kept.data_ptr():
            return None
        return kept.index_select(0, torch.unique(ids))

    def overwrite(self, rows: Tensor) -> None:
        """Replace the rows that `touched_rows` returned."""
        ids, kept = self._known_ids(), self._kept
        if ids is not None and kept is not None:
            kept.index_copy_(0, torch.unique(ids), rows)
            self._version = kept._version

    def _clear(self, kept: Tensor) -> None:
        """Zero the kept memory; by rows where only these were written, which costs less."""
        ids = self._known_ids()
        if ids is not None:
            kept.index_fill_(0, ids, 0.0)
        # A write through `.data` is not counted; one over all rows shows in the first column.
        if ids is None or kept[:, 0].any():
            kept.zero_()

    def _known_ids(self) -> Tensor | None:
        """Return the rows that were added to, unless others may have been written since."""
        several = torch.distributed.is_available() and torch.distributed.is_initialized()
        unchanged = self._kept is not None and self._kept._version == self._version
        return self._ids if unchanged and not several else None


def is_shared(tensor: Tensor) -> bool:
    """Whether another tensor lives in a tensor's memory."""
    count: int = torch._C._storage_Use_Count(tensor.untyped_storage()._cdata)  # tests watch it
    return count > _ALONE


def _alone() -> int:
    tensor = torch.empty(1)
    return int(torch._C._storage_Use_Count(tensor.untyped_storage()._cdata))


_ALONE = _alone()

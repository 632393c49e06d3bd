"""A DataLoader that can go on in the middle of an epoch."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_tune.data.batching import BucketSampler

Batch = dict[str, Tensor]
_SECONDS_LEFT = 30

WORKER_SECONDS = 120
"""How long a batch is waited for, from worker processes, before a run gives up."""


def outlive_signals(worker: int) -> None:
    """Let a worker process go on when all processes of a run are told to stop.

    The main process wants its batches until it has saved. A worker that is told to end for itself,
    which DataLoader does where one does not, has these seconds left.
    """
    signal.set_wakeup_fd(-1)  # the main process reads there what it is told itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_SECONDS_LEFT))


def as_arrays(batch: Batch) -> dict[str, Any]:
    """Return the arrays of tensors, for a worker to send.

    Of a tensor a worker sends no more than where to ask for it, and to ask a worker that hangs is
    to hang as well.
    """
    return {name: value.numpy() for name, value in batch.items()}


class ResumableLoader(DataLoader[Batch]):
    """A DataLoader over a `BucketSampler` whose position Lightning keeps in its checkpoints.

    What worker processes have fetched ahead counts only once it is given out; they begin with the
    first batch that is asked for, since Lightning makes its iterator before it knows where to go
    on. The number of batches stays that of a whole epoch.
    """

    _given = 0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch has its own iterator
        """Give out the batches of an epoch without those that `load_state_dict` told."""
        sampler: Any = self.sampler
        bucketed = isinstance(sampler, BucketSampler)  # another one to overfit on few batches
        self._given = sampler.left_out if bucketed else 0
        for batch in super().__iter__():
            self._given += 1
            yield self._as_tensors(batch) if self.collate_fn is as_arrays else batch

    def _as_tensors(self, batch: dict[str, Any]) -> Batch:
        tensors = {name: torch.from_numpy(value) for name, value in batch.items()}
        if not self.pin_memory:
            return tensors
        return {name: value.pin_memory() for name, value in tensors.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch and how many of its batches were given out."""
        return {"epoch": getattr(self.sampler, "epoch", 0), "batches": self._given}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Begin that epoch after those batches."""
        if isinstance(self.sampler, BucketSampler):
            self.sampler.leave_out(state_dict["epoch"], state_dict["batches"])

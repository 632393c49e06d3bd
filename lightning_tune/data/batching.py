"""Length-bucketed batches: what is padded together is nearly equally long.

The plan of an epoch is a function of (seed, epoch) and the lengths alone. In training the examples
are shuffled, cut into megabatches, and sorted by length within each; the batches are then shuffled.
In evaluation all examples are sorted, longest first, so that running out of memory happens at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import DistributedSampler

from lightning_tune.errors import ConfigError
from lightning_tune.serving.batches import by_length

_MEGABATCH = 512  # batches sorted together: with 50, 6 % of BANKING77's tokens are padding, now 1 %
_SPARE = 4  # batches that a megabatch may need more than its share, under a token budget


@dataclass(frozen=True)
class BatchSettings:
    """How many examples make one batch.

    Args:
        size: Examples a batch, at least 1; ignored where `tokens` is given.
        tokens: Most tokens a batch, padding included, or None. An example that is longer is a batch
            of its own.
    """

    size: int = 32
    tokens: int | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"batch_size={self.size} must be at least 1; raise data.batch_size.")
        if self.tokens is not None and self.tokens < 1:
            raise ConfigError(
                f"batch_tokens={self.tokens} must be at least 1; raise data.batch_tokens."
            )


class BucketSampler(DistributedSampler[list[int]]):
    """Yields the batches of one rank as lists of example indices.

    In training every rank gets the same number of batches, the same in every epoch; no example is
    repeated unless there are fewer examples than ranks. In evaluation the batches of all ranks hold
    every example exactly once, and ranks have equally many where there are enough examples.

    It is a `DistributedSampler` so that Lightning calls `set_epoch` and puts no other in its place.

    Args:
        lengths: Tokens of each example's longest sequence.
        sequences: Sequences of each example; one each unless given.
        settings: Size of a batch.
        shuffle: Whether this is for training.
        seed: Decides, with the epoch, about the order.
        num_replicas: Number of ranks that share the examples.
        rank: Which of them this is.
    """

    def __init__(
        self,
        lengths: ArrayLike,
        sequences: ArrayLike | None = None,
        *,
        settings: BatchSettings,
        shuffle: bool,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        self._lengths = np.asarray(lengths)
        super().__init__(
            self._lengths,  # type: ignore[arg-type]  # only its len() is read
            num_replicas=num_replicas,
            rank=rank,
            shuffle=shuffle,
            seed=seed,
        )
        self._sequences = (
            np.ones_like(self._lengths) if sequences is None else np.asarray(sequences)
        )
        self._settings = settings
        self._seen = (0, 0)
        self._planned: tuple[int, list[NDArray[np.intp]]] | None = None
        examples = np.arange(len(self._lengths))
        self._sorted = self._pack(examples)
        mean_size = max(1, len(examples) // max(1, len(self._sorted)))
        self._chunk = _MEGABATCH * (settings.size if settings.tokens is None else mean_size)

    def __iter__(self) -> Iterator[list[int]]:
        mine = self._plan()[self.rank :: self.num_replicas]
        yield from (batch.tolist() for batch in mine[self.left_out :])

    def __len__(self) -> int:
        return len(range(self.rank, len(self._plan()), self.num_replicas))

    @property
    def left_out(self) -> int:
        """Batches of this epoch that a pass leaves out."""
        epoch, batches = self._seen
        return batches if epoch == self.epoch else 0

    def leave_out(self, epoch: int, batches: int) -> None:
        """Leave out the first batches of an epoch, which a resumed run has seen already."""
        self._seen = (epoch, batches)

    def examples_of_step(self, step: int, batches: int, limit: int) -> int:
        """Return how many examples an optimizer step of this epoch sees, on all ranks together.

        Args:
            step: The step, counted from 0 in the epoch.
            batches: Batches that each rank accumulates for a step.
            limit: Batches of the epoch on each rank.
        """
        first, last = step * batches, min((step + 1) * batches, limit)
        taken = self._plan()[first * self.num_replicas : last * self.num_replicas]
        return sum(map(len, taken))

    def _plan(self) -> list[NDArray[np.intp]]:
        """Return the batches of all ranks in turn, those of one step next to each other."""
        epoch = self.epoch if self.shuffle else 0
        if self._planned is None or self._planned[0] != epoch:
            plan = self._training_plan() if self.shuffle else self._evaluation_plan()
            self._planned = epoch, plan
        return self._planned[1]

    def _evaluation_plan(self) -> list[NDArray[np.intp]]:
        batches = _split(self._sorted, _round_up(len(self._sorted), self.num_replicas))
        return sorted(batches, key=lambda batch: -int(self._lengths[batch[0]]))

    def _training_plan(self) -> list[NDArray[np.intp]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(len(self._lengths))
        starts = range(0, len(order), self._chunk)
        batches = [
            batch for start in starts for batch in self._pack(order[start : start + self._chunk])
        ]
        count = self._training_count(len(starts))
        if len(batches) > count:
            batches = self._pack(order)
        batches = _split(batches, count)
        batches = list(islice(cycle(batches), count))  # where there are fewer examples than ranks
        batches.sort(key=lambda batch: int(self._lengths[batch[0]]))
        steps = np.arange(count).reshape(-1, self.num_replicas)  # ranks get equally long batches
        return [batches[at] for at in generator.permutation(steps).ravel()]

    def _training_count(self, chunks: int) -> int:
        """Return the number of batches of every epoch.

        Under a token budget megabatches need more batches than all examples sorted together, in
        some epochs more than in others. Lightning asks for the number once, so batches are split
        up to a number that usually is enough; where it is not, all examples are sorted together.
        """
        spare = _SPARE * chunks if self._settings.tokens is not None and chunks > 1 else 0
        return _round_up(len(self._sorted) + spare, self.num_replicas)

    def _pack(self, examples: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Cut examples into batches, longest first; of equally long ones the order is kept."""
        size, tokens = self._settings.size, self._settings.tokens
        if tokens is None:
            longest_first = np.lexsort((-self._sequences[examples], -self._lengths[examples]))
            examples = examples[longest_first]
            uneven = len(examples) % size  # a small batch of the longest, which differ most
            starts = range(uneven - size if uneven else 0, len(examples), size)
            return [examples[max(0, start) : start + size] for start in starts]
        parts = by_length(self._lengths[examples], self._sequences[examples], tokens)
        return [examples[part] for part in parts]


def _split(batches: list[NDArray[np.intp]], count: int) -> list[NDArray[np.intp]]:
    """Halve the largest batches until there are `count`, or all hold one example."""
    batches = list(batches)
    largest = [(-len(batch), at) for at, batch in enumerate(batches)]
    heapq.heapify(largest)
    while len(batches) < count and largest and largest[0][0] < -1:
        _, at = heapq.heappop(largest)
        middle = len(batches[at]) // 2
        batches.append(batches[at][middle:])
        batches[at] = batches[at][:middle]
        for half in (at, len(batches) - 1):
            heapq.heappush(largest, (-len(batches[half]), half))
    return batches


def _round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple

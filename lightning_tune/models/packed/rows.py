"""A batch as one row of tokens: which of the padded ones are real, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Row:
    """Where the real tokens of a padded batch go.

    Args:
        places: Their places among all, [total] int64.
        offsets: Where each sequence starts in the row, and the end, [sequences + 1] int32.
        positions: Place of each token in its own sequence, [1, total] int64.
        longest: No sequence is longer, in tokens.
    """

    places: Tensor
    offsets: Tensor
    positions: Tensor
    longest: int

    @classmethod
    def of(cls, attention_mask: Tensor) -> Row:
        """Find the real tokens of sequences [sequences, longest], each of which has one at least.

        >>> row = Row.of(torch.tensor([[1, 1, 0], [1, 1, 1]]))
        >>> row.places.tolist(), row.offsets.tolist(), row.positions.tolist()
        ([0, 1, 3, 4, 5], [0, 2, 5], [[0, 1, 0, 1, 2]])
        """
        real = attention_mask.bool()
        places = real.flatten().nonzero().squeeze(1)  # a GPU is waited for here, once a pass
        within = (real.cumsum(1) - 1).flatten().index_select(0, places)
        ends = real.sum(1).cumsum(0)
        offsets = torch.cat([ends.new_zeros(1), ends]).to(torch.int32)
        return cls(places, offsets, within.unsqueeze(0), real.shape[1])

    def pack(self, padded: Tensor) -> Tensor:
        """[sequences, longest, …] to [1, total, …]."""
        return padded.flatten(0, 1).index_select(0, self.places).unsqueeze(0)

    def first(self, packed: Tensor) -> Tensor:
        """Return each sequence's first token: [1, total, width] to [sequences, 1, width]."""
        return packed[0].index_select(0, self.offsets[:-1]).unsqueeze(1)

    def mean(self, packed: Tensor) -> Tensor:
        """Average each sequence: [1, total, width] to [sequences, 1, width]."""
        lengths = self.offsets.diff()
        owners = torch.repeat_interleave(lengths, output_size=packed.shape[1])
        sums = packed.new_zeros(len(lengths), packed.shape[2]).index_add(0, owners, packed[0])
        return (sums / lengths.unsqueeze(1)).unsqueeze(1)

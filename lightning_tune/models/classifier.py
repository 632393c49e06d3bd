"""The classifier: an encoder with its head, from token sequences to one row of logits a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightning_tune.models.compiled import padded_to_few
from lightning_tune.models.packed import answer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Batch = Mapping[str, Tensor]
"""input_ids and attention_mask [sequences, longest] int64; token_type_ids where the encoder has
them; labels; weights [examples] float32 where rows are weighted; index [examples]; and, where long
texts are read in windows, window_of [sequences] int64: the example that a sequence belongs to."""


class Classifier(nn.Module):
    """Answer each text with logits; one read in several windows with the mean of their logits.

    Args:
        encoder: A transformers model for sequence classification.
        packed: Whether it reads packed sequences in training; `pack_sequences` has seen it.
        compiled: Whether its layers are compiled in training; `compile_layers` has seen it.
    """

    def __init__(
        self, encoder: PreTrainedModel, *, packed: bool = False, compiled: bool = False
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.packed = packed
        self.compiled = compiled

    def forward(self, batch: Batch, embeddings: Tensor | None = None) -> Tensor:
        """Answer a batch.

        Args:
            batch: Token sequences.
            embeddings: [sequences, longest, width] to read in place of those that `embed` gives.

        Returns:
            Logits [examples, outputs] float32.
        """
        inputs = {
            name: batch[name] for name in ("attention_mask", "token_type_ids") if name in batch
        }
        if embeddings is None:
            inputs["input_ids"] = batch["input_ids"]
        else:
            inputs["inputs_embeds"] = embeddings
        logits = self._answer(inputs).float()
        window_of = batch.get("window_of")
        return logits if window_of is None else pool_windows(logits, window_of)

    def _answer(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the logits of each sequence; packed and compiled in training only."""
        if self.training and self.packed:
            return answer(self.encoder, inputs)
        if self.training and self.compiled:
            inputs = padded_to_few(self.encoder, inputs)
        logits: Tensor = self.encoder(**inputs).logits
        return logits

    @contextmanager
    def weights_held(self) -> Iterator[None]:
        """Answer such that the gradient at the embeddings alone costs no weight gradients.

        Autograd leaves them out by itself, but a compiled backward pass yields all that the forward
        pass was compiled for.
        """
        trained = [each for each in self.parameters() if self.compiled and each.requires_grad]
        for each in trained:
            each.requires_grad_(False)
        try:
            yield
        finally:
            for each in trained:
                each.requires_grad_(True)

    def embed(self, batch: Batch) -> Tensor:
        """Look the word embeddings up, [sequences, longest, width] float32."""
        found: Tensor = self.encoder.get_input_embeddings()(batch["input_ids"])
        return found


def pool_windows(logits: Tensor, window_of: Tensor) -> Tensor:
    """Average the logits of each example's windows.

    Args:
        logits: [sequences, outputs].
        window_of: [sequences] int64, non-decreasing, without gaps.

    Returns:
        [examples, outputs].

    >>> pool_windows(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1])).tolist()
    [[2.0], [5.0]]
    """
    examples = int(window_of[-1]) + 1
    sums = logits.new_zeros(examples, logits.shape[1]).index_add_(0, window_of, logits)
    counts = torch.bincount(window_of, minlength=examples).unsqueeze(1)
    return sums / counts

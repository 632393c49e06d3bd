"""Whether a graph answers as the classifier does, at shapes and in companies it never saw.

The classifier answers each text alone, without padding; the graph answers the same texts alone,
padded beyond need, and in batches with others, longer and shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_tune.errors import GateError
from lightning_tune.models.family_names import max_positions
from lightning_tune_export.measure import Batch, Runner
from lightning_tune_export.tracing import answering

if TYPE_CHECKING:
    from lightning_tune.models.classifier import Classifier

TOLERANCE = 1e-4
"""Most that a logit of a fp32 graph may differ, where logits are of the order of 1."""
COMPANIES = (1, 2, 7, 32)
"""Texts of a batch."""
SPARE = (0, 1, 13)
"""Columns of padding beyond need."""


@dataclass(frozen=True)
class Parity:
    """How a graph's answers differ from the classifier's.

    Args:
        difference: Largest difference of a logit.
        flips: Answers with another label.
        answers: How many were compared.
        texts: Of how many texts.
        largest: Largest logit, for scale.
    """

    difference: float
    flips: int
    answers: int
    texts: int
    largest: float

    def require(self, name: str, tolerance: float = TOLERANCE) -> Parity:
        """Return this, if it is close enough.

        Raises:
            GateError: if a logit differs by more, or a label does.
        """
        limit = tolerance * max(1.0, self.largest)
        if not self.difference <= limit:
            raise GateError(
                f"{name} does not answer as the checkpoint does: logits differ by "
                f"{self.difference:.1e}, {limit:.0e} is allowed, and {self.flips} of "
                f"{self.answers} labels differ; no bundle was written: report it with the family."
            )
        return self


@dataclass(frozen=True)
class Tokens:
    """One text as tokens.

    Args:
        ids: [tokens] int64.
        types: [tokens] int64.
    """

    ids: NDArray[np.int64]
    types: NDArray[np.int64]


def check_parity(
    run: Runner, classifier: Classifier, sequences: Sequence[Tokens], *, with_types: bool
) -> Parity:
    """Compare a graph with the classifier it was traced from.

    Args:
        run: Answers batches by the graph.
        classifier: What it was traced from.
        sequences: The texts.
        with_types: Whether the encoder takes `token_type_ids`.
    """
    pad_id = int(classifier.encoder.config.pad_token_id or 0)
    longest = max_positions(classifier.encoder.config)
    alone = _alone(classifier, sequences, with_types=with_types)
    difference, flips, answers = 0.0, 0, 0
    for places, spare in companies(len(sequences)):
        chosen = [sequences[place] for place in places]
        batch = _padded(chosen, spare, pad_id, longest, with_types=with_types)
        found, wanted = run(batch), alone[places]
        difference = max(difference, float(np.abs(found - wanted).max()))
        flips += int((_label(found) != _label(wanted)).sum())
        answers += len(places)
    return Parity(difference, flips, answers, len(sequences), float(np.abs(alone).max()))


def random_sequences(
    classifier: Classifier, count: int, *, longest: int = 128, with_types: bool, seed: int = 0
) -> list[Tokens]:
    """Return texts of random tokens, the shortest of one token, the longest of `longest`.

    Args:
        classifier: Whose vocabulary and positions they keep to.
        count: How many.
        longest: Most tokens of one.
        with_types: Whether the second part of each is of type 1.
        seed: Of the random numbers.
    """
    random = np.random.default_rng(seed)
    config = classifier.encoder.config
    limit = min(longest, max_positions(config) or longest)
    pad_id = int(config.pad_token_id or 0)
    found = []
    for _ in range(count):
        length = int(random.integers(1, limit + 1))
        ids = random.integers(0, int(config.vocab_size), length)
        ids[ids == pad_id] = (pad_id + 1) % int(config.vocab_size)
        second = np.arange(length) >= random.integers(0, length + 1)
        types = second & with_types & (int(getattr(config, "type_vocab_size", 0) or 0) > 1)
        found.append(Tokens(ids, types.astype(np.int64)))
    return found


def companies(count: int, seed: int = 0) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Yield the places of each batch's texts, and the columns of padding beyond need.

    Each text is in one batch of each size, whose other texts are drawn by chance.
    """
    random = np.random.default_rng(seed)
    for turn, size in enumerate(COMPANIES):
        order = random.permutation(count)
        for start in range(0, count, size):
            yield order[start : start + size], SPARE[(start // size + turn) % len(SPARE)]


@torch.no_grad()
def _alone(
    classifier: Classifier, sequences: Sequence[Tokens], *, with_types: bool
) -> NDArray[np.float32]:
    encoder = classifier.encoder
    rows = []
    with answering(encoder, "eager"):
        for sequence in sequences:
            batch = {
                "input_ids": torch.from_numpy(sequence.ids[None]),
                "attention_mask": torch.ones(1, len(sequence.ids), dtype=torch.int64),
            }
            if with_types:
                batch["token_type_ids"] = torch.from_numpy(sequence.types[None])
            rows.append(classifier(batch).numpy())
    found: NDArray[np.float32] = np.concatenate(rows)
    return found


def _padded(
    sequences: Sequence[Tokens],
    spare: int,
    pad_id: int,
    longest: int | None,
    *,
    with_types: bool,
) -> Batch:
    width = max(len(each.ids) for each in sequences)
    width = width + spare if longest is None else min(width + spare, longest)
    ids = np.full((len(sequences), width), pad_id, np.int64)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    for row, each in enumerate(sequences):
        ids[row, : len(each.ids)] = each.ids
        types[row, : len(each.ids)] = each.types
        mask[row, : len(each.ids)] = 1
    found = {"input_ids": ids, "attention_mask": mask}
    return found | ({"token_type_ids": types} if with_types else {})


def _label(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the largest logit's place; of one logit (binary by sign, or a score) its sign."""
    found: NDArray[np.int64]
    found = logits.argmax(axis=1) if logits.shape[1] > 1 else (logits[:, 0] > 0).astype(np.int64)
    return found

"""The logits of a split from anything that answers batches of arrays, in the order of its rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lightning_tune.data.batching import BatchSettings, BucketSampler
from lightning_tune.data.collation import CollateSettings
from lightning_tune.data.splits import Batches, TokenizedSplit
from lightning_tune.serving.batches import pool
from lightning_tune.serving.runtime import BATCH_TOKENS
from lightning_tune_export.runners import Arrays, Runner
from lightning_tune_export.source import Source

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def batches(
    source: Source,
    split: TokenizedSplit,
    settings: BatchSettings = BatchSettings(tokens=BATCH_TOKENS),  # noqa: B008 - frozen
) -> Iterator[tuple[NDArray[np.intp], Arrays, NDArray[np.int64] | None]]:
    """Yield batches of examples of like length, longest first, padded to the longest.

    Args:
        source: What is exported.
        split: The split.
        settings: How many examples or tokens make a batch.

    Yields:
        Positions in the split, the arrays, and for texts read in windows the place among the
        positions of the example that each sequence belongs to.
    """
    collating = CollateSettings(
        pad_id=source.tokenizer.pad_id,
        with_types=source.tokenizer.with_types,
        with_windows=source.encoding.truncation == "windows",
        pad_multiple=1,
        max_length=source.encoding.max_length,
    )
    examples = Batches(split, collating)
    for chosen in BucketSampler(split.longest, split.windows, settings=settings, shuffle=False):
        batch = examples[chosen]
        arrays = {name: batch[name].numpy() for name in _INPUTS if name in batch}
        window_of = batch["window_of"].numpy() if "window_of" in batch else None
        yield np.array(chosen), arrays, window_of


def logits_of(source: Source, split: TokenizedSplit, run: Runner) -> NDArray[np.float32]:
    """Return the logits of every example of a split, [examples, outputs], in its order."""
    found = np.empty((len(split), source.labels.num_outputs), dtype=np.float32)
    for places, arrays, window_of in batches(source, split):
        logits = run(arrays)
        found[places] = logits if window_of is None else pool(logits, window_of)
    return found


def targets_of(split: TokenizedSplit) -> NDArray[np.generic]:
    """Return the targets of a split's examples: indices, numbers, or 0/1 [examples, labels]."""
    assert split.targets is not None
    found: NDArray[np.generic] = np.asarray(split.targets)[split.label_codes]
    return found


def part_of(split: TokenizedSplit, texts: int, *, seed: int) -> TokenizedSplit:
    """Return at most so many examples of a split, drawn at random and in their order."""
    drawn = np.random.default_rng(seed).permutation(len(split))[:texts]
    rows = split.rows[np.sort(drawn)]
    return TokenizedSplit(split.name, split.store, rows=rows, targets=split.targets)

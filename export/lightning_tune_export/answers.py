"""The logits of a split from anything that answers batches of arrays, in the order of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_tune.data.batching import BatchSettings, BucketSampler
from lightning_tune.data.collation import CollateSettings
from lightning_tune.data.splits import Batches, TokenizedSplit
from lightning_tune.training.module import TextClassifier
from lightning_tune_export.source import Source

Arrays = dict[str, NDArray[np.int64]]
"""input_ids, attention_mask and, where the encoder has them, token_type_ids [sequences, longest]"""
Runner = Callable[[Arrays], NDArray[np.float32]]
"""From such arrays to logits [sequences, outputs]."""

BATCH_TOKENS = 4096
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def batches(
    source: Source,
    split: TokenizedSplit,
    settings: BatchSettings = BatchSettings(tokens=BATCH_TOKENS),  # noqa: B008  # frozen
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
        found[places] = logits if window_of is None else pooled(logits, window_of)
    return found


def pooled(logits: NDArray[np.float32], window_of: NDArray[np.int64]) -> NDArray[np.float32]:
    """Average the logits of each example's windows, as training does.

    >>> pooled(np.array([[1.0], [3.0], [5.0]], np.float32), np.array([0, 0, 1])).tolist()
    [[2.0], [5.0]]
    """
    sums = np.zeros((int(window_of[-1]) + 1, logits.shape[1]), dtype=np.float32)
    np.add.at(sums, window_of, logits)
    counts = np.bincount(window_of).astype(np.float32)
    return np.divide(sums, counts[:, None])


def torch_runner(module: TextClassifier, dtype: torch.dtype = torch.float32) -> Runner:
    """Return what answers with the module itself, in fp32 or under bf16 autocast."""
    encoder = module.classifier.encoder

    @torch.inference_mode()
    def run(arrays: Arrays) -> NDArray[np.float32]:
        inputs: Mapping[str, torch.Tensor] = {
            name: torch.from_numpy(values) for name, values in arrays.items()
        }
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits: torch.Tensor = encoder(**inputs).logits
        found: NDArray[np.float32] = logits.float().numpy()
        return found

    return run


def targets_of(split: TokenizedSplit) -> NDArray[np.generic]:
    """Return the targets of a split's examples: indices, numbers, or 0/1 [examples, labels]."""
    assert split.targets is not None
    found: NDArray[np.generic] = np.asarray(split.targets)[split.label_codes]
    return found


def calibration_batches(source: Source, *, texts: int, size: int = 16) -> list[Arrays]:
    """Return batches of the first texts of train in a random but fixed order, by length.

    Args:
        source: What is exported.
        texts: How many texts, at least 1.
        size: Texts a batch.
    """
    train = source.split("train")
    generator = np.random.default_rng(source.data.seed)
    rows = np.sort(generator.permutation(len(train))[:texts])
    part = TokenizedSplit("train", train.store, rows=train.rows[rows], targets=train.targets)
    return [arrays for _, arrays, _ in batches(source, part, BatchSettings(size))]

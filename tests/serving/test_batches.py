"""Rectangles and batches as training has them, without torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lightning_tune.data.batching import BatchSettings, BucketSampler
from lightning_tune.data.collation import InMemoryRows, collate
from lightning_tune.models.classifier import pool_windows
from lightning_tune.serving.batches import (
    CollateSettings,
    EncodedRows,
    by_length,
    pool,
    rectangle,
)
from lightning_tune.serving.encoding import EncodingSettings, TextEncoder


@pytest.fixture
def texts(lines) -> list[str]:
    return [line[at:] for line in lines for at in range(0, len(line), 7)]


def settings(**changes: object) -> CollateSettings:
    usual = {"pad_id": 0, "with_types": True, "with_windows": True, "pad_multiple": 1}
    return CollateSettings(**{**usual, "max_length": 16, **changes})


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("truncation", ["end", "windows"])
def test_a_rectangle_is_worked_out_sequence_by_sequence(tiny_tokenizer, texts, truncation, paired):
    encoder = TextEncoder(tiny_tokenizer, EncodingSettings(16, truncation, 3, 4), with_types=True)
    encoded = encoder.encode(texts, texts[::-1] if paired else None)
    store = EncodedRows.of(encoded)
    rows = np.array([5, 0, 17, 3])
    batch = rectangle(store, rows, settings(pad_id=9))
    sequences = np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])
    firsts = np.cumsum(encoded.windows) - encoded.windows
    chosen = [at for row in rows for at in range(firsts[row], firsts[row] + encoded.windows[row])]
    width = max(len(sequences[at]) for at in chosen)
    assert batch["input_ids"].shape == (len(chosen), width)
    for line, at in enumerate(chosen):
        ids = sequences[at].tolist()
        second = len(ids) if encoded.second is None else int(encoded.second[at])
        rest = width - len(ids)
        assert batch["input_ids"][line].tolist() == ids + [9] * rest
        assert batch["attention_mask"][line].tolist() == [1] * len(ids) + [0] * rest
        types = [0] * second + [1] * (len(ids) - second) + [0] * rest
        assert batch["token_type_ids"][line].tolist() == types
    owners = np.repeat(np.arange(4), encoded.windows[rows])
    assert batch["window_of"].tolist() == owners.tolist()


def test_training_collates_the_same(tiny_tokenizer, texts):
    encoder = TextEncoder(tiny_tokenizer, EncodingSettings(16), with_types=True)
    encoded = encoder.encode(texts)
    rows = np.array([8, 2, 2, 30])
    ours = rectangle(EncodedRows.of(encoded), rows, settings(pad_multiple=8))
    theirs = collate(InMemoryRows.of(encoded), rows, settings(pad_multiple=8), None)
    assert theirs.pop("index").tolist() == rows.tolist()
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        assert values.dtype == np.int64
        assert torch.equal(torch.from_numpy(values), theirs[name])


def test_unwanted_arrays_are_left_out(tiny_tokenizer):
    encoded = TextEncoder(tiny_tokenizer, EncodingSettings(16), with_types=False).encode(["a", "b"])
    plain = settings(with_types=False, with_windows=False)
    batch = rectangle(EncodedRows.of(encoded), np.array([0, 1]), plain)
    assert batch.keys() == {"input_ids", "attention_mask"}


@pytest.mark.parametrize("tokens", [1, 7, 64, 512, 100_000])
def test_batches_hold_every_row_once_within_the_budget(tokens):
    random = np.random.default_rng(tokens)
    lengths = random.integers(3, 60, 400)
    sequences = random.integers(1, 4, 400)
    batches = by_length(lengths, sequences, tokens)
    assert sorted(np.concatenate(batches).tolist()) == list(range(400))
    for rows in batches:
        assert len(rows) == 1 or lengths[rows].max() * sequences[rows].sum() <= tokens
    heads = [int(lengths[rows[0]]) for rows in batches]
    assert heads == sorted(heads, reverse=True)


def test_training_evaluates_in_the_same_batches():
    random = np.random.default_rng(0)
    lengths, sequences = random.integers(3, 60, 300), random.integers(1, 3, 300)
    settings = BatchSettings(tokens=256)
    theirs = list(BucketSampler(lengths, sequences, settings=settings, shuffle=False))
    ours = [rows.tolist() for rows in by_length(lengths, sequences, 256)]
    assert ours == theirs


def test_equally_long_rows_keep_their_order_and_more_windows_go_first():
    lengths, sequences = np.array([4, 9, 4, 9, 4]), np.array([1, 1, 2, 3, 1])
    found = by_length(lengths, sequences, 10_000)
    assert [rows.tolist() for rows in found] == [[3, 1, 2, 0, 4]]


def test_windows_are_pooled_as_in_training():
    logits = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    window_of = np.array([0, 0, 0, 1, 2, 2, 3])
    expected = pool_windows(torch.from_numpy(logits), torch.from_numpy(window_of)).numpy()
    found = pool(logits, window_of)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)

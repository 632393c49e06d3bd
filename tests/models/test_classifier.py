"""Batches become logits; a text read in windows is the mean of its windows."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.models.classifier import Classifier, pool_windows
from lightning_tune.models.encoder import build_encoder
from lightning_tune.schema import LabelSet


@pytest.fixture
def classifier(tiny_backbone):
    encoder = build_encoder(str(tiny_backbone("bert")), LabelSet("multiclass", ("a", "b", "c")))
    return Classifier(encoder).eval()


def batch_of(rows):
    ids = torch.arange(rows * 6).reshape(rows, 6) + 40
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": torch.tensor([[0, 0, 0, 1, 1, 1]]).repeat(rows, 1),
        "index": torch.arange(rows),
        "labels": torch.zeros(rows, dtype=torch.int64),
    }


def test_logits_are_the_encoders_with_its_types_and_mask(classifier):
    batch = batch_of(3)
    batch["attention_mask"][1, 4:] = 0
    with torch.no_grad():
        expected = classifier.encoder(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            token_type_ids=batch["token_type_ids"],
        ).logits
        without_types = classifier({k: v for k, v in batch.items() if k != "token_type_ids"})
        assert torch.equal(classifier(batch), expected)
    assert not torch.allclose(without_types, expected)


def test_logits_are_fp32_under_autocast(classifier):
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert classifier(batch_of(2)).dtype == torch.float32


def test_windows_are_averaged_by_their_example(classifier):
    batch = batch_of(5)
    with torch.no_grad():
        single = classifier(batch)
        pooled = classifier(batch | {"window_of": torch.tensor([0, 1, 1, 1, 2])})
    torch.testing.assert_close(pooled, torch.stack([single[0], single[1:4].mean(dim=0), single[4]]))


def test_the_gradient_of_an_average_is_shared_by_its_windows():
    logits = torch.zeros(3, 2, requires_grad=True)
    pool_windows(logits, torch.tensor([0, 0, 1])).sum().backward()
    assert logits.grad.tolist() == [[0.5, 0.5], [0.5, 0.5], [1.0, 1.0]]

"""The plain objective is the loss of the batch, with its gradient."""

from __future__ import annotations

import torch

from lightning_tune.models.classifier import Classifier
from lightning_tune.models.encoder import build_encoder
from lightning_tune.schema import LabelSet
from lightning_tune.training.losses import Loss, LossSettings
from lightning_tune.training.objectives import Plain
from lightning_tune.training.objectives.base import from_spec, spec_of

LABELS = LabelSet("multiclass", ("a", "b", "c"))


def test_plain_is_the_loss_of_the_batch(tiny_backbone):
    classifier = Classifier(build_encoder(str(tiny_backbone("bert")), LABELS)).eval()
    ids = torch.arange(20, 44).reshape(4, 6)
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": torch.tensor([0, 1, 2, 1]),
        "weights": torch.tensor([1.0, 2.0, 0.5, 0.0]),
    }
    loss = Loss("multiclass", LossSettings(label_smoothing=0.1), [1.0, 2.0, 3.0])
    value, logits = Plain()(classifier, batch, loss)
    assert torch.equal(logits, classifier(batch))
    torch.testing.assert_close(value, loss(classifier(batch), batch))
    value.backward()
    assert all(parameter.grad is not None for parameter in classifier.parameters())


def test_plain_has_no_settings():
    spec = spec_of(Plain())
    assert spec == {
        "class_path": "lightning_tune.training.objectives.plain.Plain",
        "init_args": {},
    }
    assert from_spec(spec) == Plain()

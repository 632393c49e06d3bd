"""R-Drop against the paper's formula, with the two passes recorded."""

from __future__ import annotations

import logging

import pytest
import torch
from torch.nn import functional

from lightning_tune.errors import ConfigError
from lightning_tune.training.objectives import Plain, RDrop


def recorded(setting) -> list[torch.Tensor]:
    """Return a list into which every answer of the classifier goes."""
    answers: list[torch.Tensor] = []
    setting.classifier.register_forward_hook(lambda _, __, logits: answers.append(logits))
    return answers


@pytest.mark.parametrize("weight", [0.0, 0.7, 5.0])
def test_it_is_half_of_the_papers_loss(arrange, weight):
    setting = arrange(dropout=True)
    answers = recorded(setting)
    value, logits = RDrop(weight=weight)(setting.classifier, setting.batch, setting.loss)
    first, second = answers
    assert not torch.equal(first, second)
    assert torch.equal(logits, first)
    targets = setting.batch["labels"]
    likelihood = functional.cross_entropy(first, targets) + functional.cross_entropy(
        second, targets
    )
    p, q = first.log_softmax(1), second.log_softmax(1)
    both = functional.kl_div(p, q, reduction="batchmean", log_target=True) + functional.kl_div(
        q, p, reduction="batchmean", log_target=True
    )
    torch.testing.assert_close(value, (likelihood + weight * both / 2) / 2)


def test_the_difference_is_told_and_training_lessens_it(arrange):
    setting = arrange(dropout=True)
    objective = RDrop(weight=50.0)
    optimizer = torch.optim.SGD(setting.classifier.parameters(), lr=0.02)
    told = []
    for _ in range(40):
        optimizer.zero_grad()
        objective(setting.classifier, setting.batch, setting.loss)[0].backward()
        optimizer.step()
        told.append(objective.parts["consistency"].item())
    assert sum(told[-8:]) < 0.5 * sum(told[:8])


def test_equal_passes_are_told_once(arrange, caplog):
    setting = arrange(dropout=False)
    objective = RDrop()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            objective(setting.classifier, setting.batch, setting.loss)
    assert [record.getMessage()[:43] for record in caplog.records] == [
        "RDrop compares two passes that are equal, a"
    ]


def test_different_passes_are_not_told(arrange, caplog):
    setting = arrange(dropout=True)
    RDrop()(setting.classifier, setting.batch, setting.loss)
    assert not caplog.records


def test_an_encoder_without_word_embeddings_is_refused(arrange, monkeypatch):
    setting = arrange()
    monkeypatch.setattr(setting.classifier.encoder, "get_input_embeddings", lambda: None)
    with pytest.raises(ConfigError, match="works on word embeddings"):
        RDrop().check(setting.classifier)


def test_it_costs_two_plain_steps(arrange):
    setting = arrange(dropout=True)
    assert setting.products(RDrop()) == 2 * setting.products(Plain())

"""Importance against gradients by masks that are written out, text by text."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.models.layout import NAMES, stack_of
from lightning_tune_export.prune.importance import drawn_scores, importance
from lightning_tune_export.prune.probing import plain_classifier, some_batches

SIZE, HEADS, NEURONS = 8, 2, 32


def by_hand(classifier, batches, kind):
    """Multiply what heads and neurons give by masks of ones; square the gradient of each text."""
    names = NAMES[classifier.encoder.config.model_type]
    layers = stack_of(classifier.encoder)
    generator = torch.Generator().manual_seed(0)
    sums = [(torch.zeros(HEADS), torch.zeros(NEURONS)) for _ in layers]
    for batch in batches:
        scores = drawn_scores(classifier(batch).detach(), kind, generator)
        for row in range(len(scores)):
            one = {n: v[row : row + 1] for n, v in batch.items() if n != "index"}
            masks, handles = [], []
            for layer in layers:
                pair = (
                    torch.ones(HEADS, requires_grad=True),
                    torch.ones(NEURONS, requires_grad=True),
                )
                masks.append(pair)
                for part, mask, size in zip(
                    (names.outward, names.down), pair, (SIZE, 1), strict=True
                ):
                    handles.append(
                        layer.get_submodule(part).register_forward_pre_hook(
                            lambda _, args, m=mask, s=size: (args[0] * m.repeat_interleave(s),)
                        )
                    )
            (classifier(one) * scores[row]).sum().backward()
            for handle in handles:
                handle.remove()
            for pair, total in zip(masks, sums, strict=True):
                for mask, each in zip(pair, total, strict=True):
                    each += mask.grad.square()
    return sums


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet"])
def test_it_is_the_squared_gradient_of_each_texts_mask(arrange, exact, family, kind):
    module, data = arrange(family, kind)
    classifier = plain_classifier(module)
    batches = some_batches(data, 16)
    found = importance(classifier, batches, kind)
    for layer, (heads, neurons) in enumerate(by_hand(classifier, batches, kind)):
        assert heads.max() > 1e-6
        torch.testing.assert_close(found.heads[layer].float(), heads, rtol=1e-3, atol=1e-9)
        torch.testing.assert_close(found.neurons[layer].float(), neurons, rtol=1e-3, atol=1e-9)


def test_a_head_that_nobody_reads_matters_nothing(arrange, exact):
    module, data = arrange()
    layer = module.classifier.encoder.bert.encoder.layer[1]
    with torch.no_grad():
        layer.attention.output.dense.weight[:, :SIZE] = 0
        layer.output.dense.weight[:, 5] = 0
    found = importance(plain_classifier(module), some_batches(data, 16), "binary")
    assert found.heads[1][0] == 0 < found.heads[1][1]
    assert found.neurons[1][5] == 0 < found.neurons[1][6]


def test_tokens_that_are_padding_or_unread_matter_nothing(arrange, exact):
    module, data = arrange()
    batches = some_batches(data, 16)
    found = importance(plain_classifier(module), batches, "binary")
    for batch, lower, upper in zip(batches, found.feeding[0], found.feeding[1], strict=True):
        assert (lower[batch["attention_mask"] == 0] == 0).all()
        assert (upper[:, 1:] == 0).all()  # the head reads the first token alone
        assert (upper[:, 0] > 0).all()


def test_the_same_seed_draws_the_same_answers(arrange):
    module, data = arrange()
    classifier, batches = plain_classifier(module), some_batches(data, 16)
    first, again, other = (importance(classifier, batches, "binary", seed=s) for s in (1, 1, 2))
    assert torch.equal(first.neurons[0], again.neurons[0])
    assert not torch.equal(first.neurons[0], other.neurons[0])


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_drawn_scores_have_the_covariance_of_drawn_answers(kind):
    logits = torch.tensor([[0.5, -1.0, 2.0]])
    many = logits.repeat(200_000, 1)
    scores = drawn_scores(many, kind, torch.Generator().manual_seed(0))
    if kind == "multiclass":
        p = logits.softmax(1)[0]
        expected = torch.diag(p) - torch.outer(p, p)
    else:
        p = logits.sigmoid()[0]
        expected = torch.diag(p * (1 - p)) if kind == "multilabel" else torch.eye(3)
    assert scores.mean(dim=0).abs().max() < 0.01
    torch.testing.assert_close(scores.T @ scores / len(scores), expected, atol=0.01, rtol=0)

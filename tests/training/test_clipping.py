"""Clipping in fewer passes leaves the gradients that torch's own clipping leaves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lightning_tune.models.fast import ReusingEmbedding
from lightning_tune.training.clipping import clip_gradients, total_norm


class Bag(nn.Module):
    """Words, averaged and answered."""

    def __init__(self, words):
        super().__init__()
        self.words = words
        self.head = nn.Linear(6, 3)
        self.unused = nn.Linear(2, 2)

    def forward(self, ids):
        return self.head(self.words(ids).mean(dim=1))


@pytest.fixture
def twins():
    torch.manual_seed(0)
    ours, theirs = Bag(ReusingEmbedding(40, 6)), Bag(nn.Embedding(40, 6))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def backward(model, seed, factor=30.0):
    ids = torch.randint(0, 40, (5, 4), generator=torch.Generator().manual_seed(seed))
    (factor * model(ids)).square().sum().backward()


def gradients(model):
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("limit", [0.01, 1.0, 1e9])
def test_gradients_and_norm_are_those_of_torch_for_several_steps(twins, limit):
    ours, theirs = twins
    for step in range(3):
        for model in twins:
            model.zero_grad()
            backward(model, step)
        norm = clip_gradients(ours.parameters(), limit, ours.words)
        expected = nn.utils.clip_grad_norm_(theirs.parameters(), limit)
        assert float(norm) == pytest.approx(float(expected), rel=1e-5)
        for mine, other in zip(gradients(ours), gradients(theirs), strict=True):
            assert torch.allclose(mine, other, rtol=1e-5, atol=1e-9)


def test_accumulated_and_meddled_gradients_are_clipped_whole(twins):
    ours, theirs = twins
    for model in twins:
        backward(model, 1)
        backward(model, 2)
        model.words.weight.grad[7] += 5.0
    norm = clip_gradients(ours.parameters(), 1.0, ours.words)
    expected = nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
    assert float(norm) == pytest.approx(float(expected), rel=1e-5)
    assert float(total_norm(gradients(ours))) == pytest.approx(1, rel=1e-4)


def test_frozen_words_are_left_out(twins):
    ours, _ = twins
    backward(ours, 1)
    others = list(ours.head.parameters())
    before = ours.words.weight.grad.clone()
    expected = torch.cat([parameter.grad.flatten() for parameter in others]).norm()
    norm = clip_gradients(others, 1.0, ours.words)
    assert float(norm) == pytest.approx(float(expected), rel=1e-5)
    assert torch.equal(ours.words.weight.grad, before)


def test_a_gradient_within_the_limit_is_not_written(twins):
    ours, _ = twins
    backward(ours, 1)
    versions = [p.grad._version for p in ours.parameters() if p.grad is not None]
    clip_gradients(ours.parameters(), 1e9, ours.words)
    assert [p.grad._version for p in ours.parameters() if p.grad is not None] == versions


def test_a_gradient_that_is_no_number_spoils_all_as_torchs_does(twins):
    ours, _ = twins
    backward(ours, 1)
    ours.head.bias.grad[0] = float("nan")
    assert clip_gradients(ours.parameters(), 1.0, ours.words).isnan()
    assert all(grad.isnan().any() for grad in gradients(ours))


def test_other_word_embeddings_are_one_gradient_among_others(twins):
    _, theirs = twins
    backward(theirs, 1)
    expected = torch.cat([grad.flatten() for grad in gradients(theirs)]).norm()
    assert float(clip_gradients(theirs.parameters(), 1.0, theirs.words)) == pytest.approx(
        float(expected), rel=1e-5
    )

"""The lookup that reuses its gradient's memory learns exactly as torch's embedding does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lightning_tune.models.fast.embedding import ReusingEmbedding, is_shared


@pytest.fixture
def pair():
    """A plain embedding with padding, and a reusing one with the same weights."""
    torch.manual_seed(0)
    plain, reusing = nn.Embedding(50, 6, padding_idx=0), ReusingEmbedding(50, 6, padding_idx=0)
    reusing.load_state_dict(plain.state_dict())
    return plain, reusing


def learn(embedding, ids, seed=0):
    """One backward with a gradient that depends on the position."""
    generator = torch.Generator().manual_seed(seed)
    out = embedding(ids)
    (out * torch.randn(out.shape, generator=generator)).sum().backward()
    return out


def some_ids(seed):
    return torch.randint(0, 50, (4, 7), generator=torch.Generator().manual_seed(seed))


def test_answers_and_gradients_are_those_of_torch_step_after_step(pair):
    for step in range(5):
        ids = some_ids(step)
        outs = [learn(embedding, ids) for embedding in pair]
        assert torch.equal(*outs)
        assert torch.allclose(pair[0].weight.grad, pair[1].weight.grad, atol=1e-6)
        for embedding in pair:
            embedding.weight.grad = None


def test_the_gradient_of_the_next_step_lives_in_the_same_memory(pair):
    _, reusing = pair
    places = []
    for step in range(3):
        learn(reusing, some_ids(step))
        places.append(reusing.weight.grad.data_ptr())
        reusing.weight.grad = None
    assert len(set(places)) == 1


def test_gradients_of_several_batches_add_up(pair):
    for step in range(3):
        for embedding in pair:
            learn(embedding, some_ids(step))
    assert torch.allclose(pair[0].weight.grad, pair[1].weight.grad, atol=1e-6)
    for embedding in pair:
        embedding.weight.grad = None
        learn(embedding, some_ids(9))
    assert torch.allclose(pair[0].weight.grad, pair[1].weight.grad, atol=1e-6)


def test_one_graph_that_looks_up_twice_adds_both(pair):
    for embedding in pair:
        (embedding(some_ids(1)).sum() + (embedding(some_ids(2)) ** 2).sum()).backward()
    assert torch.allclose(pair[0].weight.grad, pair[1].weight.grad, atol=1e-5)


@pytest.mark.parametrize("part", [lambda grad: grad, lambda grad: grad[3:9], torch.Tensor.numpy])
def test_a_gradient_that_somebody_holds_survives_the_next_step(pair, part):
    plain, reusing = pair
    learn(reusing, some_ids(1))
    held = part(reusing.weight.grad)
    reusing.weight.grad = None
    learn(reusing, some_ids(2))
    learn(plain, some_ids(1))
    expected = part(plain.weight.grad.clone())
    assert torch.allclose(torch.as_tensor(held), torch.as_tensor(expected), atol=1e-6)


def test_a_gradient_that_was_asked_for_survives_the_next_one(pair):
    found = []
    for embedding in pair:
        asked = [
            torch.autograd.grad((embedding(some_ids(k)) ** 2).sum(), embedding.weight)[0]
            for k in (1, 2)
        ]
        found.append(asked)
    for theirs, ours in zip(*found, strict=True):
        assert torch.allclose(theirs, ours, atol=1e-5)


def test_a_tensor_is_shared_while_another_lives_in_its_memory():
    tensor = torch.zeros(4)
    assert not is_shared(tensor)
    view = tensor.detach()[1:]
    assert is_shared(tensor)
    del view
    assert not is_shared(tensor)


@pytest.mark.parametrize(
    "meddle",
    [
        lambda weight: weight.grad.add_(1.0),
        lambda weight: weight.grad.data.copy_(torch.ones_like(weight)),
        lambda weight: torch._foreach_add_([weight.grad], 2.0),
        lambda weight: weight.grad[40].fill_(3.0),
    ],
)
def test_what_somebody_wrote_into_a_gradient_is_gone_in_the_next(pair, meddle):
    plain, reusing = pair
    learn(reusing, some_ids(1))
    meddle(reusing.weight)
    reusing.weight.grad = None
    learn(reusing, some_ids(2))
    learn(plain, some_ids(2))
    assert torch.allclose(plain.weight.grad, reusing.weight.grad, atol=1e-6)


def test_the_touched_rows_hold_the_whole_gradient(pair):
    _, reusing = pair
    learn(reusing, some_ids(3))
    rows, whole = reusing.touched_rows(), reusing.weight.grad
    assert float(rows.norm()) == pytest.approx(float(whole.norm()))
    assert len(rows) == len(some_ids(3).unique())
    expected = whole * 0.5
    reusing.overwrite(rows * 0.5)
    assert torch.allclose(reusing.weight.grad, expected)
    assert reusing.touched_rows() is not None


def test_rows_are_not_known_once_the_gradient_was_changed(pair):
    _, reusing = pair
    learn(reusing, some_ids(1))
    assert reusing.touched_rows() is not None
    reusing.weight.grad.mul_(2.0)
    assert reusing.touched_rows() is None


def test_rows_are_not_known_before_a_backward_nor_after_two(pair):
    _, reusing = pair
    assert reusing.touched_rows() is None
    learn(reusing, some_ids(1))
    learn(reusing, some_ids(2))
    assert reusing.touched_rows() is None


def test_without_gradients_or_with_rarer_options_torch_looks_up(pair):
    _, reusing = pair
    with torch.no_grad():
        assert not reusing(some_ids(0)).requires_grad
    scaled = ReusingEmbedding(50, 6, scale_grad_by_freq=True)
    assert "Embedding" in type(scaled(some_ids(0)).grad_fn).__name__

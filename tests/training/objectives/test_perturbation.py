"""Perturbations stay in their ball and off special tokens; a step is the steepest there is."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.training.objectives.perturbation import (
    Ball,
    climb,
    gradient_at,
    median_norm,
    movable,
    special_ids_of,
    word_table,
)

NORMS = ("l2", "l2_token", "linf")
EVERYWHERE = torch.ones(2, 3, 1, dtype=torch.bool)


def size(delta: torch.Tensor, norm: str) -> torch.Tensor:
    """The size of a perturbation as the ball counts it, by numpy."""
    values = delta.numpy().astype(np.float64)
    if norm == "linf":
        return torch.tensor(np.abs(values).max(axis=(1, 2)) * math.sqrt(values.shape[2]))
    squares = (values**2).sum(axis=2)
    return torch.tensor(np.sqrt(squares.sum(axis=1) if norm == "l2" else squares.max(axis=1)))


def test_steps_worked_out_by_hand():
    gradient = torch.tensor([[[3.0, 0.0], [0.0, -4.0]]])
    mask = torch.ones(1, 2, 1, dtype=torch.bool)
    whole = Ball(10.0, "l2", mask).steepest(gradient)
    assert torch.allclose(whole, torch.tensor([[[6.0, 0.0], [0.0, -8.0]]]))
    single = Ball(10.0, "l2_token", mask).steepest(gradient)
    assert torch.allclose(single, torch.tensor([[[10.0, 0.0], [0.0, -10.0]]]))
    components = Ball(math.sqrt(2), "linf", mask).steepest(gradient, 0.5)
    assert torch.allclose(components, torch.tensor([[[0.5, 0.0], [0.0, -0.5]]]))


@pytest.mark.parametrize("norm", NORMS)
def test_no_perturbation_in_the_ball_raises_a_linear_loss_more_than_a_step_to_its_edge(norm):
    torch.manual_seed(0)
    gradient = torch.randn(2, 3, 4)
    ball = Ball(0.7, norm, EVERYWHERE)
    best = (ball.steepest(gradient) * gradient).sum(dim=(1, 2))
    for scale in (0.3, 3.0):
        for _ in range(200):
            other = ball.project(torch.randn(2, 3, 4) * scale)
            assert ((other * gradient).sum(dim=(1, 2)) <= best + 1e-6).all()


@pytest.mark.parametrize("norm", NORMS)
def test_projection_keeps_what_is_inside_and_brings_the_rest_to_the_edge(norm):
    torch.manual_seed(0)
    ball = Ball(0.5, norm, EVERYWHERE)
    inside = torch.randn(2, 3, 4) * 1e-3
    assert torch.equal(ball.project(inside), inside)
    outside = torch.randn(2, 3, 4) * 10
    found = ball.project(outside)
    torch.testing.assert_close(size(found, norm), torch.full((2,), 0.5).double())
    assert torch.equal(found.sign(), outside.sign())


@pytest.mark.parametrize("norm", NORMS)
def test_a_random_start_lies_inside_and_differs_from_draw_to_draw(norm):
    ball = Ball(0.5, norm, EVERYWHERE)
    like = torch.zeros(2, 3, 4)
    draws = [ball.start("random", like) for _ in range(100)]
    sizes = torch.stack([size(draw, norm) for draw in draws])
    assert (sizes <= 0.5 + 1e-6).all()
    assert sizes.max() > 0.4
    assert not torch.equal(draws[0], draws[1])
    assert torch.equal(ball.start("zero", like), like)


@pytest.mark.parametrize("norm", NORMS)
def test_what_may_not_move_stays(norm):
    mask = torch.tensor([[[True], [False], [True]]])
    ball = Ball(0.5, norm, mask)
    for moved in (
        ball.steepest(torch.ones(1, 3, 4)),
        ball.start("random", torch.zeros(1, 3, 4)),
    ):
        assert moved[:, 1].eq(0).all()
        assert moved[:, [0, 2]].ne(0).all()
    # The whole radius is left to the rest.
    assert size(ball.steepest(torch.ones(1, 3, 4)), norm).item() == pytest.approx(0.5)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
def test_how_large_a_gradient_is_does_not_matter(norm, factor):
    gradient = torch.tensor([[[0.1, -0.2], [0.3, 0.0]]])
    ball = Ball(0.5, norm, torch.ones(1, 2, 1, dtype=torch.bool))
    torch.testing.assert_close(ball.steepest(gradient * factor), ball.steepest(gradient))


@pytest.mark.parametrize("norm", NORMS)
def test_without_a_finite_gradient_nothing_moves(norm):
    ball = Ball(0.5, norm, EVERYWHERE)
    for value in (0.0, math.inf, -math.inf, math.nan):
        assert ball.steepest(torch.full((2, 3, 4), value)).eq(0).all()
    mixed = torch.ones(2, 3, 4)
    mixed[0, 0, 0] = math.inf
    step = ball.steepest(mixed)
    assert step.isfinite().all()
    assert step[1].ne(0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_radius_of_0_leaves_no_room(norm):
    ball = Ball(0.0, norm, EVERYWHERE)
    for delta in (
        ball.steepest(torch.ones(2, 3, 4)),
        ball.project(torch.ones(2, 3, 4)),
        ball.start("random", torch.ones(2, 3, 4)),
    ):
        assert delta.eq(0).all()


def test_a_climb_ends_where_a_quadratic_loss_is_greatest():
    """|x - target| in a ball around 0 is greatest opposite of the target."""
    words = torch.zeros(1, 1, 2)
    target = torch.tensor([3.0, 4.0])
    ball = Ball(2.0, "l2", torch.ones(1, 1, 1, dtype=torch.bool))
    start = torch.tensor([[[0.5, -0.5]]])
    found = climb(
        lambda at: (at - target).square().sum(), words, start, ball=ball, steps=60, length=0.2
    )
    torch.testing.assert_close(found, torch.tensor([[[-1.2, -1.6]]]), atol=0.02, rtol=0)
    assert not found.requires_grad
    assert ball.project(start) is not found


def test_a_climb_follows_the_loss_where_the_words_are(arrange):
    setting = arrange()
    words = setting.classifier.embed(setting.batch)
    ball = Ball(0.3, "l2", movable(setting.batch, torch.tensor([0, 2, 3])))
    at = lambda shifted: setting.loss(setting.classifier(setting.batch, shifted), setting.batch)  # noqa: E731
    losses = []
    for steps in (0, 1, 3, 6):
        delta = climb(at, words, torch.zeros_like(words), ball=ball, steps=steps, length=0.3)
        losses.append(at(words + delta).item())
    assert losses == sorted(losses)
    assert losses[-1] > losses[0] + 0.01
    assert all(each.grad is None for each in setting.classifier.parameters())


def test_a_scaled_gradient_is_scaled():
    at = torch.ones(2, requires_grad=True)
    found = gradient_at((at**2).sum(), at, scale=lambda loss: loss * 8)
    assert found.tolist() == [16.0, 16.0]


def test_texts_move_and_padding_and_special_tokens_do_not(batch):
    moves = movable(batch, torch.tensor([0, 2, 3])).squeeze(2)
    expected = [[False, *[True] * (n - 2), False, *[False] * (9 - n)] for n in (9, 9, 7, 5)]
    assert moves.tolist() == expected
    without_ids = movable(batch, torch.tensor([], dtype=torch.int64)).squeeze(2)
    assert torch.equal(without_ids, batch["attention_mask"].bool())


def test_special_tokens_are_known_from_the_config_too(tiny_backbone, arrange):
    config = arrange().classifier.encoder.config
    assert special_ids_of(config) == {0, 2, 3}
    assert special_ids_of(SimpleNamespace(pad_token_id=1, eos_token_id=None)) == {1}


def test_the_median_norm_is_that_of_the_words(arrange):
    classifier = arrange().classifier
    rows = classifier.encoder.get_input_embeddings().weight.detach().numpy()
    expected = np.percentile(np.linalg.norm(rows, axis=1), 50, method="lower")
    assert median_norm(classifier) == pytest.approx(float(expected))


class WithoutWords:
    config = SimpleNamespace(model_type="canine")

    def __init__(self, found):
        self.found = found

    def get_input_embeddings(self):
        if isinstance(self.found, type):
            raise self.found
        return self.found


@pytest.mark.parametrize("found", [None, NotImplementedError, AttributeError, object()])
def test_an_encoder_without_word_embeddings_is_refused(found):
    with pytest.raises(ConfigError, match=r"works on word embeddings, .*canine\); use another"):
        word_table(SimpleNamespace(encoder=WithoutWords(found)))

"""Which rows are asked: against measures worked out by hand, and groups that are plain to see."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.labelling.choosing import (
    STRATEGIES,
    choose,
    closeness,
    spread,
    uncertainty,
)

SAID = np.array([[0.9, 0.05, 0.05], [0.5, 0.5, 0.0], [0.4, 0.3, 0.3], [0.8, 0.2, 0.0]])


def groups(of: int, each: int) -> np.ndarray:
    """Rows around the corners of a large square."""
    draw = np.random.default_rng(0)
    corners = np.array([[0, 0], [100, 0], [0, 100], [100, 100]])[:of]
    return np.vstack([corner + draw.normal(size=(each, 2)) for corner in corners]).astype(
        np.float32
    )


def test_the_margin_is_between_the_two_likeliest():
    assert closeness(SAID, several=False) == pytest.approx([0.15, 1.0, 0.9, 0.4])
    assert choose(2, strategy="margin", probabilities=SAID) == [1, 2]


def test_uncertainty_looks_at_all_labels():
    expected = -(SAID * np.log(np.maximum(SAID, 1e-300))).sum(axis=1) / np.log(3)
    assert uncertainty(SAID, several=False) == pytest.approx(expected, abs=1e-6)
    assert choose(2, strategy="uncertainty", probabilities=SAID) == [2, 1]


def test_of_several_labels_the_one_nearest_to_even_decides_the_margin():
    said = np.array([[0.9, 0.45], [0.99, 0.01]])
    assert closeness(said, several=True) == pytest.approx([0.9, 0.02])
    assert uncertainty(np.array([[0.5, 0.5], [1, 0]]), several=True) == pytest.approx([1, 0])


def test_diversity_asks_one_of_each_group_and_the_one_in_its_middle():
    vectors = groups(4, 25)
    chosen = choose(4, strategy="diversity", vectors=vectors)
    assert sorted(at // 25 for at in chosen) == [0, 1, 2, 3]
    for at in chosen:
        group = vectors[at // 25 * 25 : at // 25 * 25 + 25]
        away = np.linalg.norm(group - group.mean(axis=0), axis=1)
        assert np.linalg.norm(vectors[at] - group.mean(axis=0)) == pytest.approx(
            away.min(), abs=1e-4
        )


def test_both_asks_one_of_each_group_among_those_that_are_not_sure():
    vectors = groups(4, 25)
    sure = np.full((100, 2), [0.99, 0.01])
    unsure = [at for at in range(100) if at % 25 < 5 and at // 25 < 2]  # of two groups alone
    sure[unsure] = [0.51, 0.49]
    chosen = choose(2, strategy="both", probabilities=sure, vectors=vectors)
    assert sorted(at // 25 for at in chosen) == [0, 1]
    assert set(chosen) <= set(unsure)


def test_the_same_seed_asks_the_same_and_none_twice():
    vectors = groups(3, 40)
    said = np.random.default_rng(1).dirichlet([1, 1, 1], 120)
    for strategy in STRATEGIES:
        chosen = choose(30, strategy=strategy, probabilities=said, vectors=vectors, seed=3)
        assert len(set(chosen)) == 30
        again = choose(30, strategy=strategy, probabilities=said, vectors=vectors, seed=3)
        assert chosen == again


def test_equal_rows_are_not_chosen_twice():
    vectors = np.zeros((20, 2), np.float32)
    vectors[10:] = 1
    chosen = spread(vectors, 6)
    assert len(set(chosen)) == 6


def test_more_than_there_are_is_all_there_are():
    assert sorted(choose(9, strategy="diversity", vectors=groups(1, 4))) == [0, 1, 2, 3]
    assert sorted(choose(9, strategy="margin", probabilities=SAID)) == [0, 1, 2, 3]
    assert sorted(choose(9, strategy="random", rows=4)) == [0, 1, 2, 3]


def test_of_a_large_pool_a_draw_is_seen(monkeypatch):
    monkeypatch.setattr("lightning_tune.prepare.labelling.choosing._MOST", 60)
    chosen = choose(4, strategy="diversity", vectors=groups(4, 25))
    assert sorted(at // 25 for at in chosen) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "margins", "probabilities": SAID}, "Did you mean 'margin'"),
        ({"strategy": "margin", "rows": 3}, "needs a model's probabilities"),
        ({"strategy": "both", "probabilities": SAID}, "needs vectors"),
        ({"strategy": "diversity", "rows": 3}, "needs vectors"),
        ({"strategy": "random", "count": 0, "rows": 3}, "count=0 is below 1"),
    ],
)
def test_what_cannot_be_done_is_one_line(settings, message):
    with pytest.raises(ConfigError, match=message):
        choose(settings.pop("count", 2), **settings)

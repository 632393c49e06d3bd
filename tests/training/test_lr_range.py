"""The range test: smoothing, where it stops, and which rate it takes, on curves made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lightning_tune.training.lr_range import measure, smooth, spread, suggest

RATES = spread(1e-6, 1e-1, 151)  # thirty steps a decade


def fall(rate: float, *, at: float = 1e-4, ends: float = 1e-3, start: float = 2.0) -> float:
    """A loss that falls from 2 to 1 around a rate, by the logarithm, and explodes from another."""
    done = 1 / (1 + (at / rate) ** 2)
    return start - done + (5 * math.log10(rate / ends) if rate > ends else 0.0)


def noisy(seed: int, **settings):
    generator = np.random.default_rng(seed)
    return lambda rate: fall(rate, **settings) + generator.normal() * 0.05


@pytest.mark.parametrize("at", [1e-5, 5e-5, 3e-4, 3e-3])
def test_the_rate_moves_with_where_the_descent_sets_in(at):
    found = measure(lambda rate: fall(rate, at=at, ends=at * 10), RATES)
    assert found.suggestion is not None
    # Of the curve a seventh is done at 0.42 of its middle; smoothing blurs that a little.
    assert found.suggestion == pytest.approx(0.42 * at, rel=0.2)


@pytest.mark.parametrize("seed", range(8))
def test_noise_between_batches_moves_it_little(seed):
    found = measure(noisy(seed), RATES)
    assert 2.5e-5 < found.suggestion < 7e-5


def test_it_stops_once_half_of_the_descent_is_lost_again():
    found = measure(fall, RATES)
    assert found.rates == RATES[: len(found.rates)]
    assert 1e-3 < found.rates[-1] < 3e-3
    assert len(found.losses) == len(found.smoothed) == len(found.rates)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_it_stops_at_a_loss_that_is_not_finite(bad):
    found = measure(lambda rate: bad if rate > 5e-4 else fall(rate), RATES)
    assert found.rates[-1] <= 5e-4
    assert all(map(math.isfinite, found.losses))
    assert 3e-5 < found.suggestion < 6e-5


def test_a_loss_that_is_never_finite_suggests_nothing():
    found = measure(lambda rate: math.nan, RATES)
    assert (len(found.rates), found.suggestion) == (0, None)


@pytest.mark.parametrize("curve", [lambda rate: 1.0, lambda rate: 1 + rate, lambda rate: 0.0])
def test_without_a_descent_nothing_is_suggested(curve):
    assert measure(curve, RATES).suggestion is None


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_is_no_descent(seed, noise):
    generator = np.random.default_rng(seed)
    found = measure(lambda rate: 1 + generator.normal() * noise, RATES)
    assert found.suggestion is None


def test_the_whole_range_is_tried_while_the_loss_falls():
    assert measure(lambda rate: fall(rate, ends=1.0), RATES).rates == RATES


def test_the_suggestion_has_two_digits():
    found = measure(noisy(3), RATES).suggestion
    assert found == float(f"{found:.1e}")


def test_smoothing_keeps_what_is_straight_and_lags_behind_nothing():
    flat = smooth([2.0] * 40, 40)
    assert flat == pytest.approx(np.full(40, 2.0))
    step = smooth([1.0] * 100 + [0.0] * 100, 200)
    assert (step[99] + step[100]) / 2 == pytest.approx(0.5)
    weights = [math.exp(-(((50 - j) / 5.0) ** 2) / 2) for j in range(200)]
    by_hand = sum(weights[:100]) / sum(weights)
    assert smooth([1.0] * 100 + [0.0] * 100, 200)[50] == pytest.approx(by_hand)


def test_rates_rise_by_equal_factors():
    factors = np.diff(np.log(RATES))
    assert factors == pytest.approx(np.full(150, math.log(1e5) / 150))
    assert (RATES[0], RATES[-1]) == (1e-6, pytest.approx(0.1))


def test_a_dip_before_the_descent_is_not_where_it_sets_in():
    smoothed = [2.0, 1.8, 2.0, 2.0, 1.9, 1.5, 1.0, 3.0]
    assert suggest([10.0**n for n in range(-7, 1)], smoothed, 0.1) == 1e-2

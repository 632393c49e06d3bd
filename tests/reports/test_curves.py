import math

import numpy as np

from lightning_tune.reports.curves import by_quantity, finite, is_noisy, smooth, thin


def test_thinning_keeps_spikes_and_ends():
    points = [(float(x), 0.0) for x in range(5000)]
    points[3333] = (3333.0, 9.0)
    points[1234] = (1234.0, -9.0)
    kept = thin(points, 100)
    assert len(kept) <= 100
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert {points[3333], points[1234]} <= set(kept)


def test_short_curves_stay_whole():
    assert thin([(0, 1.0), (1, 2.0)], 10) == [(0, 1.0), (1, 2.0)]


def test_smoothing_starts_at_the_first_value_and_follows_the_trend():
    random = np.random.default_rng(0)
    points = [(float(x), float(10 - x / 50 + random.normal())) for x in range(300)]
    smoothed = smooth(points)
    assert smoothed[0] == points[0]
    late = [abs(y - (10 - x / 50)) for x, y in smoothed[50:]]
    assert max(late) < 1.2
    assert not is_noisy([(x, 10 - x / 50) for x in range(300)])
    assert is_noisy(points)


def test_few_points_are_never_noisy():
    assert not is_noisy([(float(x), float(x % 2)) for x in range(10)])


def test_curves_share_a_chart_by_quantity_and_empty_ones_drop_out():
    curves = {
        "train/loss_epoch": [(1.0, 2.0)],
        "val/loss": [(1.0, 1.0), (2.0, math.nan)],
        "epoch_time": [(1.0, 3.0)],
        "val/broken": [(1.0, math.inf)],
    }
    assert by_quantity(curves) == {
        "loss": {"train": [(1.0, 2.0)], "val": [(1.0, 1.0)]},
        "epoch time": {"epoch_time": [(1.0, 3.0)]},
    }
    assert finite([(math.nan, 1.0)]) == []

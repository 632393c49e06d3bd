import itertools

import numpy as np

from lightning_tune.prepare.near.buckets import WINDOW, neighbours


def pairs(keys, finer=None):
    keys = np.array(keys, np.uint32)
    finer = np.zeros_like(keys) if finer is None else np.array(finer, np.uint32)
    return [
        tuple(sorted(pair))
        for left, right in neighbours(keys, finer)
        for pair in zip(left.tolist(), right.tolist(), strict=True)
    ]


def test_small_buckets_are_compared_in_full():
    keys = [3, 1, 3, 2, 3, 1, 3, 3]
    found = pairs(keys)
    buckets = ([0, 2, 4, 6, 7], [1, 5], [3])
    assert sorted(found) == sorted(
        pair for bucket in buckets for pair in itertools.combinations(bucket, 2)
    )


def test_one_giant_bucket_costs_no_more_a_text():
    for texts in (1000, 2000):
        found = pairs([9] * texts)
        assert len(found) == len(set(found)) <= (WINDOW + 1) * texts
        assert {(0, row) for row in range(1, texts)} <= set(found)


def test_texts_that_agree_in_the_other_band_too_are_neighbours():
    finer = [row % 50 for row in range(1000)]
    found = set(pairs([9] * 1000, finer))
    assert all((row, row + 50) in found for row in range(950))


def test_nothing_is_compared_where_there_is_one_text_or_none():
    assert pairs([4]) == []
    assert pairs([]) == []

import random

import numpy as np

from lightning_tune.prepare.near.minhash import band_keys, minima, multipliers
from lightning_tune.prepare.near.settings import NearSettings


def test_minima_worked_out_by_hand():
    # Orders 1 (as they are), 3, and 2**32 - 1 (backwards) of the sets {2, 7, 2**31} and {7, 5, 5}:
    # times 3: 6, 21, 3 * 2**31 - 2**32 = 2**31; and 21, 15. Negated: 2**32 minus each.
    sets = np.array([[2, 7], [7, 5], [2**31, 5]], np.uint32)
    factors = np.array([1, 3, 2**32 - 1], np.uint32)
    assert minima(sets, factors).tolist() == [[2, 5], [6, 15], [2**31, 2**32 - 7]]


def test_equal_minima_are_as_frequent_as_the_sets_are_similar():
    random.seed(0)
    factors = multipliers(2000)
    for shared, own in ((10, 90), (50, 25), (90, 5)):
        values = random.sample(range(2**32), shared + 2 * own)
        left, right = values[: shared + own], values[:shared] + values[shared + own :]
        least = minima(np.array([left, right], np.uint32).T.copy(), factors)
        jaccard = shared / (shared + 2 * own)
        spread = (jaccard * (1 - jaccard) / len(factors)) ** 0.5
        assert abs((least[:, 0] == least[:, 1]).mean() - jaccard) < 4 * spread


def test_bands_meet_as_often_as_theory_says():
    random.seed(1)
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    settings = NearSettings(shingle=8, bands=16, hashes=3)
    texts, expected = [], []
    for _ in range(400):
        text = "".join(random.choices(alphabet, k=200))
        # A new tail: 8-character shingles of random letters are all different.
        other = text[:150] + "".join(random.choices(alphabet, k=50))
        texts += [text, other]
        expected.append((150 - 7) / (2 * (200 - 7) - (150 - 7)))
    keys = band_keys(texts, settings)
    met = (keys[:, ::2] == keys[:, 1::2]).any(axis=0).mean()
    theory = np.mean([1 - (1 - jaccard**3) ** 16 for jaccard in expected])
    spread = (theory * (1 - theory) / 400) ** 0.5
    assert abs(met - theory) < 4 * spread


def test_keys_depend_on_the_set_of_shingles_alone():
    settings = NearSettings(shingle=2)
    texts = ["abab", "ababababab", "some other text of another length"]
    keys = band_keys(texts, settings)
    assert (keys[:, 0] == keys[:, 1]).all()
    assert (band_keys(texts[::-1], settings)[:, ::-1] == keys).all()
    assert (keys[:, 0] != keys[:, 2]).all()

import random

import numpy as np
import pytest

from lightning_tune.prepare.near.edits import allowed_edits, are_near


def edit_distance(left, right):
    """Wagner and Fischer's table, row by row."""
    row = list(range(len(right) + 1))
    for at, char in enumerate(left, 1):
        before, row = row, [at]
        for place, other in enumerate(right, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (char != other)))
    return row[-1]


@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.9, 1.0])
def test_near_is_what_the_table_of_edits_says(similarity):
    random.seed(0)
    texts = []
    for _ in range(25):
        text = random.choices("abcd ", k=random.randrange(0, 41))
        texts.append("".join(text))
        for _ in range(random.randrange(6)):
            text.insert(random.randrange(len(text) + 1), random.choice("abcd"))
            text.pop(random.randrange(len(text)))
        texts.append("".join(text))
    left, right = np.triu_indices(len(texts), 1)
    lengths = np.array(list(map(len, texts)))
    near = are_near(
        np.array(texts, object), lengths, (left, right), similarity=similarity, threads=1
    )
    for one, other, found in zip(left, right, near, strict=True):
        longer = max(len(texts[one]), len(texts[other]))
        edits = edit_distance(texts[one], texts[other])
        assert found == (edits <= (1 - similarity) * longer + 1e-9)
    assert 0 < near.sum() < len(near) or similarity == 1.0


def test_the_limit_itself_is_near():
    lengths = np.arange(1, 201)
    # One edit in ten, in whole numbers: no rounding of 1 - 0.9 takes the last one away.
    assert allowed_edits(lengths, 0.9).tolist() == [length // 10 for length in lengths]
    texts = ["a" * 10, "a" * 9 + "b", "a" * 8 + "bb"]
    pairs = (np.array([0, 0]), np.array([1, 2]))
    near = are_near(
        np.array(texts, object), np.array([10, 10, 10]), pairs, similarity=0.9, threads=2
    )
    assert near.tolist() == [True, False]

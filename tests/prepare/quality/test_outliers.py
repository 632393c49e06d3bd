"""Outliers: surprisals worked out by hand, planted strangers, scripts with and without spaces."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from lightning_tune.prepare.quality.outliers import is_outlier, surprisals

ASKS = ["where is my card", "my card is late", "the card did not come", "send my new card"]


def asked(count: int) -> list[str]:
    """Texts that are alike, no two the same."""
    draw = random.Random(0)
    words = " ".join(ASKS).split()
    return [" ".join(draw.choices(words, k=draw.randrange(3, 9))) for _ in range(count)]


def test_a_surprisal_is_the_mean_over_pieces_of_how_few_others_have_them():
    """Of 'ab' the pieces are ' ab' and 'ab ', of 'abc' ' ab', 'abc' and 'bc '; 'xy' shares none."""
    found = surprisals(["ab", "abc", "ab", "xy"], anchor=0)
    shared, twin, own = (-math.log((others + 0.5) / 4) for others in (2, 1, 0))
    assert found == pytest.approx(
        [(shared + twin) / 2, (shared + 2 * own) / 3, (shared + twin) / 2, own]
    )


def test_short_texts_are_drawn_towards_the_median():
    texts = ["ab", "abc", "ab", "xy"]
    free = surprisals(texts, anchor=0)
    pieces = np.array([2, 3, 2, 2])
    drawn = (pieces * free + 10 * np.median(free)) / (pieces + 10)
    assert surprisals(texts) == pytest.approx(drawn)


@pytest.mark.parametrize(
    "stranger",
    [
        "Kimanin mata dubu hamsin da biyar suke mutuwa",
        'Traceback (most recent call last): File "x.py", line 3',
        "qzx vvv wqk jjj",
        "\u623f\u95f4\u592a\u5c0f\uff0c\u5176\u4ed6\u7684\u90fd\u4e00\u822c",
    ],
    ids=["another language", "a log line", "random letters", "another script"],
)
def test_a_stranger_stands_out(stranger):
    scores = surprisals([*asked(200), stranger])
    assert np.flatnonzero(is_outlier(scores)).tolist() == [200]


def test_strangers_that_are_alike_are_strangers_all_the_same():
    log = [f'File "x{at}.py", line {at}, in <module> Traceback' for at in range(5)]
    scores = surprisals([*asked(400), *log])
    assert np.flatnonzero(is_outlier(scores)).tolist() == [400, 401, 402, 403, 404]


def test_a_latin_text_stands_out_among_texts_without_spaces():
    draw = random.Random(0)
    some = "\u623f\u95f4\u592a\u5c0f\u5176\u4ed6\u7684\u90fd\u4e00\u822c\u65b9\u4fbf\u9152\u5e97"
    texts = ["".join(draw.choices(some, k=draw.randrange(5, 20))) for _ in range(200)]
    scores = surprisals([*texts, "where is my new card"])
    assert np.flatnonzero(is_outlier(scores)).tolist() == [200]


def test_texts_without_a_piece_are_no_outliers():
    assert surprisals([]).tolist() == []
    assert surprisals(["", " "]).tolist() == [0, 0]
    scores = surprisals([*asked(50), "", " "])
    assert not is_outlier(scores)[50:].any()
    assert is_outlier(np.array([])).tolist() == []


def test_one_text_is_no_outlier():
    assert not is_outlier(surprisals(["where is my card"])).any()

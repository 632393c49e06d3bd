import numpy as np

from lightning_tune.prepare.near.shingles import CELLS, code_points, hash_shingles, mix, rectangles


def fmix32(value):
    """MurmurHash3's finaliser in Python's own integers."""
    value ^= value >> 16
    value = value * 0x85EBCA6B % 2**32
    value ^= value >> 13
    value = value * 0xC2B2AE35 % 2**32
    return value ^ value >> 16


def hash_by_hand(shingle):
    value = 0
    for char in shingle:
        value = (value * 0x01000193 + ord(char)) % 2**32
    return fmix32(value)


def shingles(text, size):
    return {text[at : at + size] for at in range(max(1, len(text) - size + 1))}


def test_mix_is_murmur():
    values = [0, 1, 2**31, 2**32 - 1, 123456789]
    assert mix(np.array(values, np.uint32)).tolist() == [fmix32(value) for value in values]


def test_windows_are_hashed_as_by_hand():
    text = "naïve 书店 😀!"
    hashed = hash_shingles(code_points(text), 3)
    assert hashed.tolist() == [hash_by_hand(text[at : at + 3]) for at in range(len(text) - 2)]


def test_a_rectangle_holds_each_texts_own_shingles():
    texts = ["where is my card", "x", "wo ist meine Karte", "abc", "我的卡在哪里"]
    seen = {}
    for rows, hashed in rectangles(texts, 4):
        for column, row in enumerate(rows.tolist()):
            seen[row] = set(hashed[:, column].tolist())
    padded = [text.ljust(4, "\0") for text in texts]
    assert seen == {
        row: {hash_by_hand(each) for each in shingles(text, 4)} for row, text in enumerate(padded)
    }


def test_rectangles_stay_small_unless_one_text_is_larger():
    texts = ["a" * length for length in (5, 2 * CELLS, 7, 5, 300, 40_000, 6)]
    shapes = [hashed.shape for _, hashed in rectangles(texts, 4)]
    assert all(most * rows <= CELLS or rows == 1 for most, rows in shapes)
    assert sum(rows for _, rows in shapes) == len(texts)


def test_lone_surrogates_are_characters_too():
    assert code_points("a\ud800").tolist() == [97, 0xD800]

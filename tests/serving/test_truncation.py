import itertools

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from lightning_tune.serving.truncation import head_tail, longest_first, windows, windows_reach


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"x": 0, "y": 1}, unk_token="x"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_longest_first_keeps_what_tokenizers_keeps(words):
    for room in range(2, 12):
        words.enable_truncation(room)
        for first, second in itertools.product(range(14), repeat=2):
            kept = words.encode("x " * first, "y " * second).ids
            assert longest_first(first, second, room) == (kept.count(0), kept.count(1))


def test_windows_are_those_of_tokenizers(words):
    for size, stride, length in itertools.product((3, 5, 8), (0, 1, 2), range(1, 30)):
        words.enable_truncation(size, stride=stride)
        encoding = words.encode("x " * length)
        expected = [len(part.ids) for part in (encoding, *encoding.overflowing)]
        found = [len(range(length)[span]) for span in windows(length, size, stride, 100)]
        assert found == expected


def test_windows_share_the_stride_and_stop_at_the_limit():
    spans = windows(100, 10, 4, 3)
    assert spans == [slice(0, 10), slice(6, 16), slice(12, 22)]
    assert windows_reach(10, 4, 3) == spans[-1].stop


@pytest.mark.parametrize(
    ("room", "kept"), [(1, [1]), (2, [1, 5]), (3, [1, 2, 5]), (5, [1, 2, 3, 4, 5])]
)
def test_head_tail_keeps_both_ends(room, kept):
    assert head_tail([1, 2, 3, 4, 5], room) == kept

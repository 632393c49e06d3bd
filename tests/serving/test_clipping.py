import pytest

from lightning_tune.serving.clipping import MARGIN, back, first_limit, front, tokenize_ends


@pytest.mark.parametrize("clip", [front, back])
def test_short_text_is_not_clipped(clip):
    assert clip("ab cd", 5) == "ab cd"


def test_a_cut_word_is_dropped_and_a_whole_one_kept():
    assert front("abc def ghi", 8) == "abc def"
    assert front("abc def ghi", 6) == "abc"
    assert back("abc def ghi", 7) == "ghi"
    assert back("abc def ghi", 8) == "def ghi"


@pytest.mark.parametrize("clip", [front, back])
def test_text_without_space_is_cut_anywhere(clip):
    assert clip("x" * 2000, 1000) == "x" * 1000


class Words:
    """A tokenizer that gives each word an id, and counts the characters it was given."""

    def __init__(self):
        self.seen = 0

    def __call__(self, texts):
        self.seen += sum(map(len, texts))
        return [[int(word) for word in text.split()] for text in texts]


@pytest.mark.parametrize("clip", [front, back])
def test_only_characters_that_matter_are_tokenized(clip):
    words = Words()
    text = " ".join(str(n) for n in range(100_000))
    (ids,) = tokenize_ends([text], 50, clip, words)
    assert words.seen <= first_limit(50)
    assert len(ids) >= 50 + MARGIN
    whole = list(range(100_000))
    assert ids[:50] == whole[:50] if clip is front else ids[-50:] == whole[-50:]


@pytest.mark.parametrize("clip", [front, back])
def test_more_is_tokenized_where_tokens_are_rare(clip):
    words = Words()
    text = (" " * 1000).join(str(n) for n in range(200))
    ids, other = tokenize_ends([text, "1 2"], 50, clip, words)
    whole = list(range(200))
    assert ids[:50] == whole[:50] if clip is front else ids[-50:] == whole[-50:]
    assert other == [1, 2]


def test_a_text_of_few_tokens_is_tokenized_whole():
    text = " " * 1_000_000 + "7"
    assert tokenize_ends([text], 50, front, Words()) == [[7]]

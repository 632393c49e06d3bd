import random
import time

import numpy as np
import pytest
from tokenizers import Tokenizer

from lightning_tune.errors import ConfigError
from lightning_tune.serving.encoding import EncodingSettings, TextEncoder

ODD = [
    "",
    " ",
    "\u200b",
    "a\u0301",
    "[SEP] <s>",
    "\u202e",
    "\ufeffx",
    "NA",
    "\t\n",
    "Привет",
    "字" * 9,
]


def make_texts(lines: list[str], count: int, seed: int = 0) -> list[str]:
    """Texts of 0 to 40 words of the lines, and the odd ones."""
    generator = random.Random(seed)
    words = " ".join(lines).split()
    texts = [" ".join(generator.choices(words, k=generator.randrange(40))) for _ in range(count)]
    return texts + ODD


def sequences_of(encoded) -> list[list[int]]:
    return [part.tolist() for part in np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])]


def types_of(encoded) -> list[list[int]]:
    return [
        [int(at >= second) for at in range(length)]
        for length, second in zip(encoded.lengths, encoded.second, strict=True)
    ]


def own_copy(tokenizer: Tokenizer, **truncation) -> Tokenizer:
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.no_truncation()
    if truncation:
        copy.enable_truncation(**truncation)
    return copy


@pytest.mark.parametrize("max_length", [4, 7, 16, 128])
def test_single_texts_get_the_ids_of_tokenizers(family, lines, max_length):
    texts = make_texts(lines, 60)
    encoder = TextEncoder(family, EncodingSettings(max_length), with_types=False)
    encoded = encoder.encode(texts)
    expected = own_copy(family, max_length=max_length).encode_batch(texts)
    assert sequences_of(encoded) == [encoding.ids for encoding in expected]
    assert encoded.truncated.tolist() == [bool(encoding.overflowing) for encoding in expected]
    assert encoded.second is None
    assert encoded.windows.tolist() == [1] * len(texts)


@pytest.mark.parametrize("max_length", [7, 8, 15, 128])
def test_pairs_get_the_ids_and_types_of_tokenizers(family, lines, max_length):
    texts, pairs = make_texts(lines, 25), make_texts(lines, 25, seed=1)[::-1]
    encoded = TextEncoder(family, EncodingSettings(max_length), with_types=True).encode(
        texts, pairs
    )
    expected = own_copy(family, max_length=max_length).encode_batch(
        list(zip(texts, pairs, strict=True))
    )
    assert sequences_of(encoded) == [encoding.ids for encoding in expected]
    assert types_of(encoded) == [encoding.type_ids for encoding in expected]
    # `overflowing` of tokenizers is wrong for pairs: compare with what no truncation gives.
    whole = own_copy(family).encode_batch(list(zip(texts, pairs, strict=True)))
    assert encoded.truncated.tolist() == [len(each.ids) > max_length for each in whole]


def test_ids_and_types_are_those_of_transformers(family, lines):
    from transformers import PreTrainedTokenizerFast

    reference = PreTrainedTokenizerFast(tokenizer_object=own_copy(family))
    texts, pairs = make_texts(lines, 40), make_texts(lines, 40, seed=1)
    for second in (None, pairs):
        expected = reference(
            texts, second, truncation=True, max_length=12, return_token_type_ids=True
        )
        encoded = TextEncoder(family, EncodingSettings(12), with_types=True).encode(texts, second)
        assert sequences_of(encoded) == expected["input_ids"]
        if second is not None:
            assert types_of(encoded) == expected["token_type_ids"]


@pytest.mark.parametrize("name", ["bert-base-uncased", "bert-base-cased", "bert-base-chinese"])
def test_published_tokenizers_give_the_same_ids(shared_data, name, lines):
    tokenizer = Tokenizer.from_file(str(shared_data / "vocab" / name / "tokenizer.json"))
    texts = make_texts(lines, 40)
    encoded = TextEncoder(tokenizer, EncodingSettings(16), with_types=True).encode(texts, texts)
    expected = own_copy(tokenizer, max_length=16).encode_batch([(text, text) for text in texts])
    assert sequences_of(encoded) == [encoding.ids for encoding in expected]
    assert types_of(encoded) == [encoding.type_ids for encoding in expected]


def test_stored_truncation_and_padding_have_no_effect(tiny_tokenizer):
    stored = own_copy(tiny_tokenizer, max_length=5)
    stored.enable_padding(length=50)
    settings = EncodingSettings(20)
    text = ["the customer wants the money back now"]
    plain = TextEncoder(tiny_tokenizer, settings, with_types=True).encode(text)
    assert sequences_of(
        TextEncoder(stored, settings, with_types=True).encode(text)
    ) == sequences_of(plain)
    assert stored.truncation["max_length"] == 5


@pytest.mark.parametrize("truncation", ["end", "head_tail", "windows"])
def test_a_very_long_text_is_encoded_as_if_it_were_whole(family, lines, truncation):
    generator = random.Random(3)
    words = " ".join(lines).split()
    text = " ".join(generator.choices(words, k=4000))
    settings = EncodingSettings(24, truncation, stride=4, max_windows=3)
    encoder = TextEncoder(family, settings, with_types=False)
    encoded = encoder.encode([text, "ok"])
    body = own_copy(family).encode(text, add_special_tokens=False).ids
    before, after = encoder.frame.single
    expected = {
        "end": [body[:22]],
        "head_tail": [body[:11] + body[-11:]],
        "windows": [body[0:22], body[18:40], body[36:58]],
    }[truncation]
    assert sequences_of(encoded)[:-1] == [[*before, *part, *after] for part in expected]
    assert encoded.truncated.tolist() == [True, False]
    assert encoded.windows.tolist() == [len(expected), 1]


def test_head_tail_of_a_long_text_with_few_tokens_keeps_them_all(tiny_tokenizer):
    settings = EncodingSettings(12, "head_tail")
    text = "book " + " " * 5000 + "film " * 5 + " " * 5000 + "money"
    encoded = TextEncoder(tiny_tokenizer, settings, with_types=False).encode([text])
    assert sequences_of(encoded) == [tiny_tokenizer.encode(" ".join(text.split())).ids]
    assert not encoded.truncated[0]


def test_windows_of_single_texts_are_those_of_tokenizers(family, lines):
    texts = make_texts(lines, 40)
    settings = EncodingSettings(14, "windows", stride=3, max_windows=1000)
    encoded = TextEncoder(family, settings, with_types=False).encode(texts)
    expected = own_copy(family, max_length=14, stride=3).encode_batch(texts)
    windows = [part.ids for each in expected for part in (each, *each.overflowing)]
    assert sequences_of(encoded) == windows
    assert encoded.windows.tolist() == [1 + len(each.overflowing) for each in expected]
    assert not encoded.truncated.any()


def test_windows_of_pairs_run_over_the_longer_text_and_repeat_the_other(family, lines):
    texts = ["ok ok"] * 8
    pairs = [line for line in make_texts(lines, 30) if len(line) > 100][:8]
    settings = EncodingSettings(24, "windows", stride=2, max_windows=1000)
    encoder = TextEncoder(family, settings, with_types=True)
    encoded = encoder.encode(texts, pairs)
    reference = own_copy(family, max_length=24, stride=2, strategy="only_second")
    expected = [
        part
        for each in reference.encode_batch(list(zip(texts, pairs, strict=True)))
        for part in (each, *each.overflowing)
    ]
    assert sequences_of(encoded) == [part.ids for part in expected]
    if encoder.frame.typed:  # untyped, the overflowing parts of tokenizers differ from the first
        assert types_of(encoded) == [part.type_ids for part in expected]
    mirrored = encoder.encode(pairs, texts)
    assert mirrored.windows.tolist() == encoded.windows.tolist()
    assert not mirrored.truncated.any()


def test_windows_of_two_long_texts_keep_half_the_room_of_the_shorter(tiny_tokenizer):
    first, second = "book " * 30, "film " * 31
    settings = EncodingSettings(13, "windows", stride=1, max_windows=2)
    encoder = TextEncoder(tiny_tokenizer, settings, with_types=True)
    book, film = tiny_tokenizer.token_to_id("book"), tiny_tokenizer.token_to_id("film")
    for texts, shorter, longer in (((first, second), book, film), ((second, first), film, book)):
        encoded = encoder.encode([texts[0]], [texts[1]])
        counts = [(ids.count(book), ids.count(film)) for ids in sequences_of(encoded)]
        assert {shorter, longer} == {book, film}
        assert counts == [(5, 5)] * 2
        assert encoded.truncated.tolist() == [True]


def test_head_tail_of_pairs_cuts_the_longer_text_in_its_middle(tiny_tokenizer):
    settings = EncodingSettings(11, "head_tail")
    encoder = TextEncoder(tiny_tokenizer, settings, with_types=True)
    encoded = encoder.encode(["a book"], ["one two the money money money money her him his"])
    tokens = [tiny_tokenizer.id_to_token(token) for token in encoded.ids]
    assert tokens == [
        "[CLS]", "a", "book", "[SEP]", "one", "two", "the", "her", "him", "his", "[SEP]",
    ]  # fmt: skip


def test_lone_surrogates_do_not_fail_the_batch(tiny_tokenizer):
    encoder = TextEncoder(tiny_tokenizer, EncodingSettings(16), with_types=False)
    encoded = encoder.encode(["good \ud800", "good \ufffd"])
    first, second = sequences_of(encoded)
    assert first == second


def test_no_texts_give_no_sequences(tiny_tokenizer):
    encoded = TextEncoder(tiny_tokenizer, EncodingSettings(16), with_types=False).encode([])
    assert len(encoded.ids) == len(encoded.lengths) == len(encoded.windows) == 0


def test_many_texts_are_encoded_in_their_order(tiny_tokenizer):
    words = ["book", "film", "money", "city"]
    texts = [words[at % 4] for at in range(2500)] + ["x " * 3_000_000] * 2
    encoder = TextEncoder(tiny_tokenizer, EncodingSettings(5), with_types=True)
    encoded = encoder.encode(texts, texts)
    assert len(encoded.lengths) == 2502
    ids = encoded.ids.reshape(2502, 5)
    assert [tiny_tokenizer.id_to_token(token) for token in ids[:2500, 1]] == texts[:2500]


def test_hostile_text_of_a_megabyte_takes_no_seconds(tiny_tokenizer):
    encoder = TextEncoder(tiny_tokenizer, EncodingSettings(128), with_types=False)
    hostile = [("a" * 99 + "Ж ") * 9900, "x" * 1_000_000, ("z" * 99 + "-") * 10_000]
    seconds = []
    for _ in range(3):  # the best of three: other processes may hold one of them up
        started = time.perf_counter()
        encoder.encode(hostile)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 2


def test_small_vocabularies_use_two_bytes_a_token_and_large_ones_four(tiny_tokenizer):
    settings = EncodingSettings(16)
    assert TextEncoder(tiny_tokenizer, settings, with_types=False).encode(["a"]).ids.itemsize == 2
    large = own_copy(tiny_tokenizer)
    large.add_tokens([f"word{n}" for n in range(66_000)])
    encoded = TextEncoder(large, settings, with_types=False).encode(["word65999"])
    assert encoded.ids.itemsize == 4
    assert large.id_to_token(int(encoded.ids[1])) == "word65999"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (EncodingSettings(2), "max_length=2 leaves no room for text beside the 2 special tokens"),
        (EncodingSettings(16, max_windows=0), "max_windows=0 must be at least 1"),
        (EncodingSettings(16, "windows", stride=7), r"window_stride=7 must lie in \[0, 7\)"),
        (EncodingSettings(16, "windows", stride=-1), "window_stride=-1"),
    ],
)
def test_settings_out_of_range_are_refused(tiny_tokenizer, settings, message):
    with pytest.raises(ConfigError, match=message):
        TextEncoder(tiny_tokenizer, settings, with_types=False)


def test_a_pair_needs_room_for_both_texts(tiny_tokenizer):
    encoder = TextEncoder(tiny_tokenizer, EncodingSettings(4), with_types=True)
    with pytest.raises(ConfigError, match="max_length=4 leaves no room"):
        encoder.encode(["a"], ["b"])


def test_texts_and_second_texts_must_be_as_many(tiny_tokenizer):
    encoder = TextEncoder(tiny_tokenizer, EncodingSettings(16), with_types=True)
    with pytest.raises(ValueError, match="2 texts have 1 second texts"):
        encoder.encode(["a", "b"], ["c"])

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from lightning_tune.errors import ConfigError
from lightning_tune.serving.special_tokens import probe


def test_frame_of_bert(tiny_tokenizer):
    frame = probe(tiny_tokenizer, with_types=True)
    cls, sep = tiny_tokenizer.token_to_id("[CLS]"), tiny_tokenizer.token_to_id("[SEP]")
    assert frame.single == ((cls,), (sep,))
    assert frame.pair == ((cls,), (sep,), (sep,))
    assert frame.typed
    assert (frame.specials(pair=False), frame.specials(pair=True)) == (2, 3)


def test_frame_of_roberta_has_two_separators_and_no_types(byte_bpe):
    frame = probe(byte_bpe, with_types=True)
    assert frame.pair == ((0,), (2, 2), (2,))
    assert not frame.typed


def test_types_do_not_matter_to_an_encoder_without_them(tiny_tokenizer):
    assert not probe(tiny_tokenizer, with_types=False).typed


def test_a_tokenizer_without_special_tokens_has_an_empty_frame():
    frame = probe(Tokenizer(models.WordLevel({"b": 0}, unk_token="b")), with_types=False)
    assert frame.single == ((), ())


def test_a_word_of_the_vocabulary_is_found_where_letters_are_unknown():
    tokenizer = Tokenizer(models.WordLevel({"[S]": 0, "好": 1}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[S]"])
    tokenizer.normalizer = normalizers.Replace("a", "")
    assert probe(tokenizer, with_types=False).single == ((), ())


def test_a_tokenizer_that_drops_every_text_is_refused():
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("a", "removed")
    with pytest.raises(ConfigError, match="turns every text into nothing"):
        probe(tokenizer, with_types=False)


def test_other_token_types_are_refused():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[S]": 1}, unk_token="a"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A:0 [S]:2", pair="$A:0 [S]:0 $B:1 [S]:2", special_tokens=[("[S]", 1)]
    )
    with pytest.raises(ConfigError, match=r"token types \[0, 0, 1, 2\]"):
        probe(tokenizer, with_types=True)

"""Translations by tiny random models of two families, against the model asked about one text."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, MarianConfig, T5Config

from lightning_tune.errors import ConfigError
from lightning_tune.models.translating import Translator

TEXTS = ["where is my card", "good", "the film was not good at all", "please help me again"]


def save_model(family: str, folder: Path, tokenizer) -> str:
    """A model of width 16; the Marian one ends each translation at its greatest length."""
    ids = {"pad_token_id": 0, "eos_token_id": 3, "decoder_start_token_id": 0}
    sizes = {"vocab_size": tokenizer.get_vocab_size(), "d_model": 16, **ids}
    if family == "t5":
        config = T5Config(num_layers=1, num_heads=2, d_kv=8, d_ff=16, **sizes)
    else:
        layers = {f"{side}_layers": 1 for side in ("encoder", "decoder")}
        heads = {f"{side}_attention_heads": 2 for side in ("encoder", "decoder")}
        widths = {f"{side}_ffn_dim": 16 for side in ("encoder", "decoder")}
        config = MarianConfig(
            **layers, **heads, **widths, **sizes, max_position_embeddings=64, init_std=1.0
        )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForSeq2SeqLM.from_config(config)
    if family == "marian":
        model.generation_config.forced_eos_token_id = 3
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "eos_token": "[SEP]"}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        **special,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return str(folder)


@pytest.fixture(scope="module")
def marian(tmp_path_factory, tiny_tokenizer) -> str:
    return save_model("marian", tmp_path_factory.mktemp("marian"), tiny_tokenizer)


def alone(folder: str, text: str, beams: int, length: int) -> str:
    """What the model says of one text in a batch of its own."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    made = model.generate(
        ids, num_beams=beams, do_sample=False, max_length=None, max_new_tokens=length
    )
    return tokenizer.decode(made[0], skip_special_tokens=True)


@pytest.mark.parametrize("beams", [1, 3])
def test_texts_in_batches_are_translated_as_each_alone(marian, beams):
    said = Translator(marian, "", beams, 3, 12)(TEXTS)
    assert said == [alone(marian, text, beams, 12) for text in TEXTS]
    assert len(set(said)) > 1


def test_a_prefix_stands_before_each_text(marian):
    said = Translator(marian, "help: ", 2, 2, 12)(TEXTS)
    assert said == [alone(marian, f"help: {text}", 2, 12) for text in TEXTS]


def test_what_is_too_long_has_no_translation(marian):
    said = Translator(marian, "", 1, 2, 6)(TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(marian)
    long = [len(tokenizer(text)["input_ids"]) > 6 for text in TEXTS]
    assert [one is None for one in said] == long
    assert 0 < sum(long) < len(TEXTS)
    assert Translator(marian, "", 1, 2, 6)([]) == []


def test_a_translation_that_does_not_end_is_none(tmp_path, tiny_tokenizer):
    folder = save_model("t5", tmp_path, tiny_tokenizer)
    said = Translator(folder, "", 1, 4, 8)(TEXTS)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text, one in zip(TEXTS, said, strict=True):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        made = model.generate(ids, do_sample=False, max_length=None, max_new_tokens=8)[0, 1:]
        assert (one is not None) == (3 in made.tolist())
    assert None in said


def test_folders_without_such_a_model_are_one_line(tmp_path, tiny_backbone):
    (tmp_path / "config.json").write_text("{}")
    for folder in (tmp_path, tiny_backbone("bert")):
        logging.disable(logging.WARNING)
        with pytest.raises(ConfigError, match="holds no sequence-to-sequence model") as err:
            Translator(str(folder), "", 1, 1, 8)
        logging.disable(logging.NOTSET)
        assert "\n" not in str(err.value)

"""A smaller vocabulary leaves texts of kept tokens alone, and makes no text impossible."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from lightning_tune.errors import ConfigError
from lightning_tune.models.backbones import LoadedTokenizer, load_tokenizer
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.serving.encoding import EncodingSettings, TextEncoder
from lightning_tune.training.inference import answering, load
from lightning_tune_export.prune.rebuilding import write_pruned
from lightning_tune_export.prune.vocabulary import (
    prune_vocabulary,
    smaller_tokenizer,
    tokens_of_train,
)

CORPUS = [
    "the film was slow but the story was lovely",
    "a lovely film with a slow story",
    "lower slower newest lovely loveliest",
    "great storytelling; newer films are slower",
] * 3


def trained(kind) -> LoadedTokenizer:
    """Train a tokenizer of a kind on a few sentences."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    if kind == "Unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=80, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    elif kind == "BPE":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=340,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(
            vocab_size=90, special_tokens=special, show_progress=False
        )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>"))
    )
    config = {"unk_token": "<unk>"}
    return LoadedTokenizer(tokenizer.to_str(), config, tokenizer.token_to_id("<pad>"), False)


@pytest.mark.parametrize("kind", ["WordPiece", "Unigram", "BPE"])
def test_texts_whose_tokens_stay_are_cut_into_the_same(kind):
    before = trained(kind)
    old = Tokenizer.from_str(before.json)
    seen = {index for text in CORPUS[:2] for index in old.encode(text).ids}
    smaller = smaller_tokenizer(before, seen)
    new = Tokenizer.from_str(smaller.tokenizer.json)
    assert new.get_vocab_size() == len(smaller.kept) < old.get_vocab_size()
    for text in CORPUS[:2]:
        assert new.encode(text).tokens == old.encode(text).tokens
        assert [smaller.kept[index] for index in new.encode(text).ids] == old.encode(text).ids
    assert new.token_to_id("<pad>") == smaller.tokenizer.pad_id


@pytest.mark.parametrize("kind", ["WordPiece", "Unigram", "BPE"])
def test_other_texts_of_known_characters_are_cut_smaller_not_lost(kind):
    before = trained(kind)
    old = Tokenizer.from_str(before.json)
    smaller = smaller_tokenizer(before, set(old.encode(CORPUS[0]).ids))
    new = Tokenizer.from_str(smaller.tokenizer.json)
    text = "newest loveliest storytelling"
    assert len(new.encode(text).ids) > len(old.encode(text).ids)
    assert "<unk>" not in new.encode(text).tokens
    assert (new.token_to_id("<unk>") in new.encode("漢字").ids) == (kind != "BPE")


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "mpnet"])
def test_texts_of_train_are_answered_the_same(arrange, family):
    module, data = arrange(family)
    smaller, vocabulary = prune_vocabulary(module, data)
    assert len(vocabulary.kept) < module.classifier.encoder.config.vocab_size
    table = smaller.classifier.encoder.get_input_embeddings().weight
    assert len(table) == len(vocabulary.kept)
    assert tokens_of_train(data) <= set(vocabulary.kept)
    texts = [data.train_data[index]["text"] for index in range(20)]
    travelling = data.travelling()
    before = answering(module, travelling).scores(texts)
    changed = {**travelling, "tokenizer": vocabulary.tokenizer.to_dict()}
    torch.testing.assert_close(answering(smaller, changed).scores(texts), before)


def test_tokens_of_the_held_out_rows_do_not_decide(arrange):
    _, data = arrange()
    data.setup("fit")
    own = {
        index for row in range(len(data.train_data)) for index in data.train_data[row]["input_ids"]
    }
    assert tokens_of_train(data) == own


def test_a_checkpoint_with_it_answers_alone(arrange, tmp_path):
    module, data = arrange()
    smaller, vocabulary = prune_vocabulary(module, data)
    checkpoint = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "lightning_tune": {
            "format": 1,
            "labels": module.label_set.to_dict(),
            "class_path": "lightning_tune.training.module.TextClassifier",
            **data.travelling(),
        },
    }
    tokenizer = vocabulary.tokenizer.to_dict()
    write_pruned(checkpoint, smaller, tmp_path / "small.ckpt", tokenizer=tokenizer)
    texts = [data.train_data[index]["text"] for index in range(5)]
    expected = answering(module, data.travelling()).scores(texts)
    torch.testing.assert_close(load(tmp_path / "small.ckpt").scores(texts), expected)
    assert load_tokenizer(str(tmp_path / "small.ckpt")).json == vocabulary.tokenizer.json
    stored = json.loads(
        read_checkpoint(tmp_path / "small.ckpt")["hyper_parameters"]["architecture"]
    )
    assert stored["vocab_size"] == len(vocabulary.kept)


def test_the_runtimes_encoder_reads_it(arrange):
    _, data = arrange()
    data.setup("fit")
    smaller = smaller_tokenizer(data.loaded_tokenizer, tokens_of_train(data))
    encoder = TextEncoder(
        Tokenizer.from_str(smaller.tokenizer.json),
        EncodingSettings(16, "end", 4, 2),
        with_types=True,
    )
    text = data.train_data[0]["text"]
    assert [smaller.kept[i] for i in encoder.encode([text], None).ids] == data.train_data[0][
        "input_ids"
    ]


def test_another_kind_of_tokenizer_is_refused(arrange):
    _, data = arrange()
    values = json.loads(data.loaded_tokenizer.json)
    values["model"]["type"] = "WordLevel"
    with pytest.raises(ConfigError, match="of a WordLevel tokenizer cannot be pruned"):
        smaller_tokenizer(replace(data.loaded_tokenizer, json=json.dumps(values)), set())

"""Tokenizers of other families than WordPiece, trained on a few lines."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

LINES = [
    "I want my money back, the app charged me twice!",
    "What a wonderful film: slow at first, but the last hour is worth every minute.",
    "please cancel card no. 4711 and send another one to my new address",
    "Größe, naïve café, 1.234,56 € - don't panic…",
    "我想退款 因为 商品 坏了。",
    "🙂🙂 ok ok ok",
    "antidisestablishmentarianism and hyperparameterization",
]


@pytest.fixture(scope="session")
def lines() -> list[str]:
    return LINES


@pytest.fixture(scope="session")
def byte_bpe() -> Tokenizer:
    """Byte-level BPE in RoBERTa's frame: <s> A </s></s> B </s>, all of type 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        LINES,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


@pytest.fixture(scope="session")
def unigram() -> Tokenizer:
    """Unigram over Metaspace, as XLM-R has it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(" {2,}", " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        LINES * 3,
        trainers.UnigramTrainer(
            vocab_size=160, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


@pytest.fixture(params=["wordpiece", "byte_bpe", "unigram"])
def family(request: pytest.FixtureRequest) -> Tokenizer:
    names = {"wordpiece": "tiny_tokenizer", "byte_bpe": "byte_bpe", "unigram": "unigram"}
    tokenizer: Tokenizer = request.getfixturevalue(names[request.param])
    return tokenizer

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.truncation import TokenCounter, TokenSettings, truncation


def test_tokens_are_those_of_the_encoder_with_special_ones(tiny_backbone, tiny_tokenizer):
    texts = ["we want a refund", "thank you", "when will it come"]
    count = TokenCounter(TokenSettings(str(tiny_backbone("bert"))))
    expected = [len(tiny_tokenizer.encode(text).ids) for text in texts]
    assert count(pa.table({"text": texts})).tolist() == expected
    pairs = ["no", "yes", "soon"]
    expected = [len(tiny_tokenizer.encode(*both).ids) for both in zip(texts, pairs, strict=True)]
    assert count(pa.table({"text": texts, "text_pair": pairs})).tolist() == expected


def test_longer_rows_are_counted_by_split():
    counts = {"train": np.array([3, 9, 8]), "test": np.array([10])}
    assert truncation(counts, TokenSettings("any", max_length=8)) == {
        "max_length": 8,
        "rows": {"train": 1, "test": 1},
        "share": 0.5,
    }


def test_a_length_of_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"tokens.max_length=0 has to be at least 1"):
        TokenSettings("any", max_length=0)

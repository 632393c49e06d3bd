"""A backbone that fits and answers, on a tiny encoder."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_tune.commands.crossfitting import EncoderSettings, cross_fitted, embedder
from lightning_tune.errors import ConfigError
from lightning_tune.prepare.quality.folds import Training

TEXTS = ["good film", "bad film", "good story", "bad story"] * 8
TARGETS = np.eye(2)[[0, 1] * 16]


def settings(backbone, epochs: int = 30) -> EncoderSettings:
    return EncoderSettings(str(backbone), epochs=epochs, lr=5e-3, batch_size=8, max_length=16)


def test_what_was_fitted_answers_other_texts(tiny_backbone):
    answer = cross_fitted(("a", "b"), settings(tiny_backbone("bert")), several=False)
    said = answer(Training(TEXTS, TARGETS, np.ones(32)), ["good movie", "bad movie", "good"])
    assert said.shape == (3, 2)
    assert said.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert said.argmax(axis=1).tolist() == [0, 1, 0]


def test_the_same_rows_and_seed_give_the_same_answers(tiny_backbone):
    tuned = settings(tiny_backbone("bert"), epochs=1)
    training = Training(TEXTS, TARGETS, np.ones(32))
    first, again, other = (
        cross_fitted(("a", "b"), tuned, several=False, seed=seed)(training, ["good movie"])
        for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_several_labels_are_answered_each_for_itself(tiny_backbone):
    targets = np.array([[1.0, 0], [0, 1], [1, 1], [0, 0]] * 8)
    answer = cross_fitted(("a", "b"), settings(tiny_backbone("bert"), 1), several=True)
    said = answer(Training(TEXTS, targets, np.ones(32)), ["good movie"])
    assert said.shape == (1, 2)
    assert said.sum() != pytest.approx(1, abs=1e-4)


def test_vectors_are_the_mean_of_what_the_encoder_says_of_each_token(tiny_backbone):
    import torch
    from transformers import AutoModel, AutoTokenizer

    place = str(tiny_backbone("bert"))
    texts = ["good film", "a much longer story about a bad day", "ok"]
    found = embedder(place)(texts)
    tokenizer, model = AutoTokenizer.from_pretrained(place), AutoModel.from_pretrained(place).eval()
    for at, text in enumerate(texts):
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        assert found[at] == pytest.approx(hidden.mean(0).numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "encoder.epochs=0 is below 1"),
        ({"batch_size": 0}, "encoder.batch_size=0"),
        ({"lr": 0.0}, "encoder.lr=0.0 is not above 0"),
    ],
)
def test_settings_out_of_their_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        EncoderSettings(**values)


def test_texts_longer_than_the_encoder_reads_are_its_own_setting(tiny_backbone):
    answer = cross_fitted(("a", "b"), EncoderSettings(str(tiny_backbone("bert"))), several=False)
    with pytest.raises(ConfigError, match=r"encoder.max_length=128 exceeds the 64 positions"):
        answer(Training(TEXTS, TARGETS, np.ones(32)), ["good movie"])


def test_an_encoder_that_is_nowhere_is_one_line():
    with pytest.raises(ConfigError, match=r"backbone='\./none' is not a folder"):
        embedder("./none")

"""Packed sequences have the answers and gradients of padded ones, in fp32, in every way of use."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Classifier
from lightning_tune.models.encoder import DropoutSettings, build_encoder
from lightning_tune.models.packed import attention, pack_sequences
from lightning_tune.models.packed.reading import LAST
from lightning_tune.models.peft import IA3, Adapters, BitFit, DoRA, LastLayers, LoRA, Prefix
from lightning_tune.models.recomputation import recompute_layers
from lightning_tune.schema import LabelSet
from lightning_tune.training.losses import Loss, LossSettings
from lightning_tune.training.objectives import (
    FGM,
    PGD,
    SMART,
    FGMRDrop,
    FitContext,
    FreeLB,
    Plain,
    RDrop,
)

TESTED = ["bert", "roberta", "xlm-roberta", "distilbert", "electra", "albert", "modernbert"]
THREE = LabelSet("multiclass", ("a", "b", "c"))
LOSS = Loss("multiclass", LossSettings(), None)
OBJECTIVES = {
    "FGM": FGM(0.5),
    "FGM without clean loss": FGM(0.5, clean_share=0.0),
    "PGD": PGD(0.5, start="zero"),
    "FreeLB": FreeLB(0.5, start="zero"),
    "FreeLB, each token": FreeLB(0.5, start="zero", norm="l2_token"),
    "SMART": SMART(0.5, smoothness=2.0),
    "RDrop": RDrop(),
    "FGMRDrop": FGMRDrop(0.5),
}


@pytest.fixture
def compared(twins, a_batch, gradients, assert_same):
    """Return a function that takes a step packed and padded, and compares logits and gradients."""

    def compare(family="bert", *, tuning=None, objective=Plain(), change=lambda batch: None):  # noqa: B008
        padded, packed = twins(family, tuning)
        pack_sequences(packed)
        batch = a_batch(padded, types=family in ("bert", "electra", "albert"))
        change(batch)
        found = []
        for classifier in (Classifier(packed, packed=True), Classifier(padded)):
            classifier.train()
            own = copy.copy(objective)
            own.prepare(FitContext(classifier, special_ids=[0, 1, 2, 3]))
            torch.manual_seed(5)
            value, logits = own(classifier, batch, LOSS)
            found.append((logits, gradients(classifier, value)))
        torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-4, atol=1e-5)
        assert_same(found[0][1], found[1][1])
        return found[0]

    return compare


@pytest.mark.parametrize("family", TESTED)
def test_every_family_answers_and_learns_as_padded(compared, family, monkeypatch):
    rows, real = [], attention.one_by_one

    def seen(heads, *sizes, **settings):
        rows.append(len(heads[0]))
        return real(heads, *sizes, **settings)

    monkeypatch.setattr(attention, "one_by_one", seen)
    compared(family)
    assert rows == [33] * 2  # of 44 places, in both layers


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_modernbert_packs_with_either_pooling(twins, a_batch, gradients, assert_same, pooling):
    padded, packed = twins("modernbert")
    padded.config.classifier_pooling = packed.config.classifier_pooling = pooling
    pack_sequences(packed)
    batch = a_batch(padded)
    found = []
    for classifier in (Classifier(packed, packed=True), Classifier(padded)):
        found.append(gradients(classifier, LOSS(classifier.train()(batch), batch)))
    assert_same(*found)


def test_modernberts_window_is_narrower_than_the_batch(twins):
    """Or else its sliding layers were not tested."""
    config = twins("modernbert")[0].config
    assert "sliding_attention" in config.layer_types
    assert config.sliding_window < 7


def test_types_matter(compared):
    with_types = compared()[0]
    without = compared(change=lambda batch: batch.pop("token_type_ids"))[0]
    assert not torch.allclose(with_types, without)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_objectives_that_shift_embeddings_have_the_same_gradients(compared, family, name):
    compared(family, objective=OBJECTIVES[name])


@pytest.mark.parametrize(
    "tuning", [LoRA(rank=2), DoRA(rank=2), IA3(), Adapters(), BitFit(), LastLayers(1)]
)
def test_tuned_weights_have_the_same_gradients(compared, tuning):
    compared(tuning=tuning)
    compared(tuning=dataclasses.replace(tuning), objective=PGD(0.5, start="zero"))


def test_windows_of_one_text_are_averaged(compared):
    def in_windows(batch):
        batch["window_of"] = torch.tensor([0, 0, 1, 2])
        batch["labels"], batch["index"] = torch.tensor([0, 2, 1]), torch.arange(3)

    assert compared(change=in_windows)[0].shape == (3, 3)


def test_a_batch_without_padding_and_one_text_alone(compared):
    def whole(batch):
        batch["attention_mask"].fill_(1)

    def alone(batch):
        for name in batch:
            batch[name] = batch[name][1:2]

    compared(change=whole)
    compared(change=alone)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable.*:FutureWarning")
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_recomputed_layers_have_the_same_gradients(twins, a_batch, gradients, assert_same, family):
    padded, packed = twins(family)
    recompute_layers(packed)
    pack_sequences(packed)
    batch = a_batch(padded)
    found = []
    for classifier in (Classifier(packed, packed=True), Classifier(padded)):
        found.append(gradients(classifier, LOSS(classifier.train()(batch), batch)))
    assert_same(*found)


@pytest.mark.parametrize("family", TESTED)
def test_evaluation_reads_padded_batches_as_before(twins, a_batch, family, monkeypatch):
    padded, packed = twins(family)
    pack_sequences(packed)
    monkeypatch.setattr(attention, "one_by_one", None)  # not called
    batch = a_batch(padded)
    answers = [
        Classifier(encoder, packed=which).eval()(batch)
        for encoder, which in ((padded, False), (packed, True))
    ]
    assert torch.equal(*answers)
    assert list(padded.state_dict()) == list(packed.state_dict())


def test_dropout_of_hidden_states_is_drawn_for_real_tokens(twins, a_batch):
    _, packed = twins()
    pack_sequences(packed)
    sizes = []
    for module in packed.bert.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
            module.register_forward_hook(lambda m, args, out: sizes.append(out.shape[:2]))
    first, second = (Classifier(packed, packed=True).train()(a_batch(packed)) for _ in range(2))
    assert not torch.equal(first, second)
    assert set(sizes) == {(1, 33)}


@pytest.mark.parametrize("family", ["deberta-v2", "mpnet"])
def test_a_family_with_attention_of_its_own_is_one_line(twins, family):
    with pytest.raises(ConfigError) as told:
        pack_sequences(twins(family)[0])
    assert str(told.value) == (
        f"model.packed=true: {family} encoders compute attention in a way of their own; leave it "
        f"out, or take one of {', '.join(LAST)}."
    )


def test_dropout_of_attention_weights_is_one_line(tiny_backbone):
    encoder = build_encoder(str(tiny_backbone("bert")), THREE, dropout=DropoutSettings(hidden=0.0))
    with pytest.raises(ConfigError) as told:
        pack_sequences(encoder)
    assert str(told.value) == (
        "model.packed=true: attention over packed sequences has no dropout, and this encoder asks "
        "for 0.1; set model.dropout.attention=0."
    )


def test_a_prefix_is_one_line(twins):
    with pytest.raises(ConfigError, match="Prefix puts keys before each sequence, which packed"):
        pack_sequences(twins("bert", Prefix(3))[0])

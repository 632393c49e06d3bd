"""Encoders that were tuned before: what is kept of them, and what is said."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModel

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.encoder import DropoutSettings, build_encoder
from lightning_tune.models.naming import is_head
from lightning_tune.schema import LabelSet

TWO = LabelSet("binary", ("bad", "good"))
OTHER_TWO = LabelSet("binary", ("ham", "spam"))
FOUR = LabelSet("multiclass", ("a", "b", "c", "d"))
FAMILIES = ["bert", "roberta", "distilbert", "albert", "deberta-v2", "modernbert", "mpnet"]


@pytest.fixture
def tuned(tiny_backbone):
    """Return a function: a family -> an encoder whose weights no initialisation gives."""

    def make(family="bert"):
        model = build_encoder(str(tiny_backbone(family)), TWO)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.5)
        return model

    return make


def split(model):
    weights = dict(model.named_parameters())
    head = {name: value for name, value in weights.items() if is_head(model, name)}
    return {name: weights[name] for name in weights.keys() - head.keys()}, head


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def assert_new_head(model, source):
    (body, head), (old_body, old_head) = split(model), split(source)
    assert same(body, old_body)
    for name, value in head.items():
        assert value.shape != old_head[name].shape or not torch.equal(value, old_head[name]), name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tuned_folder_keeps_its_head_for_the_same_labels(family, tuned, tmp_path, caplog):
    source = tuned(family)
    source.save_pretrained(tmp_path / "tuned")
    model = build_encoder(str(tmp_path / "tuned"), TWO)
    assert same(dict(model.named_parameters()), dict(source.named_parameters()))
    assert caplog.text == ""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("labels", [OTHER_TWO, FOUR])
def test_a_tuned_folder_gets_a_new_head_for_other_labels_and_says_so(
    family, labels, tuned, tmp_path, caplog
):
    source = tuned(family)
    source.save_pretrained(tmp_path / "tuned")
    model = build_encoder(str(tmp_path / "tuned"), labels)
    assert_new_head(model, source)
    assert "was tuned for the labels ['bad', 'good']; its head is replaced" in caplog.text
    assert str(list(labels.names)) in caplog.text


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_warm_starts_with_its_head_for_the_same_labels(
    family, tuned, save_checkpoint, caplog
):
    source = tuned(family)
    path = save_checkpoint(source, TWO)
    model = build_encoder(str(path), TWO)
    assert same(dict(model.named_parameters()), dict(source.named_parameters()))
    assert all(module.training for module in model.modules())
    assert caplog.text == ""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("labels", [OTHER_TWO, FOUR, LabelSet("multilabel", ("bad", "good"))])
def test_a_checkpoint_warm_starts_other_labels_with_a_new_head_and_says_so(
    family, labels, tuned, save_checkpoint, caplog
):
    source = tuned(family)
    model = build_encoder(str(save_checkpoint(source, TWO)), labels)
    assert_new_head(model, source)
    assert model.config.num_labels == labels.num_outputs
    assert "was tuned for the labels ['bad', 'good']; its head is replaced" in caplog.text


def test_another_positive_label_is_not_another_label_set(tuned, save_checkpoint, caplog):
    source = tuned()
    labels = LabelSet("binary", ("bad", "good"), positive="bad")
    model = build_encoder(str(save_checkpoint(source, TWO)), labels)
    assert same(dict(model.named_parameters()), dict(source.named_parameters()))
    assert caplog.text == ""


def test_a_warm_start_takes_the_dropout_that_is_written_now(tuned, save_checkpoint):
    path = save_checkpoint(tuned(), TWO)
    model = build_encoder(str(path), TWO, dropout=DropoutSettings(hidden=0.4))
    assert model.bert.embeddings.dropout.p == 0.4


@pytest.mark.parametrize("damage", ["missing", "unexpected", "misshapen"])
def test_a_checkpoint_that_contradicts_its_own_config_is_refused(damage, tuned, save_checkpoint):
    path = save_checkpoint(tuned(), TWO)
    checkpoint = torch.load(path, weights_only=True)
    state = checkpoint["state_dict"]
    name = "classifier.encoder.bert.encoder.layer.0.output.dense.weight"
    if damage == "missing":
        del state[name]
    elif damage == "misshapen":
        state[name] = state[name][:3]
    else:
        state["classifier.encoder.bert.encoder.layer.7.output.dense.weight"] = state[name]
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError, match="does not hold the encoder that its config"):
        build_encoder(str(path), TWO)


def test_a_pooler_that_the_folder_lacks_is_new_and_said(tiny_backbone, tmp_path, caplog):
    AutoModel.from_pretrained(tiny_backbone("bert"), add_pooling_layer=False).save_pretrained(
        tmp_path / "bare"
    )
    build_encoder(str(tmp_path / "bare"), TWO)
    assert "comes without a pooler; it starts with a new one" in caplog.text


def test_a_missing_checkpoint_is_no_missing_backbone(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        build_encoder(str(tmp_path / "best.ckpt"), TWO)


def test_a_name_that_is_nowhere_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="was found in no local folder"):
        build_encoder("nobody/nothing", TWO)

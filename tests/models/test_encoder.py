"""What holds for every family: heads, precision, training mode, dropout, rebuilding."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest
import torch
from transformers import AutoModel

from lightning_tune.errors import ConfigError
from lightning_tune.models.encoder import (
    DropoutSettings,
    architecture_of,
    build_encoder,
    start_at_base_rates,
)
from lightning_tune.models.naming import is_embedding, is_head, layer_index
from lightning_tune.schema import LabelSet

THREE = LabelSet("multiclass", ("bad", "good", "mixed"))
TASKS = [
    (LabelSet("binary", ("no", "yes")), 2, "single_label_classification"),
    (THREE, 3, "single_label_classification"),
    (LabelSet("multilabel", ("a", "b", "c", "d")), 4, "multi_label_classification"),
    (LabelSet("regression"), 1, "regression"),
]
OFF = DropoutSettings(hidden=0.0, attention=0.0, classifier=0.0)


def some_ids(length=12, rows=2):
    """Ids of ordinary words, none of them padding."""
    generator = torch.Generator().manual_seed(length)
    return torch.randint(5, 300, (rows, length), generator=generator)


def answer(model, ids=None):
    ids = some_ids() if ids is None else ids
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def test_an_encoder_from_a_folder_trains_in_fp32_with_dropout_on(family, tiny_backbone):
    model = build_encoder(str(tiny_backbone(family)), THREE)
    dropouts = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert dropouts
    assert all(module.training for module in model.modules())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert answer(model).shape == (2, 3)


def test_the_body_holds_the_weights_of_the_folder(family, tiny_backbone):
    folder = tiny_backbone(family)
    ours = build_encoder(str(folder), THREE).eval().base_model
    theirs = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        torch.testing.assert_close(
            ours(some_ids()).last_hidden_state,
            theirs(some_ids()).last_hidden_state,
            rtol=0,
            atol=0,
        )


@pytest.mark.parametrize(("labels", "outputs", "problem"), TASKS)
def test_the_head_answers_the_labels(labels, outputs, problem, tiny_backbone):
    model = build_encoder(str(tiny_backbone("bert")), labels)
    assert answer(model).shape == (2, outputs)
    assert model.config.problem_type == problem
    names = list(labels.names) or ["score"]
    assert model.config.id2label == dict(enumerate(names))
    assert [model.config.label2id[name] for name in names] == list(range(outputs))


def test_weights_stored_in_half_precision_are_trained_in_fp32(tiny_backbone, tmp_path):
    AutoModel.from_pretrained(tiny_backbone("bert")).to(torch.bfloat16).save_pretrained(tmp_path)
    model = build_encoder(str(tmp_path), THREE)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    rebuilt = build_encoder("", THREE, architecture=architecture_of(model))
    assert {parameter.dtype for parameter in rebuilt.parameters()} == {torch.float32}


def varies(family, folder, dropout):
    """Whether two passes in training mode differ."""
    model = build_encoder(str(folder), THREE, dropout=dropout)
    torch.manual_seed(0)
    return not torch.equal(answer(model), answer(model))


def with_dropout(family, **changes):
    """All dropout off but the one named; MPNet has none of its own before the head."""
    values = {"hidden": 0.0, "attention": 0.0, "classifier": 0.0} | changes
    if family == "mpnet":
        values.pop("classifier")
    return DropoutSettings(**values)


def test_dropout_of_zero_silences_every_family(family, tiny_backbone):
    assert not varies(family, tiny_backbone(family), with_dropout(family))


@pytest.mark.parametrize("kind", ["hidden", "attention", "classifier"])
def test_each_dropout_setting_acts_by_itself(family, kind, tiny_backbone):
    folder = tiny_backbone(family)
    if (family, kind) == ("mpnet", "classifier"):
        with pytest.raises(ConfigError, match=r"mpnet has no such dropout; use dropout\.hidden"):
            build_encoder(str(folder), THREE, dropout=DropoutSettings(classifier=0.5))
        return
    assert varies(family, folder, with_dropout(family, **{kind: 0.5}))


def test_dropout_not_named_stays_the_encoders_own(tiny_backbone):
    model = build_encoder(
        str(tiny_backbone("bert")), THREE, dropout=DropoutSettings(hidden=0.3, classifier=0.4)
    )
    assert model.bert.embeddings.dropout.p == 0.3
    assert model.bert.encoder.layer[1].output.dropout.p == 0.3
    assert model.bert.encoder.layer[1].attention.self.dropout.p == 0.1
    assert model.dropout.p == 0.4


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_a_dropout_outside_its_range_is_refused(value):
    with pytest.raises(ConfigError, match=r"dropout\.attention=.* outside \[0, 1\)"):
        DropoutSettings(attention=value)


def test_an_architecture_rebuilds_the_encoder_without_any_file(family, tiny_backbone, tmp_path):
    dropout = with_dropout(family, hidden=0.2)
    original = build_encoder(str(tiny_backbone(family)), THREE, dropout=dropout)
    torch.save(architecture_of(original), tmp_path / "architecture.pt")
    architecture = torch.load(tmp_path / "architecture.pt", weights_only=True)
    rebuilt = build_encoder("no/such-encoder", THREE, architecture=architecture)
    rebuilt.load_state_dict(original.state_dict())
    assert type(rebuilt) is type(original)
    assert architecture_of(rebuilt) == architecture == architecture_of(original)
    assert [m.p for m in rebuilt.modules() if isinstance(m, torch.nn.Dropout)] == [
        m.p for m in original.modules() if isinstance(m, torch.nn.Dropout)
    ]
    assert all(module.training for module in rebuilt.modules())
    torch.testing.assert_close(answer(rebuilt.eval()), answer(original.eval()), rtol=0, atol=0)


def test_a_rebuilt_encoder_takes_the_dropout_that_is_written_now(tiny_backbone):
    architecture = architecture_of(build_encoder(str(tiny_backbone("bert")), THREE))
    before = json.dumps(architecture)
    model = build_encoder(
        "", THREE, architecture=architecture, dropout=DropoutSettings(attention=0.4)
    )
    assert model.bert.encoder.layer[0].attention.self.dropout.p == 0.4
    assert model.bert.encoder.layer[0].output.dropout.p == 0.1
    assert json.dumps(architecture) == before


# By hand, from the models' own names: the head, and what of the body stands above the layers.
HEADS = {
    "bert": {"classifier.weight", "classifier.bias"},
    "roberta": {f"classifier.{m}.{p}" for m in ("dense", "out_proj") for p in ("weight", "bias")},
    "distilbert": {
        f"{module}.{p}" for module in ("pre_classifier", "classifier") for p in ("weight", "bias")
    },
    "albert": {"classifier.weight", "classifier.bias"},
    "deberta-v2": {f"{m}.{p}" for m in ("pooler.dense", "classifier") for p in ("weight", "bias")},
    "modernbert": {
        "head.dense.weight",
        "head.norm.weight",
        "classifier.weight",
        "classifier.bias",
    },
}
for alike in ("xlm-roberta", "electra", "mpnet"):
    HEADS[alike] = HEADS["roberta"]
TOPS = {
    "bert": {"bert.pooler.dense.weight", "bert.pooler.dense.bias"},
    "albert": {"albert.pooler.weight", "albert.pooler.bias"},
    "modernbert": {"model.final_norm.weight"},
}


def test_every_parameter_is_in_the_embeddings_a_layer_above_or_the_head(family, tiny_backbone):
    model = build_encoder(str(tiny_backbone(family)), THREE)
    names = [name for name, _ in model.named_parameters()]
    assert {name for name in names if is_head(model, name)} == HEADS[family]
    rest = {
        name
        for name in names
        if layer_index(name) is None and not is_embedding(name) and not is_head(model, name)
    }
    assert rest == TOPS.get(family, set())
    indices = Counter(layer_index(name) for name in names)
    del indices[None]
    usual = {"albert": {0: 16}, "modernbert": {0: 5, 1: 6}}  # no norm before its first attention
    assert indices == usual.get(family, {0: 16, 1: 16})


def edit_config(folder, target, **changes):
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | changes))
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 32}, r"do not fit its config\.json: 37 parameters"),
        ({"num_hidden_layers": 3}, "16 parameters are missing or of another shape"),
        ({"model_type": "vit"}, "cannot be used .*Unrecognized configuration class"),
        ({"model_type": "nope"}, "cannot be used .*does not recognize this architecture"),
        ({"hidden_size": "wide"}, "cannot be used .*hidden_size"),
        ({"hidden_size": 17}, "cannot be used .*not a multiple"),
    ],
)
def test_weights_that_do_not_fit_their_config_are_refused(
    changes, message, tiny_backbone, tmp_path
):
    folder = edit_config(tiny_backbone("bert"), tmp_path / "edited", **changes)
    with pytest.raises(ConfigError, match=message) as caught:
        build_encoder(str(folder), THREE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", b"{"),
        ("config.json", b"{}"),
        ("config.json", None),
        ("model.safetensors", b""),
        ("model.safetensors", b"cut short"),
        ("model.safetensors", None),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(file, content, tiny_backbone, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_backbone("bert"), folder)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(ConfigError, match=r"the files of backbone=.*cannot be used") as caught:
        build_encoder(str(folder), THREE)
    assert "\n" not in str(caught.value)


def test_code_beside_the_weights_is_neither_run_nor_asked_about(
    tiny_backbone, tmp_path, monkeypatch
):
    def never(prompt=""):
        raise AssertionError(f"asked: {prompt}")

    monkeypatch.setattr("builtins.input", never)
    folder = edit_config(
        tiny_backbone("bert"),
        tmp_path / "foreign",
        model_type="foreign",
        auto_map={"AutoConfig": "code.Config", "AutoModelForSequenceClassification": "code.Model"},
    )
    (folder / "code.py").write_text(f"open({str(tmp_path / 'touched')!r}, 'w')")
    with pytest.raises(ConfigError, match="contains custom code"):
        build_encoder(str(folder), THREE)
    assert not (tmp_path / "touched").exists()


def test_transformers_logging_is_as_before_after_loading(tiny_backbone):
    from transformers.utils import logging

    logging.set_verbosity_info()
    logging.disable_progress_bar()
    try:
        build_encoder(str(tiny_backbone("bert")), THREE)
        assert logging.get_verbosity() == logging.INFO
        assert not logging.is_progress_bar_enabled()
    finally:
        logging.set_verbosity_warning()
        logging.enable_progress_bar()


def test_a_multilabel_head_first_answers_with_the_base_rates(family, tiny_backbone):
    labels = LabelSet("multilabel", ("a", "b", "c"))
    model = build_encoder(str(tiny_backbone(family)), labels).eval()
    head = [parameter for name, parameter in model.named_parameters() if is_head(model, name)]
    with torch.no_grad():
        [parameter.zero_() for parameter in head if parameter.ndim == 2]
    start_at_base_rates(model, "multilabel", [0.5, 0.01, 0.2])
    assert answer(model).sigmoid().tolist() == [pytest.approx([0.5, 0.01, 0.2], rel=1e-4)] * 2


def test_a_regression_head_first_answers_with_the_mean(tiny_backbone):
    model = build_encoder(str(tiny_backbone("bert")), LabelSet("regression"))
    start_at_base_rates(model, "regression", [2.7])
    assert model.classifier.bias.item() == pytest.approx(2.7)


def test_positive_weights_move_the_start_to_the_constant_of_least_loss(tiny_backbone):
    labels = LabelSet("multilabel", ("a", "b"))
    model = build_encoder(str(tiny_backbone("bert")), labels)
    weights = torch.tensor([3.0, 0.5])
    targets = torch.tensor([[1.0, 1.0]] + [[0.0, 1.0]] * 2 + [[0.0, 0.0]] * 7)
    start_at_base_rates(model, "multilabel", [0.1, 0.3], weights)
    bias = model.classifier.bias.detach().requires_grad_()
    logits = bias.expand(10, 2)
    torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets, pos_weight=weights
    ).backward()
    assert bias.grad.tolist() == pytest.approx([0, 0], abs=1e-7)


def test_labels_of_every_example_or_of_none_keep_a_finite_start(tiny_backbone):
    model = build_encoder(str(tiny_backbone("bert")), LabelSet("multilabel", ("a", "b")))
    start_at_base_rates(model, "multilabel", [0.0, 1.0])
    assert model.classifier.bias.isfinite().all()
    assert model.classifier.bias.tolist() == pytest.approx([-9.2102, 9.2102], rel=1e-3)


def test_a_head_that_was_trained_keeps_its_bias(tiny_backbone):
    model = build_encoder(str(tiny_backbone("bert")), LabelSet("multilabel", ("a", "b")))
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([0.3, 0.0]))
    start_at_base_rates(model, "multilabel", [0.1, 0.1])
    assert model.classifier.bias.tolist() == pytest.approx([0.3, 0.0])

"""A pruned encoder answers as the whole one with its heads and neurons silenced, and reloads."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch.nn import functional

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.encoder import DropoutSettings, architecture_of, build_encoder
from lightning_tune.models.fast import accelerate
from lightning_tune.models.flops import training_flops
from lightning_tune.models.layout import (
    NAMES,
    LayerShape,
    Layout,
    apply_layout,
    is_pruned,
    layout_of,
    stack_of,
)
from lightning_tune.models.peft import IA3, Adapters, LoRA
from lightning_tune.schema import LabelSet

LABELS = LabelSet("multiclass", ("bad", "good", "odd"))
FAMILIES = ["bert", "roberta", "xlm-roberta", "distilbert", "electra", "mpnet"]
REFUSED = ["albert", "deberta-v2", "modernbert"]
OFF = DropoutSettings(hidden=0.0, attention=0.0)
HEADS, NEURONS, SIZE = 2, 32, 8
SHAPES = {
    "narrow": [((1,), 5), ((0,), 7)],
    "no heads below": [((), 5), ((0, 1), 32)],
    "no neurons above": [((0, 1), 32), ((1,), 0)],
    "an empty layer": [((0,), 3), ((), 0)],
    "whole": [((0, 1), 32), ((0, 1), 32)],
}


@pytest.fixture(params=list(SHAPES))
def layout(request):
    return Layout(tuple(LayerShape(*shape) for shape in SHAPES[request.param]))


def a_batch():
    ids = torch.randint(5, 300, (3, 11), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    ids[1, 7:], mask[1, 7:] = 1, 0
    return {"input_ids": ids, "attention_mask": mask}


def whole_encoder(tiny_backbone, family):
    encoder = build_encoder(str(tiny_backbone(family)), LABELS, dropout=OFF)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():  # published biases are not zero, and those of emptied blocks stay
        for weight in encoder.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3)))
    return encoder


def silenced(encoder, layout):
    """Zero what reads the heads and neurons that a layout leaves out."""
    encoder = copy.deepcopy(encoder)
    names = NAMES[encoder.config.model_type]
    for layer, shape in zip(stack_of(encoder), layout.layers, strict=True):
        outward, down = layer.get_submodule(names.outward), layer.get_submodule(names.down)
        with torch.no_grad():
            for head in set(range(HEADS)) - set(shape.heads):
                outward.weight[:, head * SIZE : (head + 1) * SIZE] = 0
            down.weight[:, shape.neurons :] = 0
    return encoder


def cut(encoder, layout):
    """Build the encoder of a layout through its architecture and give it its share of weights."""
    architecture = architecture_of(encoder) | {"pruned": layout.to_dict()}
    pruned = build_encoder(
        "nowhere", LABELS, architecture=json.loads(json.dumps(architecture)), dropout=OFF
    )
    names = NAMES[encoder.config.model_type]
    kept = {}
    for name, wanted in pruned.state_dict().items():
        weight = encoder.state_dict()[name]
        inside = name.rpartition(".layer.")[2].partition(".")
        if name.rpartition(".layer.")[1] and weight.shape != wanted.shape:
            shape = layout.layers[int(inside[0])]
            part = inside[2].rpartition(".")[0]
            rows = [head * SIZE + i for head in shape.heads for i in range(SIZE)]
            neurons = list(range(shape.neurons))
            if part in names.inward:
                weight = weight[rows]
            elif part == names.outward:
                weight = weight[:, rows]
            elif part == names.up:
                weight = weight[neurons]
            elif part == names.down:
                weight = weight[:, neurons]
        kept[name] = weight
    pruned.load_state_dict(kept)
    for module in pruned.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return pruned


def learn(model):
    model.train()
    model.zero_grad()
    logits = model(**a_batch()).logits
    functional.cross_entropy(logits, torch.tensor([0, 2, 1])).backward()
    return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters()}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pruned_encoder_answers_as_the_whole_one_with_the_rest_silenced(
    family, layout, tiny_backbone
):
    encoder = whole_encoder(tiny_backbone, family)
    pruned = cut(encoder, layout)
    expected = silenced(encoder, layout)
    for model in (pruned, expected):
        model.eval()
    with torch.inference_mode():
        answered, wanted = (model(**a_batch()).logits for model in (pruned, expected))
    assert torch.allclose(answered, wanted, atol=1e-5)
    assert layout_of(pruned) == layout


@pytest.mark.parametrize("family", FAMILIES)
def test_the_written_out_layers_learn_in_it_as_the_familys_own(family, layout, tiny_backbone):
    plain = cut(whole_encoder(tiny_backbone, family), layout)
    fast = copy.deepcopy(plain)
    accelerate(fast)
    (expected, theirs), (answered, ours) = learn(plain), learn(fast)
    assert torch.allclose(answered, expected, atol=1e-5)
    assert ours.keys() == theirs.keys()
    for name, grad in theirs.items():
        assert torch.allclose(ours[name], grad, atol=2e-6, rtol=1e-3), name


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_what_is_left_are_those_in_the_silenced_encoder(family, tiny_backbone):
    layout = Layout((LayerShape((), 5), LayerShape((1,), 0)))
    encoder = whole_encoder(tiny_backbone, family)
    (_, theirs), (_, ours) = learn(silenced(encoder, layout)), learn(cut(encoder, layout))
    same = [name for name in ours if ours[name].shape == theirs[name].shape]
    assert len(same) > 10
    for name in same:
        assert torch.allclose(ours[name], theirs[name], atol=2e-6, rtol=1e-3), name


def test_the_rest_of_a_layer_without_heads_is_worked_out_by_hand(tiny_backbone):
    encoder = whole_encoder(tiny_backbone, "bert")
    pruned = cut(encoder, Layout((LayerShape((), 0), LayerShape((0, 1), 32)))).eval()
    x = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(1))
    layer = encoder.bert.encoder.layer[0]
    norm, last = layer.attention.output.LayerNorm, layer.output.LayerNorm
    after = functional.layer_norm(
        x + layer.attention.output.dense.bias, (16,), norm.weight, norm.bias, norm.eps
    )
    expected = functional.layer_norm(
        after + layer.output.dense.bias, (16,), last.weight, last.bias, last.eps
    )
    assert torch.allclose(pruned.bert.encoder.layer[0](x), expected, atol=1e-6)


def test_a_dropped_layer_is_one_layer_less(tiny_backbone):
    architecture = architecture_of(whole_encoder(tiny_backbone, "distilbert"))
    layout = Layout((LayerShape((1,), 4),))
    architecture |= {"n_layers": 1, "pruned": layout.to_dict()}
    encoder = build_encoder("nowhere", LABELS, architecture=architecture)
    assert len(stack_of(encoder)) == 1
    assert architecture_of(encoder)["pruned"] == layout.to_dict()


def test_operations_are_counted_by_what_is_left(tiny_backbone):
    encoder = cut(
        whole_encoder(tiny_backbone, "bert"), Layout((LayerShape((1,), 5), LayerShape((), 0)))
    )
    counted = training_flops(encoder)
    # Three passes: queries, keys, values and output of one head of width 8, and five neurons.
    assert counted.per_token == 6 * (4 * 16 * 8 + 2 * 16 * 5)
    assert counted.per_pair == 12 * 8


@pytest.mark.parametrize("family", REFUSED)
def test_families_of_another_shape_are_refused_by_name(family, tiny_backbone):
    encoder = build_encoder(str(tiny_backbone(family)), LABELS)
    assert not is_pruned(encoder)
    with pytest.raises(ConfigError, match=f"{family} encoders cannot be pruned"):
        layout_of(encoder)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ([((0,), 4)], "has 1 layers, the encoder 2"),
        ([((2,), 4), ((), 0)], "keeps the heads"),
        ([((1, 0), 4), ((), 0)], "keeps the heads"),
        ([((0, 0), 4), ((), 0)], "keeps the heads"),
        ([((0,), -1), ((), 0)], "and -1 neurons"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(layout, message, tiny_backbone):
    encoder = build_encoder(str(tiny_backbone("bert")), LABELS)
    with pytest.raises(CheckpointError, match=message):
        apply_layout(encoder, Layout(tuple(LayerShape(*shape) for shape in layout)))


@pytest.mark.parametrize("values", [[], {}, {"layers": [{"heads": 3}]}, {"layers": [{}]}, "x"])
def test_what_is_no_layout_is_refused(values):
    with pytest.raises(CheckpointError, match="is no layout"):
        Layout.from_dict(values)


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet"])
@pytest.mark.parametrize("tuning", [LoRA(), IA3(), Adapters("houlsby")])
def test_tuning_a_few_weights_of_a_pruned_encoder_starts_from_its_answers(
    family, tuning, tiny_backbone
):
    layout = Layout((LayerShape((), 5), LayerShape((1,), 0)))
    encoder = cut(whole_encoder(tiny_backbone, family), layout).eval()
    with torch.inference_mode():
        before = encoder(**a_batch()).logits
        tuning.apply(encoder)
        assert torch.allclose(encoder.eval()(**a_batch()).logits, before, atol=1e-5)

"""Every way of tuning in every family: what trains, how much, what is answered at the start."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import PreTrainedModel

from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Classifier
from lightning_tune.models.fast import accelerate
from lightning_tune.models.peft import (
    IA3,
    Adapters,
    BitFit,
    DoRA,
    Full,
    LastLayers,
    LoRA,
    Prefix,
    count_weights,
)

FAMILIES = [
    "bert",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "electra",
    "albert",
    "deberta-v2",
    "modernbert",
    "mpnet",
]
METHODS = {
    "LoRA": LoRA(rank=2),
    "DoRA": DoRA(rank=2),
    "IA3": IA3(),
    "Prefix": Prefix(tokens=3),
    "pfeiffer": Adapters(reduction=4),
    "houlsby": Adapters("houlsby", reduction=4),
    "BitFit": BitFit(),
    "LastLayers": LastLayers(1),
    "head": LastLayers(0),
    "Full": Full(),
}
REFUSED = {
    *(("Prefix", family) for family in ("distilbert", "albert", "deberta-v2", "modernbert")),
    ("Prefix", "mpnet"),
    ("BitFit", "modernbert"),  # it has no bias outside its head
}
# The name is about to change in transformers.
ENABLE = next(
    name
    for name in ("activation_checkpointing_enable", "gradient_checkpointing_enable")
    if hasattr(PreTrainedModel, name)
)
EVERY = [
    pytest.param(method, family, id=f"{method}-{family}")
    for method in METHODS
    for family in FAMILIES
    if (method, family) not in REFUSED
]
each = pytest.mark.parametrize(("method", "family"), EVERY)

# Width 16, feed-forward 32, two layers. Every head has 16 * 16 + 16 weights in its dense layer or
# pooler (ModernBERT's: no bias, but a norm of 16), and 16 * 3 + 3 in its last.
HEAD = 16 * 16 + 16 + 16 * 3 + 3
LINEARS = 4 * (16 + 16) + 2 * (16 + 32)  # inputs and outputs of a layer's six, summed
ADDED = {
    "LoRA": 2 * LINEARS,
    "DoRA": 2 * LINEARS + 4 * 16 + 32 + 16,
    "IA3": 16 + 16 + 32,
    "Prefix": 2 * 3 * 16,
    "pfeiffer": 16 * 4 + 4 + 4 * 16 + 16,
    "houlsby": 2 * (16 * 4 + 4 + 4 * 16 + 16),
    "BitFit": 5 * 16 + 32 + 2 * 16,
    "LastLayers": 4 * (16 * 16 + 16) + 16 * 32 + 32 + 32 * 16 + 16 + 4 * 16,
    "head": 0,
}


def batch():
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 300, (3, 11), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def answer(model, given=None):
    model.eval()
    with torch.no_grad():
        return Classifier(model)(given or batch())


def without_dropout(model):
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):  # ModernBERT's
            module.attention_dropout = 0.0


def expected_count(method, family):
    """The weights that are trained, added up by hand."""
    layers = 1 if family == "albert" or method == "LastLayers" else 2
    below = {"electra": 8 + 16, "deberta-v2": 16 + 16}.get(family, 16)  # biases under the layers
    if family == "albert":
        below = 8 + 16
    more = below if method == "BitFit" else 0
    if family != "modernbert":
        return HEAD + layers * ADDED[method] + more
    added = ADDED | {  # Wqkv of 48 outputs, Wo, Wi of 64, Wo
        "LoRA": 2 * (16 + 48 + 16 + 16 + 16 + 64 + 32 + 16),
        "DoRA": 2 * (16 + 48 + 16 + 16 + 16 + 64 + 32 + 16) + 48 + 16 + 64 + 16,
        "IA3": 48 + 32,
        "LastLayers": 16 * 48 + 16 * 16 + 16 * 64 + 32 * 16 + 2 * 16 + 16,  # the norm above, too
    }
    return HEAD + layers * added[method]


@each
def test_only_what_the_method_means_is_trained(method, family, build):
    if method == "Full":
        trained, total = count_weights(build(family, METHODS[method]))
        assert trained == total
        return
    model = build(family, METHODS[method])
    trained, total = count_weights(model)
    assert trained == expected_count(method, family)
    assert total >= count_weights(build(family))[1]


@each
def test_a_step_moves_what_is_trained_and_nothing_else(method, family, build):
    """No weight that is trained goes without a gradient: DDP would wait for it."""
    model = build(family, METHODS[method]).train()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = torch.optim.SGD([w for w in model.parameters() if w.requires_grad], lr=1.0)
    Classifier(model)(batch()).square().sum().backward()
    without = [n for n, w in model.named_parameters() if w.requires_grad and w.grad is None]
    optimizer.step()
    assert without == []
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            assert weight.grad is None
            assert torch.equal(weight, before[name]), name


@pytest.mark.parametrize(("method", "family"), [p for p in EVERY if p.values[0] != "Prefix"])
def test_the_answer_at_the_start_is_the_backbones(method, family, build):
    torch.testing.assert_close(answer(build(family, METHODS[method])), answer(build(family)))


@each
def test_embeddings_given_from_outside_are_read(method, family, build):
    """What adversarial objectives do."""
    model = build(family, METHODS[method]).eval()
    classifier = Classifier(model)
    given = batch()
    looked_up = classifier.embed(given)
    with torch.no_grad():
        torch.testing.assert_close(classifier(given, embeddings=looked_up), classifier(given))
    moved = looked_up.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(classifier(given, embeddings=moved).square().sum(), moved)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("method", "family"),
    [p for p in EVERY if p.values[1] not in ("albert", "mpnet")],  # transformers cannot there
)
def test_checkpointed_activations_give_the_same_gradients(method, family, build):
    model = build(family, METHODS[method])
    twin = copy.deepcopy(model)
    getattr(twin, ENABLE)({"use_reentrant": False})
    for each in (model, twin):
        without_dropout(each)
        Classifier(each)(batch()).square().sum().backward()
    for (name, left), right in zip(model.named_parameters(), twin.parameters(), strict=True):
        if left.requires_grad:
            torch.testing.assert_close(left.grad, right.grad, msg=lambda m, n=name: f"{n}: {m}")


@each
def test_the_faster_parts_give_the_same_gradients(method, family, build):
    model = build(family, METHODS[method])
    twin = copy.deepcopy(model)
    accelerate(twin)
    for each in (model, twin):
        without_dropout(each)
        Classifier(each)(batch()).square().sum().backward()
    for (name, left), right in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert left.requires_grad is right.requires_grad
        if left.requires_grad:
            torch.testing.assert_close(left.grad, right.grad, msg=lambda m, n=name: f"{n}: {m}")
        else:
            assert right.grad is None


@each
def test_it_trains_under_bf16(method, family, build):
    model = build(family, METHODS[method]).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = Classifier(model)(batch()).square().sum()
    loss.backward()
    gradients = [weight.grad for weight in model.parameters() if weight.requires_grad]
    assert all(gradient.dtype == torch.float32 for gradient in gradients)
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize(("method", "family"), sorted(REFUSED))
def test_a_family_that_cannot_take_the_method_is_refused_in_one_line(method, family, build):
    with pytest.raises(ConfigError, match=f"{method} .*this {family}.*; use LoRA") as caught:
        build(family, METHODS[method])
    assert "\n" not in str(caught.value)


MERGEABLE = [p for p in EVERY if METHODS[p.values[0]].merges]


def shaken(model):
    """Move all that is trained away from its start."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.2)
    return model


@pytest.mark.parametrize(("method", "family"), MERGEABLE)
def test_merged_it_answers_the_same_with_the_backbones_own_weights(method, family, build):
    model = shaken(build(family, METHODS[method]))
    before, start = answer(model), answer(build(family))
    METHODS[method].merge(model)
    torch.testing.assert_close(answer(model), before, rtol=1e-4, atol=1e-5)
    assert (before - start).abs().max() > 1e-3
    plain = build(family)
    assert model.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(answer(plain), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tuning", [Prefix(), Adapters()])
def test_what_cannot_be_merged_says_so(tuning, build):
    with pytest.raises(ConfigError, match="cannot be merged: what it adds is no change of the"):
        tuning.merge(build("bert", tuning))

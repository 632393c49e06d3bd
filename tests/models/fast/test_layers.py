"""Written-out layers answer and learn as the families' own do."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from lightning_tune.models.encoder import DropoutSettings, build_encoder
from lightning_tune.models.fast import accelerate, attention, blocks, feed_forward
from lightning_tune.models.fast.attention import AttentionBlock, AttentionShape
from lightning_tune.models.fast.dropout import scale_of
from lightning_tune.models.fast.feed_forward import FeedForwardBlock, FeedForwardShape
from lightning_tune.schema import LabelSet

FAMILIES = ["bert", "roberta", "xlm-roberta", "distilbert", "electra"]
OTHERS = ["albert", "deberta-v2", "modernbert", "mpnet"]
LABELS = LabelSet("multiclass", ("bad", "good", "odd"))
OFF = DropoutSettings(hidden=0.0, attention=0.0)


@pytest.fixture
def twins(tiny_backbone):
    """Return a function: a family to its encoder as it comes and the accelerated one."""

    def make(family):
        plain = build_encoder(str(tiny_backbone(family)), LABELS, dropout=OFF)
        for module in plain.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        fast = copy.deepcopy(plain)
        accelerate(fast)
        return plain, fast

    return make


def a_batch(padded=True):
    ids = torch.randint(5, 300, (3, 11), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    if padded:
        ids[1, 7:], mask[1, 7:] = 1, 0
        ids[2, 4:], mask[2, 4:] = 1, 0
    return {"input_ids": ids, "attention_mask": mask}


def gradients(model, batch, autocast=False):
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(**batch).logits.float()
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2, 1])).backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return logits.detach(), grads


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("family", [*FAMILIES, *OTHERS])
def test_every_family_answers_and_learns_as_before(family, padded, twins):
    plain, fast = twins(family)
    expected, theirs = gradients(plain, a_batch(padded))
    answered, ours = gradients(fast, a_batch(padded))
    assert torch.allclose(answered, expected, atol=1e-5)
    assert ours.keys() == theirs.keys()
    for name, grad in theirs.items():
        assert torch.allclose(ours[name], grad, atol=2e-6, rtol=1e-3), name


@pytest.mark.parametrize("family", FAMILIES)
def test_the_layers_of_berts_kin_are_written_out(family, twins, monkeypatch):
    calls = []
    real = feed_forward.FeedForwardBlock.forward

    def seen(ctx, x, shape, *weights):
        calls.append(tuple(x.shape))
        return real(ctx, x, shape, *weights)

    monkeypatch.setattr(FeedForwardBlock, "forward", staticmethod(seen))
    _, fast = twins(family)
    gradients(fast, a_batch())
    assert calls == [(3, 11, 16)] * 2


@pytest.mark.parametrize("family", FAMILIES)
def test_under_bf16_the_error_is_that_of_autocast(family, twins):
    plain, fast = twins(family)
    _, exact = gradients(plain, a_batch())
    errors = []
    for model in (plain, fast):
        _, rounded = gradients(model, a_batch(), autocast=True)
        off = [float((rounded[n] - exact[n]).norm()) for n in exact]
        errors.append(sum(value**2 for value in off) ** 0.5)
    assert errors[1] < 2 * errors[0]


@pytest.mark.parametrize("family", [*FAMILIES, *OTHERS])
def test_names_weights_and_answers_in_evaluation_stay(family, twins):
    plain, fast = twins(family)
    assert list(plain.state_dict()) == list(fast.state_dict())
    plain.eval(), fast.eval()
    with torch.inference_mode():
        assert torch.equal(plain(**a_batch()).logits, fast(**a_batch()).logits)


def test_accelerating_twice_changes_nothing(twins):
    _, fast = twins("bert")
    kinds = [type(module) for module in fast.modules()]
    accelerate(fast)
    assert [type(module) for module in fast.modules()] == kinds


def test_a_layer_with_a_replaced_linear_takes_the_familys_own_way(twins):
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    plain, fast = twins("bert")
    for model in (plain, fast):
        dense = model.bert.encoder.layer[0].output.dense
        dense.__class__ = Doubled
    (expected, theirs), (answered, ours) = (gradients(m, a_batch()) for m in (plain, fast))
    assert torch.allclose(answered, expected, atol=1e-5)
    name = "bert.encoder.layer.0.output.dense.weight"
    assert torch.allclose(ours[name], theirs[name], atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_in_bfloat16_themselves_train_in_the_familys_own_way(family, twins):
    plain, fast = (model.to(torch.bfloat16) for model in twins(family))
    (expected, theirs), (answered, ours) = (gradients(m, a_batch()) for m in (plain, fast))
    assert torch.allclose(answered, expected, atol=0.02)
    assert {grad.dtype for grad in ours.values()} == {torch.bfloat16}
    assert ours.keys() == theirs.keys()


def test_another_activation_keeps_the_familys_own_layers(tiny_backbone):
    model = build_encoder(str(tiny_backbone("bert")), LABELS)
    model.config.hidden_act = "relu"
    accelerate(model)
    assert type(model.bert.encoder.layer[0]).__name__ == "BertLayer"


def test_frozen_weights_get_no_gradient_and_the_others_the_same(twins):
    plain, fast = twins("bert")
    for model in (plain, fast):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("bias" in name or "classifier" in name)
    (_, theirs), (_, ours) = (gradients(m, a_batch()) for m in (plain, fast))
    assert ours.keys() == theirs.keys()
    for name, grad in theirs.items():
        assert torch.allclose(ours[name], grad, atol=2e-6, rtol=1e-3), name


def test_a_gradient_at_the_embeddings_alone_costs_no_weight_gradients(twins, monkeypatch):
    asked = []
    real = blocks.linear_backward

    def seen(grad, rows, weight, wanted):
        asked.extend(wanted)
        return real(grad, rows, weight, wanted)

    for module in (attention, feed_forward):
        monkeypatch.setattr(module, "linear_backward", seen)
    plain, fast = twins("bert")
    found = []
    for model in (plain, fast):
        batch = a_batch()
        words = model.get_input_embeddings()(batch.pop("input_ids")).detach().requires_grad_()
        loss = model(inputs_embeds=words, **batch).logits.square().sum()
        found.append(torch.autograd.grad(loss, words, retain_graph=True)[0])
    assert torch.allclose(*found, atol=1e-5)
    assert asked
    assert not any(asked)
    loss.backward()
    assert any(asked)


def weights_of(*shapes):
    generator = torch.Generator().manual_seed(3)
    return [(torch.randn(shape, generator=generator) * 0.3).requires_grad_() for shape in shapes]


@pytest.fixture
def fixed_bits(monkeypatch):
    """Make every mask a function of its shape; return that function as floats of 0 and 1."""

    def keep(shape):
        generator = torch.Generator().manual_seed(sum(shape))
        return torch.rand(shape, generator=generator) > 0.3

    def bits(shape, p, dtype):
        return -keep(shape).to(torch.int32)

    monkeypatch.setattr(attention, "keep_bits", bits)
    monkeypatch.setattr(blocks, "keep_bits", bits)
    return lambda shape: keep(shape).float()


def compare(block, reference, x, weights):
    outs = []
    for compute in (block, reference):
        inputs = [tensor.detach().clone().requires_grad_() for tensor in (x, *weights)]
        out = compute(*inputs)
        out.square().sum().backward()
        outs.append((out.detach(), [tensor.grad for tensor in inputs]))
    (ours, our_grads), (theirs, their_grads) = outs
    assert torch.allclose(ours, theirs, atol=1e-5)
    for mine, expected in zip(our_grads, their_grads, strict=True):
        assert torch.allclose(mine, expected, atol=1e-4, rtol=1e-4)


def test_attention_with_dropout_is_its_formula_with_the_same_masks(fixed_bits):
    batch, length, heads, size = 2, 5, 3, 4
    width = heads * size
    shape = AttentionShape(heads, 0.4, 0.2, 0.35, 1e-5, torch.float32)
    weights = weights_of(*[(width, width), (width,)] * 4, (width,), (width,))
    bias = torch.zeros(batch, 1, 1, length)
    bias[1, ..., 3:] = -1e9

    def reference(x, qw, qb, kw, kb, vw, vb, ow, ob, nw, nb):
        def split(w, b):
            return nn.functional.linear(x, w, b).view(batch, length, heads, size).transpose(1, 2)

        q, k, v = split(qw, qb), split(kw, kb), split(vw, vb)
        probs = torch.softmax(0.4 * q @ k.transpose(2, 3) + bias, dim=-1)
        keep = fixed_bits((batch * heads, length, length)).view(batch, heads, length, length)
        context = (probs * keep * scale_of(0.2)) @ v
        out = nn.functional.linear(context.transpose(1, 2).reshape(x.shape), ow, ob)
        out = out * fixed_bits((batch * length, width)).view(x.shape) * scale_of(0.35)
        return nn.functional.layer_norm(x + out, (width,), nw, nb, 1e-5)

    x = torch.randn(batch, length, width, generator=torch.Generator().manual_seed(1))
    compare(lambda x, *w: AttentionBlock.apply(x, bias, shape, *w), reference, x, weights)


def test_the_feed_forward_block_with_dropout_is_its_formula_with_the_same_mask(fixed_bits):
    width, inner = 6, 9
    shape = FeedForwardShape(0.35, 1e-5, torch.float32)
    weights = weights_of((inner, width), (inner,), (width, inner), (width,), (width,), (width,))

    def reference(x, uw, ub, dw, db, nw, nb):
        active = nn.functional.gelu(nn.functional.linear(x, uw, ub))
        out = nn.functional.linear(active, dw, db)
        out = out * fixed_bits((8, width)).view(x.shape) * scale_of(0.35)
        return nn.functional.layer_norm(x + out, (width,), nw, nb, 1e-5)

    x = torch.randn(2, 4, width, generator=torch.Generator().manual_seed(1))
    compare(lambda x, *w: FeedForwardBlock.apply(x, shape, *w), reference, x, weights)


@pytest.mark.parametrize("length", [7, 32, 40])
def test_short_and_long_sequences_in_bf16_take_the_same_attention(length):
    heads = torch.randn(3, 4, length, 8, generator=torch.Generator().manual_seed(0))
    shape = AttentionShape(2, 0.3, 0.0, 0.0, 1e-5, torch.bfloat16)
    probs, bits = attention._attend(heads.bfloat16(), None, shape)
    expected = torch.softmax(0.3 * heads[0] @ heads[1].transpose(1, 2), dim=-1)
    assert bits is None
    assert torch.allclose(probs.float(), expected, atol=0.02)
    grad = torch.randn(probs.shape, generator=torch.Generator().manual_seed(1))
    ours = attention._softmax_backward(grad.bfloat16(), probs).float()
    formula = expected * (grad - (grad * expected).sum(-1, keepdim=True))
    assert torch.allclose(ours, formula, atol=0.05)

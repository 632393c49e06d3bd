"""Layers that LoRA, DoRA and IA3 changed answer and learn in the written-out blocks as in peft."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from lightning_tune.models.encoder import DropoutSettings, build_encoder
from lightning_tune.models.fast import accelerate
from lightning_tune.models.fast.feed_forward import FeedForwardBlock
from lightning_tune.models.fast.linear import is_linear
from lightning_tune.models.peft import IA3, Adapters, DoRA, LoRA
from lightning_tune.schema import LabelSet

THREE = LabelSet("multiclass", ("bad", "good", "mixed"))
OFF = DropoutSettings(hidden=0.0, attention=0.0, classifier=0.0)
LINEAR = {
    "LoRA": LoRA(rank=2),
    "LoRA of two layers": LoRA(rank=2, targets=["query", "output.dense"]),
    "LoRA, rank-stabilized": LoRA(rank=3, alpha=5.0, rank_stabilized=True),
    "DoRA": DoRA(rank=2),
    "IA3": IA3(),
}


@pytest.fixture
def tuned(tiny_backbone):
    """Return a function: tuning, family -> the encoder with its parts no longer at their start."""

    def make(tuning, family="bert"):
        torch.manual_seed(0)
        model = build_encoder(str(tiny_backbone(family)), THREE, dropout=OFF, tuning=tuning)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.1 * torch.randn(parameter.shape))
        return model.train()

    return make


@pytest.fixture
def written_out(monkeypatch):
    """Count the calls of the written-out feed-forward block."""
    calls = []
    real = FeedForwardBlock.forward

    def seen(*args):
        calls.append(1)
        return real(*args)

    monkeypatch.setattr(FeedForwardBlock, "forward", staticmethod(seen))
    return calls


def learn(model, autocast=False):
    """Logits and the gradients of all that is trained."""
    ids = torch.randint(5, 300, (3, 11), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(input_ids=ids, attention_mask=mask).logits.float()
    nn.functional.cross_entropy(logits, torch.tensor([0, 2, 1])).backward()
    return logits.detach(), {n: p.grad for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("tuning", LINEAR.values(), ids=LINEAR)
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_answers_and_gradients_are_those_of_peft(tuning, family, tuned, written_out):
    if family == "distilbert" and getattr(tuning, "targets", None):
        pytest.skip("its layers have other names")
    plain = tuned(tuning, family)
    fast = copy.deepcopy(plain)
    accelerate(fast)
    (expected, theirs), (answered, ours) = learn(plain), learn(fast)
    assert len(written_out) == 2
    assert torch.allclose(answered, expected, atol=1e-5)
    assert ours.keys() == theirs.keys()
    for name, grad in theirs.items():
        assert torch.allclose(ours[name], grad, atol=2e-6, rtol=1e-3), name


@pytest.mark.parametrize("tuning", LINEAR.values(), ids=LINEAR)
def test_under_bf16_the_error_is_that_of_autocast(tuning, tuned):
    plain = tuned(tuning)
    fast = copy.deepcopy(plain)
    accelerate(fast)
    _, exact = learn(copy.deepcopy(plain))
    errors = []
    for model in (plain, fast):
        _, rounded = learn(model, autocast=True)
        errors.append(sum(float((rounded[n] - exact[n]).norm()) ** 2 for n in exact) ** 0.5)
    assert errors[1] < 2 * errors[0]


def test_frozen_weights_get_no_gradient(tuned):
    model = tuned(LoRA(rank=2))
    accelerate(model)
    learn(model)
    assert {n for n, p in model.named_parameters() if p.grad is not None} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }


@pytest.mark.parametrize(
    "tuning", [LoRA(rank=2, dropout=0.1), Adapters(reduction=4)], ids=["dropout inside", "Adapters"]
)
def test_what_is_not_linear_takes_the_familys_own_way(tuning, tuned, written_out):
    model = tuned(tuning)
    accelerate(model)
    learn(model)
    assert not written_out


@pytest.mark.parametrize(
    "change",
    [
        lambda part: part.merge(),
        lambda part: part.enable_adapters(False),
        lambda part: part.lora_A["default"].to(torch.bfloat16),
        lambda part: part.get_base_layer().to(torch.bfloat16),
    ],
    ids=["merged", "switched off", "factors in bfloat16", "weights in bfloat16"],
)
def test_a_changed_layer_in_another_state_is_left_to_peft(change, tuned):
    part = tuned(LoRA(rank=2)).bert.encoder.layer[0].attention.self.query
    assert is_linear(part)
    change(part)
    assert not is_linear(part)


def test_a_layer_of_somebody_elses_is_not_known():
    class Doubled(nn.Linear):
        pass

    assert is_linear(nn.Linear(2, 2))
    assert not is_linear(nn.Linear(2, 2, bias=False))
    assert not is_linear(Doubled(2, 2))

"""Gradient checkpointing: same loss and gradients bit by bit, and less kept, in every family."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Classifier
from lightning_tune.models.encoder import DropoutSettings, build_encoder
from lightning_tune.models.fast import accelerate
from lightning_tune.models.recomputation import recompute_layers
from lightning_tune.schema import LabelSet

FAMILIES = [
    "bert",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "electra",
    "deberta-v2",
    "modernbert",
]
LABELS = LabelSet("binary", ("no", "yes"))
OFF = DropoutSettings(hidden=0.0, attention=0.0)


def build(folder, *, dropout: DropoutSettings, fast: bool, recompute: bool) -> Classifier:
    torch.manual_seed(0)
    encoder = build_encoder(str(folder), LABELS, dropout=dropout)
    if fast:
        accelerate(encoder)
    if recompute:
        recompute_layers(encoder)
    return Classifier(encoder).train()


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 60, (4, 12), generator=generator)
    mask = torch.ones_like(ids)
    mask[2:, 8:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def step(classifier: Classifier, precision: torch.dtype, *, given_embeddings: bool = False):
    """Return loss, gradients of the weights and of the embeddings, and the bytes kept for them."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(3)
    autocast = torch.autocast("cpu", precision, enabled=precision != torch.float32)
    with autocast, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        embeddings = (
            classifier.embed(batch()).detach().requires_grad_() if given_embeddings else None
        )
        loss = classifier(batch(), embeddings).float().square().sum()
    wanted = [p for p in classifier.parameters() if p.requires_grad]
    if embeddings is not None:
        wanted = [embeddings, *wanted]
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
    return loss, [one for one in gradients if one is not None], sum(kept.values())


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dropout", [OFF, DropoutSettings()], ids=["without", "with"])
@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_the_same(tiny_backbone, family, fast, dropout, precision):
    folder = tiny_backbone(family)
    one, two = (
        step(build(folder, dropout=dropout, fast=fast, recompute=recompute), precision)
        for recompute in (False, True)
    )
    assert torch.equal(one[0], two[0])
    assert len(one[1]) == len(two[1]) > 10
    assert all(map(torch.equal, one[1], two[1]))


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("family", FAMILIES)
def test_less_is_kept(tiny_backbone, family, fast):
    folder = tiny_backbone(family)
    plain, recomputed = (
        step(build(folder, dropout=OFF, fast=fast, recompute=recompute), torch.float32)[2]
        for recompute in (False, True)
    )
    assert recomputed < 0.8 * plain


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_given_embeddings_are_the_same(tiny_backbone, family, fast):
    """What adversarial objectives ask for, by torch.autograd.grad."""
    folder = tiny_backbone(family)
    one, two = (
        step(
            build(folder, dropout=DropoutSettings(), fast=fast, recompute=recompute),
            torch.float32,
            given_embeddings=True,
        )
        for recompute in (False, True)
    )
    assert one[1][0].shape[:2] == (4, 12)
    assert one[1][0].abs().sum() > 0
    assert all(map(torch.equal, one[1], two[1]))


def test_evaluation_computes_once(tiny_backbone):
    classifier = build(tiny_backbone("bert"), dropout=OFF, fast=True, recompute=True).eval()
    plain = build(tiny_backbone("bert"), dropout=OFF, fast=True, recompute=False).eval()
    calls = []
    layer = classifier.encoder.bert.encoder.layer[0].attention
    layer.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        assert torch.equal(classifier(batch()), plain(batch()))
    assert len(calls) == 1


@pytest.mark.parametrize("family", ["albert", "mpnet"])
def test_a_family_that_cannot_is_told(tiny_backbone, family):
    encoder = build_encoder(str(tiny_backbone(family)), LABELS)
    with pytest.raises(ConfigError) as caught:
        recompute_layers(encoder)
    assert str(caught.value) == (
        f"model.gradient_checkpointing=true: {family} encoders cannot compute layers again; leave "
        "it out and lower data.batch_size instead."
    )


def test_the_older_name_of_the_switch_does_too():
    """As transformers 5.3 has it."""

    class Older:
        def gradient_checkpointing_enable(self, given):
            self.given = given

    encoder = Older()
    recompute_layers(encoder)
    assert encoder.given == {"use_reentrant": False}

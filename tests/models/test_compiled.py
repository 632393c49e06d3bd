"""Compiled layers answer and learn as eager ones; how often something is compiled is bounded."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd

from lightning_tune.errors import ConfigError
from lightning_tune.models import compiled
from lightning_tune.models.classifier import Classifier
from lightning_tune.models.compiled import LENGTHS, compile_layers, next_length, padded_to_few
from lightning_tune.models.packed import pack_sequences
from lightning_tune.models.peft import Adapters, LoRA, Prefix
from lightning_tune.models.recomputation import recompute_layers
from lightning_tune.schema import LabelSet
from lightning_tune.training.losses import Loss, LossSettings
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.objectives import FGM, PGD, SMART, FGMRDrop, FitContext, FreeLB, Plain

LOSS = Loss("multiclass", LossSettings(), None)
pytestmark = [  # of torch itself while it compiles, which it hides unless warnings are errors
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated"),
]


class Graphs:
    """Stands for the compiler: keeps graphs forward and backward, and lets torch run them."""

    def __init__(self):
        self.forward, self.backward = [], []
        backend = aot_autograd(
            fw_compiler=self._keep_in(self.forward), bw_compiler=self._keep_in(self.backward)
        )
        self.run = torch.compile(
            compiled._forward, backend=backend, recompile_limit=compiled.VARIANTS
        )

    def _keep_in(self, graphs):
        def keep(graph, inputs):
            graphs.append(graph)
            return make_boxed_func(graph.forward)

        return keep


def products(graph) -> int:
    names = [str(node.target) for node in graph.graph.nodes]
    return sum(name.startswith(("aten.mm", "aten.addmm")) for name in names)


@pytest.fixture
def graphs(monkeypatch):
    torch._dynamo.reset()
    kept = Graphs()
    monkeypatch.setattr(compiled, "compiled_forward", lambda: kept.run)
    yield kept
    torch._dynamo.reset()


@pytest.fixture
def compared(twins, a_batch, gradients, assert_same):
    """Return a function that takes steps compiled and eager, and compares their gradients."""

    def compare(family="bert", *, tuning=None, objective=Plain(), packed=False, prepare=None):  # noqa: B008
        eager, own = twins(family, tuning)
        if prepare is not None:
            prepare(own)
        if packed:
            pack_sequences(own)
        compile_layers(own)
        batch, found = a_batch(eager), []
        for classifier in (Classifier(own, packed=packed, compiled=True), Classifier(eager)):
            classifier.train()
            chosen = copy.copy(objective)
            chosen.prepare(FitContext(classifier, special_ids=[0, 2, 3]))
            torch.manual_seed(5)
            value, _ = chosen(classifier, batch, LOSS)
            found.append(gradients(classifier, value))
        assert_same(*found)

    return compare


def test_every_family_has_the_same_gradients(compared, graphs, family):
    compared(family)
    assert graphs.forward


@pytest.mark.parametrize(
    ("objective", "packed"),
    [
        (FGM(0.5), False),
        (FGM(0.5, clean_share=0.0), False),
        (PGD(0.5, start="zero"), False),
        (PGD(0.5, start="zero"), True),
        (FreeLB(0.5, start="zero"), False),
    ],
    ids=["FGM", "FGM without clean loss", "PGD", "PGD, packed", "FreeLB"],
)
def test_objectives_have_the_same_gradients(compared, graphs, objective, packed):
    compared(objective=objective, packed=packed)


@pytest.mark.parametrize("tuning", [LoRA(rank=2), Adapters(), Prefix(3)])
def test_tuned_weights_have_the_same_gradients(compared, graphs, tuning):
    compared(tuning=tuning)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable.*:FutureWarning")
@pytest.mark.parametrize("packed", [False, True])
def test_recomputed_layers_have_the_same_gradients(compared, graphs, packed):
    compared(packed=packed, prepare=recompute_layers)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a CPU by g++")
def test_what_torch_really_compiles_has_the_same_gradients(compared):
    torch._dynamo.reset()
    compared("distilbert")


def random_batch(rows, length):
    ids = torch.randint(5, 300, (rows, length))
    mask = torch.ones_like(ids)
    mask[0, length // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask, "index": torch.arange(rows)}


def test_layers_lengths_and_sizes_share_what_is_compiled(twins, graphs):
    _, own = twins()
    compile_layers(own)
    classifier = Classifier(own, compiled=True).train()
    for rows, length in ((2, 5), (3, 9), (8, 16), (5, 12)):
        classifier(random_batch(rows, length)).sum().backward()
    assert len(graphs.forward) == 1
    for rows, length in ((3, 17), (2, 30), (6, 32)):
        classifier(random_batch(rows, length)).sum().backward()
    assert len(graphs.forward) == 2


def test_rows_of_any_number_of_tokens_share_what_is_compiled(twins, graphs):
    _, own = twins()
    pack_sequences(own)
    compile_layers(own)
    classifier = Classifier(own, packed=True, compiled=True).train()
    counts = []
    for rows, length in ((2, 5), (3, 9), (8, 16), (5, 12), (6, 30)):
        classifier(random_batch(rows, length)).sum().backward()
        counts.append(len(graphs.forward))
    assert counts[-1] == counts[1]  # the second one makes the longest length a variable


def test_evaluation_is_not_compiled_and_answers_alike(twins, a_batch, graphs):
    eager, own = twins()
    compile_layers(own)
    batch = a_batch(own)
    for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with mode():
            answers = [Classifier(one, compiled=one is own).eval()(batch) for one in (eager, own)]
        assert torch.equal(*answers)
    assert not graphs.forward


def test_names_and_weights_stay(twins, family):
    eager, own = twins(family)
    compile_layers(own)
    assert list(own.state_dict()) == list(eager.state_dict())
    assert all(
        torch.equal(value, own.state_dict()[name]) for name, value in eager.state_dict().items()
    )
    assert sum(type(each).__name__.startswith("Compiled") for each in own.modules()) in (1, 2)


def test_steps_uphill_cost_no_weight_gradients(twins, a_batch, graphs):
    """A compiled backward yields all that its forward was compiled for: so weights are held."""
    _, own = twins()
    compile_layers(own)
    classifier = Classifier(own, compiled=True).train()
    batch = a_batch(own)
    for held in (False, True):
        at = classifier.embed(batch).detach().requires_grad_()
        if held:
            with classifier.weights_held():
                value = classifier(batch, at).square().sum()
        else:
            value = classifier(batch, at).square().sum()
        torch.autograd.grad(value, at)
    whole, alone = map(products, graphs.backward)
    assert (whole, alone) == (12, 6)  # of six linear layers, inputs and weights
    assert all(each.requires_grad for each in own.parameters())


@pytest.mark.parametrize("objective", [PGD(0.5), FGM(0.5, clean_share=0.0), SMART(0.5)])
def test_objectives_hold_the_weights_uphill(twins, a_batch, graphs, objective):
    _, own = twins()
    compile_layers(own)
    classifier = Classifier(own, compiled=True).train()
    own_copy = copy.copy(objective)
    own_copy.prepare(FitContext(classifier, special_ids=[0, 2, 3]))
    own_copy(classifier, a_batch(own), LOSS)[0].backward()
    assert sorted(products(each) for each in graphs.backward) == [6, 12]


def test_an_objective_that_goes_back_twice_is_one_line(tiny_backbone):
    module = TextClassifier(
        str(tiny_backbone("bert")),
        LabelSet("binary", ("a", "b")),
        objective=FGMRDrop(),
        compiled=True,
    )
    with pytest.raises(ConfigError) as told:
        module.configure_model()
    assert str(told.value) == (
        "model.compiled=true: FGMRDrop differentiates twice through one pass, which compiled "
        "layers cannot; use FGM or RDrop, or leave it out."
    )


def test_it_would_fail_in_torch(compared, graphs):
    """Or else the line above is not needed any more."""
    with pytest.raises(RuntimeError, match="donated"):
        compared(objective=FGMRDrop(0.5))


def test_an_older_torch_is_one_line(twins, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model, *, dynamic=None: model)
    with pytest.raises(ConfigError, match=r"model.compiled=true needs torch 2.13 or newer, this"):
        compile_layers(twins()[1])


def test_batches_are_padded_to_a_few_lengths_and_never_beyond_the_positions(twins):
    encoder, _ = twins("roberta")
    batch = random_batch(2, 17)
    embeddings = torch.ones(2, 17, 16)
    padded = padded_to_few(
        encoder, {**batch, "inputs_embeds": embeddings} | {"index": batch["input_ids"]}
    )
    assert padded["attention_mask"].tolist() == [[1] * 8 + [0] * 24, [1] * 17 + [0] * 15]
    assert padded["input_ids"][:, 17:].unique().tolist() == [1]  # RoBERTa's padding
    assert padded["inputs_embeds"].shape == (2, 32, 16)
    assert padded["inputs_embeds"][:, 17:].eq(0).all()
    assert padded_to_few(encoder, random_batch(2, 60))["input_ids"].shape == (2, 64)
    assert [next_length(length) for length in LENGTHS] == list(LENGTHS)

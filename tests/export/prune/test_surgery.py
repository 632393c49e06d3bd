"""What is cut answers as the whole with the rest silenced, once and again."""

from __future__ import annotations

import copy

import pytest
import torch

from lightning_tune.models.layout import NAMES, LayerShape, layout_of, stack_of
from lightning_tune_export.prune.probing import plain_classifier, some_batches
from lightning_tune_export.prune.search import Kept
from lightning_tune_export.prune.surgery import cut

SIZE, NEURONS = 8, 32
FAMILIES = ["bert", "roberta", "distilbert", "electra", "mpnet"]
PLANS = [
    [Kept((1,), tuple(range(0, 32, 3))), Kept((0, 1), (31,))],
    [Kept((), tuple(range(32))), Kept((0,), ())],
]


def silenced(classifier, plan):
    classifier = copy.deepcopy(classifier)
    names = NAMES[classifier.encoder.config.model_type]
    for layer, kept in zip(stack_of(classifier.encoder), plan, strict=True):
        for head in {0, 1} - set(kept.heads):
            layer.get_submodule(names.outward).weight[:, head * SIZE : (head + 1) * SIZE] = 0
        gone = sorted(set(range(NEURONS)) - set(kept.neurons))
        layer.get_submodule(names.down).weight[:, gone] = 0
    return classifier


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_cut_answers_as_the_silenced_whole(arrange, family, plan):
    module, data = arrange(family)
    classifier = plain_classifier(module)
    (batch, *_) = some_batches(data, 8)
    smaller = cut(classifier, module.label_set, plan)
    with torch.no_grad():
        expected = silenced(classifier, plan)(batch)
        assert (expected - classifier(batch)).abs().max() > 1e-2
        torch.testing.assert_close(smaller(batch), expected, atol=1e-5, rtol=1e-4)


def test_a_second_cut_counts_among_what_the_first_left(arrange):
    module, data = arrange("mpnet")
    classifier = plain_classifier(module)
    (batch, *_) = some_batches(data, 8)
    first = cut(classifier, module.label_set, PLANS[0])
    second = cut(first, module.label_set, [Kept((0,), (1, 2)), Kept((1,), (0,))])
    at_once = [Kept((1,), (3, 6)), Kept((1,), (31,))]
    with torch.no_grad():
        expected = silenced(classifier, at_once)(batch)
        torch.testing.assert_close(second(batch), expected, atol=1e-5, rtol=1e-4)
    assert layout_of(second.encoder).layers == (LayerShape((1,), 2), LayerShape((1,), 1))


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet"])
def test_a_layer_with_nothing_left_is_dropped_whole(arrange, family):
    module, data = arrange(family)
    classifier = plain_classifier(module)
    (batch, *_) = some_batches(data, 8)
    smaller = cut(classifier, module.label_set, [Kept((0, 1), tuple(range(32))), Kept((), ())])
    stack = stack_of(classifier.encoder)
    assert len(stack_of(smaller.encoder)) == smaller.encoder.config.num_hidden_layers == 1
    with torch.no_grad():
        before = smaller(batch)
        del stack[1]
        torch.testing.assert_close(before, classifier(batch), atol=1e-6, rtol=1e-5)


def test_the_lowest_layer_stays_even_where_it_is_empty(arrange):
    module, _ = arrange()
    smaller = cut(plain_classifier(module), module.label_set, [Kept((), ()), Kept((), (3,))])
    assert layout_of(smaller.encoder).layers == (LayerShape((), 0), LayerShape((), 1))

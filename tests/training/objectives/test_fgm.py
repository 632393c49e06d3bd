"""FGM against a loop written by hand, and what its passes cost."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.training.objectives import FGM, Plain

NOT_TEXT = (0, 2, 3)


def by_hand(setting, *, radius: float, norm: str, clean_share: float) -> torch.Tensor:
    """The loss of FGM, text by text and token by token, on one graph with all weights."""
    classifier, batch, loss = setting.classifier, setting.batch, setting.loss
    table = classifier.encoder.get_input_embeddings().weight
    unit = sorted(row.norm().item() for row in table.detach())[(len(table) - 1) // 2]
    words = table[batch["input_ids"]]
    clean = loss(classifier(batch, words), batch)
    (gradient,) = torch.autograd.grad(clean, words, retain_graph=True)
    for text, ids in zip(gradient, batch["input_ids"], strict=True):
        for token, number in zip(text, ids, strict=True):
            if int(number) in NOT_TEXT:
                token.zero_()
    delta = torch.zeros_like(gradient)
    for at, text in enumerate(gradient):
        if norm == "l2":
            delta[at] = radius * unit * text / text.norm()
        elif norm == "linf":
            delta[at] = radius * unit / text.shape[1] ** 0.5 * text.sign()
        else:
            for token in range(len(text)):
                if text[token].norm() > 0:
                    delta[at, token] = radius * unit * text[token] / text[token].norm()
    moved = loss(classifier(batch, words + delta), batch)
    return clean_share * clean + (1 - clean_share) * moved


@pytest.mark.parametrize("norm", ["l2", "l2_token", "linf"])
@pytest.mark.parametrize("clean_share", [0.0, 0.5, 0.3])
def test_it_is_the_loop_written_by_hand(arrange, assert_same, norm, clean_share):
    setting = arrange()
    settings = {"radius": 0.7, "norm": norm, "clean_share": clean_share}
    objective = setting.prepared(FGM(**settings))
    expected = by_hand(setting, **settings)
    value, logits = objective(setting.classifier, setting.batch, setting.loss)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(logits, setting.classifier(setting.batch).detach())
    assert_same(setting.gradients_of(value), setting.gradients_of(expected), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("clean_share", [0.0, 0.5])
def test_perturbed_texts_have_a_greater_loss_and_both_are_told(arrange, clean_share):
    setting = arrange()
    objective = setting.prepared(FGM(radius=0.5, clean_share=clean_share))
    value, _ = objective(setting.classifier, setting.batch, setting.loss)
    plain = setting.loss(setting.classifier(setting.batch), setting.batch)
    parts = objective.parts
    torch.testing.assert_close(parts["clean_loss"], plain.detach())
    assert parts["adversarial_loss"] > parts["clean_loss"] + 0.01
    mixed = clean_share * parts["clean_loss"] + (1 - clean_share) * parts["adversarial_loss"]
    torch.testing.assert_close(value.detach(), mixed)
    assert not any(part.requires_grad for part in parts.values())


@pytest.mark.parametrize(("clean_share", "most"), [(0.0, 1.7), (0.5, 2.0)])
def test_no_pass_computes_what_is_thrown_away(arrange, clean_share, most):
    """In matrix products: 5/3 of a plain step without the clean loss, 2 with it."""
    setting = arrange()
    plain = setting.products(Plain())
    found = setting.products(setting.prepared(FGM(clean_share=clean_share)))
    assert 1.5 * plain < found <= most * plain

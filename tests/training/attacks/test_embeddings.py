"""PGD on embeddings against a linear model, whose worst case is known, and on a real encoder."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Classifier
from lightning_tune.training.attacks.embeddings import EmbeddingAttack, withstands

PAD, CLS, SEP = 0, 2, 3
SPECIAL = (PAD, CLS, SEP)
WIDTH = 6


class Linear(nn.Module):
    """Logits are a linear function of the embeddings, summed over all positions that are read."""

    def __init__(self, classes: int = 2):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(20, WIDTH)
        self.out = nn.Linear(WIDTH, classes, bias=False)
        self.rows_read = 0

    def get_input_embeddings(self):
        return self.table

    def forward(self, input_ids=None, inputs_embeds=None, attention_mask=None):
        words = self.table(input_ids) if inputs_embeds is None else inputs_embeds
        self.rows_read += len(words)
        return SimpleNamespace(logits=self.out((words * attention_mask[:, :, None]).sum(dim=1)))


def batch_of(*texts: list[int], window_of: list[int] | None = None) -> dict[str, torch.Tensor]:
    longest = max(map(len, texts)) + 2
    rows = [[CLS, *text, SEP, *[PAD] * (longest - 2 - len(text))] for text in texts]
    ids = torch.tensor(rows)
    batch = {"input_ids": ids, "attention_mask": (ids != PAD).long()}
    batch["index"] = torch.arange(len(texts))
    if window_of is not None:
        batch["window_of"] = torch.tensor(window_of)
    return batch


def needed(model: Linear, batch, norm: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The answers, and the radius (in median norms) at which each can just be turned, by hand."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    answers = logits.argmax(dim=1)
    margin = (logits.gather(1, answers[:, None]) - logits.gather(1, 1 - answers[:, None]))[:, 0]
    slope = (model.out.weight[0] - model.out.weight[1]).detach()
    words = (batch["attention_mask"].sum(dim=1) - 2).float()  # [CLS] and [SEP] do not move
    gain = {
        "l2": words.sqrt() * slope.norm(),
        "l2_token": words * slope.norm(),
        "linf": words * slope.abs().sum() / WIDTH**0.5,
    }[norm]
    unit = model.table.weight.detach().norm(dim=1).median()
    return answers, (margin / gain / unit).detach()


def attack(model, batch, targets, *, seed: int = 0, kind="binary", **settings) -> list[bool]:
    classifier = Classifier(model).eval()
    seeds = [seed + at for at in range(len(targets))]
    found = withstands(
        classifier,
        batch,
        targets,
        EmbeddingAttack(**settings),
        kind=kind,
        special_ids=SPECIAL,
        seeds=seeds,
    )
    return found.tolist()


TEXTS = ([5, 9, 11], [7], [12, 13, 5, 8, 19], [6, 14])


@pytest.mark.parametrize("norm", ["l2", "l2_token", "linf"])
def test_a_text_breaks_at_the_radius_that_a_linear_model_has_by_hand(norm):
    model = Linear()
    for text in TEXTS:
        batch = batch_of(text)
        answers, radius = needed(model, batch, norm)
        assert attack(model, batch, answers, norm=norm, radius=0.99 * float(radius)) == [True]
        assert attack(model, batch, answers, norm=norm, radius=1.03 * float(radius)) == [False]


def test_each_text_of_a_batch_has_a_ball_of_its_own():
    model = Linear()
    batch = batch_of(*TEXTS)
    answers, radii = needed(model, batch, "l2")
    for radius in radii.sort().values:
        found = attack(model, batch, answers, radius=1.03 * float(radius))
        assert found == (radii > 1.03 * radius).tolist()


def test_a_text_in_windows_is_broken_by_all_its_windows_together():
    """The mean of two windows: each may move by the radius, and counts half."""
    model = Linear()
    batch = batch_of(*TEXTS, window_of=[0, 0, 1, 1])
    logits = Classifier(model)(batch)
    answers = logits.argmax(dim=1)
    margin = logits.gather(1, answers[:, None]) - logits.gather(1, 1 - answers[:, None])
    slope = (model.out.weight[0] - model.out.weight[1]).norm()
    unit = model.table.weight.norm(dim=1).median()
    words = torch.tensor([[3.0, 1], [5, 2]]).sqrt().mean(dim=1)
    radii = (margin[:, 0] / (words * slope * unit)).detach()
    for radius in radii.sort().values:
        assert (
            attack(model, batch, answers, radius=0.99 * float(radius))
            == (radii > 0.99 * radius).logical_or(radii == radius).tolist()
        )
        assert (
            attack(model, batch, answers, radius=1.04 * float(radius))
            == (radii > 1.04 * radius).tolist()
        )


def test_specials_and_padding_never_move():
    """A text of no words but special ones cannot be broken, however large the radius is."""
    model = Linear()
    batch = batch_of([], [5, 6, 7])
    answers, _ = needed(model, batch, "l2")
    found = attack(model, batch, answers, radius=50.0)
    assert found == [True, False]


@pytest.mark.parametrize("norm", ["l2", "l2_token", "linf"])
def test_every_point_on_the_way_is_inside_the_radius(norm, monkeypatch):
    model = Linear()
    batch = batch_of(*TEXTS)
    answers, radii = needed(model, batch, norm)
    radius = 0.9 * float(radii.min())
    words = Classifier(model).embed(batch).detach()
    seen = []
    forward = Linear.forward

    def watched(self, inputs_embeds=None, **inputs):
        seen.append((inputs_embeds - words).detach())
        return forward(self, inputs_embeds=inputs_embeds, **inputs)

    monkeypatch.setattr(Linear, "forward", watched)
    assert all(attack(model, batch, answers, norm=norm, radius=radius, steps=4))
    limit = radius * float(model.table.weight.detach().norm(dim=1).median())
    still = (batch["attention_mask"] == 0) | torch.isin(batch["input_ids"], torch.tensor(SPECIAL))
    assert len(seen) == 5
    for shift in seen:
        sizes = {
            "l2": shift.flatten(1).norm(dim=1),
            "l2_token": shift.norm(dim=2),
            "linf": shift.abs() * WIDTH**0.5,
        }[norm]
        assert float(sizes.max()) <= limit * (1 + 1e-5)
        assert not shift[still].any()
    assert float(seen[0].abs().max()) > 0  # a random start


def test_a_radius_of_zero_asks_nothing_and_breaks_nothing():
    model = Linear()
    batch = batch_of(*TEXTS)
    answers, _ = needed(model, batch, "l2")
    model.rows_read = 0
    assert attack(model, batch, answers, radius=0.0) == [True] * 4
    assert model.rows_read == 0


def test_a_broken_text_leaves_the_batch():
    model = Linear()
    batch = batch_of(*TEXTS)
    answers, radii = needed(model, batch, "l2")
    radius = float(radii.sort().values[1:3].mean())  # two of four break
    model.rows_read = 0
    held = attack(model, batch, answers, radius=radius, steps=20)
    assert sum(held) == 2
    assert 2 * 21 < model.rows_read < 4 * 21
    model.rows_read = 0
    assert not any(attack(model, batch, answers, radius=1000.0, steps=20))
    assert model.rows_read < 4 * 5


def test_starts_follow_the_seed_of_a_text_and_not_its_neighbours(monkeypatch):
    model = Linear()
    starts = []
    forward = Linear.forward

    def watched(self, inputs_embeds=None, **inputs):
        starts.append(inputs_embeds.detach()[-1, 1:3])
        return forward(self, inputs_embeds=inputs_embeds, **inputs)

    monkeypatch.setattr(Linear, "forward", watched)
    both, alone = batch_of(TEXTS[0], TEXTS[3]), batch_of(TEXTS[3])
    attack(model, both, torch.tensor([0, 0]), seed=6, steps=1)
    starts_together = starts[0]
    starts.clear()
    attack(model, alone, torch.tensor([0]), seed=7, steps=1)
    assert torch.equal(starts[0], starts_together)
    starts.clear()
    attack(model, alone, torch.tensor([0]), seed=8, steps=1)
    assert not torch.equal(starts[0], starts_together)


def test_a_set_of_labels_breaks_where_one_label_does():
    model = Linear(classes=3)
    batch = batch_of(*TEXTS)
    targets = (Classifier(model)(batch) > 0).float()
    smallest = (Classifier(model)(batch).abs() / (model.out.weight.norm(dim=1))).min(
        dim=1
    ).values / (batch["attention_mask"].sum(dim=1) - 2).sqrt()
    radii = (smallest / model.table.weight.norm(dim=1).median()).detach()
    for row in range(4):
        one = {name: value[row : row + 1] for name, value in batch.items()}
        at = {"kind": "multilabel", "steps": 60}
        held = attack(model, one, targets[row : row + 1], radius=0.99 * float(radii[row]), **at)
        assert held == [True]
        held = attack(model, one, targets[row : row + 1], radius=1.5 * float(radii[row]), **at)
        assert held == [False]


def test_a_model_that_is_entirely_sure_still_gives_a_direction():
    """Its probabilities are 1 and 0 in float32, where the gradient of the loss is lost."""
    model = Linear()
    logits = Classifier(model)(batch_of(TEXTS[0])).detach()[0]
    margin = logits.max() - logits.min()
    model.out.weight.data *= 300 / float(margin)
    batch = batch_of(TEXTS[0])
    answers, radius = needed(model, batch, "l2")
    assert attack(model, batch, answers, radius=1.03 * float(radius)) == [False]


def test_the_weights_get_no_gradient():
    model = Linear()
    batch = batch_of(*TEXTS)
    answers, _ = needed(model, batch, "l2")
    attack(model, batch, answers, radius=0.1)
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius": -0.1}, "radius=-0.1 is no number from 0 on"),
        ({"radius": float("nan")}, "no number from 0 on"),
        ({"norm": "l1"}, "norm='l1' is not one of l2, l2_token, linf"),
        ({"steps": 0}, "steps=0 is below 1"),
        ({"restarts": 0}, "restarts=0 is below 1"),
        ({"step_size": 0.0}, "step_size=0.0 is not above 0"),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        EmbeddingAttack(**settings)
    assert "\n" not in str(caught.value)

"""Recovery brings answers back, through the Trainer, and leaves nothing of itself behind."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lightning_tune.errors import ConfigError
from lightning_tune_export.prune.probing import plain_classifier
from lightning_tune_export.prune.rebuilding import module_like
from lightning_tune_export.prune.recover import RecoverSettings, recover
from lightning_tune_export.prune.search import Kept
from lightning_tune_export.prune.surgery import cut

SOME = tuple(range(16))


def distance(module, teacher, data):
    data.setup("fit")
    with torch.no_grad():
        batches = list(data.train_dataloader())
        pairs = [(module(batch), teacher(batch)) for batch in batches]
    return sum(
        float(
            functional.kl_div(a.log_softmax(1), b.log_softmax(1), log_target=True, reduction="sum")
        )
        for a, b in pairs
    )


@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_answers_come_back(arrange, hidden):
    module, data = arrange()
    teacher = plain_classifier(module)
    smaller = cut(teacher, module.label_set, [Kept((1,), SOME), Kept((), SOME)])
    pruned = module_like(module, smaller.encoder)
    before = distance(pruned.eval(), teacher, data)
    settings = RecoverSettings(epochs=8, lr=3e-3, hidden=hidden)
    recover(pruned, teacher, data, settings)
    assert distance(pruned.eval(), teacher, data) < 0.5 * before
    assert pruned.hparams["objective"]["class_path"].endswith(".Plain")
    assert pruned.hparams["lr"] == module.hparams["lr"]
    assert data.trainer is None


def test_the_teacher_and_random_numbers_stay(arrange):
    module, data = arrange()
    teacher = plain_classifier(module)
    pruned = module_like(module, cut(teacher, module.label_set, [Kept((1,), SOME)] * 2).encoder)
    weights = {name: value.clone() for name, value in teacher.state_dict().items()}
    state = torch.get_rng_state()
    recover(pruned, teacher, data, RecoverSettings(lr=1e-3))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[name]) for name, value in teacher.state_dict().items())


def test_the_same_seed_recovers_the_same_weights(arrange):
    module, data = arrange()
    teacher = plain_classifier(module)
    found = []
    for _ in range(2):
        smaller = cut(teacher, module.label_set, [Kept((1,), SOME)] * 2)
        pruned = module_like(module, smaller.encoder)
        recover(pruned, teacher, data, RecoverSettings(seed=3))
        found.append(pruned.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


@pytest.mark.parametrize(("width", "lr"), [(32, 6e-4), (384, 6e-4), (768, 3e-4), (1024, 2.25e-4)])
def test_wider_encoders_learn_at_a_lower_rate(width, lr):
    assert RecoverSettings(epochs=3).lr_for(width) == pytest.approx(lr)
    assert RecoverSettings(epochs=1).lr_for(width) == pytest.approx(lr / 6)
    assert RecoverSettings(lr=1e-5).lr_for(width) == 1e-5


@pytest.mark.parametrize(("settings", "name"), [({"epochs": -1}, "epochs"), ({"lr": 0.0}, "lr")])
def test_settings_outside_their_range_are_refused(settings, name):
    with pytest.raises(ConfigError, match=rf"recover\.{name}="):
        RecoverSettings(**settings)

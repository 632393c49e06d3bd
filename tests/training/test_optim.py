"""Groups and rates by hand, schedules against transformers, resuming against a fresh run."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import transformers

from lightning_tune.errors import ConfigError
from lightning_tune.models.encoder import build_encoder
from lightning_tune.models.peft import IA3, Adapters, LastLayers, LoRA, Prefix
from lightning_tune.schema import LabelSet
from lightning_tune.training.optim import (
    ENDLESS,
    OptimizerSettings,
    ScheduleSettings,
    build_optimizer,
    build_scheduler,
    param_groups,
    retarget,
    schedule,
)

TWO = LabelSet("binary", ("bad", "good"))
NAMES = ["adamw", "adam", "sgd", "adafactor"]


@pytest.fixture
def encoder(tiny_backbone):
    torch.manual_seed(0)  # of the head
    return build_encoder(str(tiny_backbone("bert")), TWO)


def rates(model, **settings):
    groups = param_groups(model, 1.0, OptimizerSettings(**settings))
    return {name: group["lr"] for group in groups for name in group["names"]}


def train_step(model, optimizer, seed=0):
    ids = torch.randint(5, 300, (4, 10), generator=torch.Generator().manual_seed(seed))
    loss = torch.nn.functional.cross_entropy(
        model(input_ids=ids).logits, torch.tensor([0, 1, 0, 1])
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


# With a factor of 1/2 and two layers: the head 1, the layers 1/2 and 1/4, what is below them 1/8.
BY_HAND = {
    "bert": {
        "classifier.weight": 1,
        "bert.pooler.dense.weight": 1,
        "bert.encoder.layer.1.output.LayerNorm.weight": 1 / 2,
        "bert.encoder.layer.0.attention.self.query.bias": 1 / 4,
        "bert.embeddings.position_embeddings.weight": 1 / 8,
        "bert.embeddings.LayerNorm.bias": 1 / 8,
    },
    "roberta": {
        "classifier.dense.weight": 1,
        "classifier.out_proj.weight": 1,
        "roberta.encoder.layer.1.output.dense.weight": 1 / 2,
        "roberta.encoder.layer.0.output.dense.weight": 1 / 4,
        "roberta.embeddings.word_embeddings.weight": 1 / 8,
    },
    "distilbert": {
        "pre_classifier.weight": 1,
        "distilbert.transformer.layer.1.ffn.lin1.weight": 1 / 2,
        "distilbert.transformer.layer.0.ffn.lin1.weight": 1 / 4,
        "distilbert.embeddings.word_embeddings.weight": 1 / 8,
    },
    "electra": {
        "classifier.dense.weight": 1,
        "electra.encoder.layer.1.output.dense.weight": 1 / 2,
        "electra.encoder.layer.0.output.dense.weight": 1 / 4,
        "electra.embeddings_project.weight": 1 / 8,
        "electra.embeddings.word_embeddings.weight": 1 / 8,
    },
    # All its layers are one set of weights.
    "albert": {
        "classifier.weight": 1,
        "albert.pooler.weight": 1,
        "albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight": 1 / 2,
        "albert.encoder.embedding_hidden_mapping_in.weight": 1 / 4,
        "albert.embeddings.word_embeddings.weight": 1 / 4,
    },
    "deberta-v2": {
        "classifier.weight": 1,
        "pooler.dense.weight": 1,
        "deberta.encoder.layer.1.attention.self.query_proj.weight": 1 / 2,
        "deberta.encoder.layer.0.attention.self.query_proj.weight": 1 / 4,
        "deberta.encoder.rel_embeddings.weight": 1 / 8,
        "deberta.encoder.LayerNorm.weight": 1 / 8,
        "deberta.embeddings.word_embeddings.weight": 1 / 8,
    },
    "modernbert": {
        "classifier.weight": 1,
        "head.dense.weight": 1,
        "model.final_norm.weight": 1,
        "model.layers.1.attn.Wqkv.weight": 1 / 2,
        "model.layers.0.attn.Wqkv.weight": 1 / 4,
        "model.embeddings.tok_embeddings.weight": 1 / 8,
    },
    "mpnet": {
        "classifier.dense.weight": 1,
        "mpnet.encoder.layer.1.attention.attn.q.weight": 1 / 2,
        "mpnet.encoder.layer.0.attention.attn.q.weight": 1 / 4,
        "mpnet.encoder.relative_attention_bias.weight": 1 / 8,
        "mpnet.embeddings.word_embeddings.weight": 1 / 8,
    },
}
BY_HAND["xlm-roberta"] = BY_HAND["roberta"]


def test_layer_wise_decay_halves_the_rate_layer_by_layer(family, tiny_backbone):
    model = build_encoder(str(tiny_backbone(family)), TWO)
    found = rates(model, layer_decay=0.5)
    assert found.keys() == dict(model.named_parameters()).keys()
    assert {name: found[name] for name in BY_HAND[family]} == BY_HAND[family]


def test_biases_and_normalisation_do_not_decay(family, tiny_backbone):
    model = build_encoder(str(tiny_backbone(family)), TWO)
    groups = param_groups(model, 1e-3, OptimizerSettings(weight_decay=0.1))
    free = {name for group in groups if group["weight_decay"] == 0 for name in group["names"]}
    norms = {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.LayerNorm)
        for name, _ in module.named_parameters()
    }
    assert free == norms | {name for name in dict(model.named_parameters()) if "bias" in name} - {
        "mpnet.encoder.relative_attention_bias.weight"  # an embedding of distances
    }
    assert len(groups) == 2
    assert {group["lr"] for group in groups} == {1e-3}


@pytest.mark.parametrize("tuning", [LoRA(rank=2), IA3(), Prefix(tokens=2), Adapters()])
def test_what_a_tuning_adds_has_the_rate_of_its_layer(tuning, encoder):
    tuning.apply(encoder)
    found = rates(encoder, layer_decay=0.5)
    for name, rate in found.items():
        layer = {True: 1 / 4, False: 1 / 2}[".layer.0." in name]
        assert rate == (layer if ".layer." in name else 1.0), name
    assert len(found) < len(dict(encoder.named_parameters()))


def test_factors_that_start_at_one_do_not_decay(encoder):
    IA3().apply(encoder)
    groups = param_groups(encoder, 1e-3, OptimizerSettings(weight_decay=0.1))
    decayed = {name for group in groups if group["weight_decay"] for name in group["names"]}
    assert decayed == {"bert.pooler.dense.weight", "classifier.weight"}


TOTAL = 50
THEIRS = {
    "linear": lambda optimizer, warmup: transformers.get_linear_schedule_with_warmup(
        optimizer, warmup, TOTAL
    ),
    "cosine": lambda optimizer, warmup: transformers.get_cosine_schedule_with_warmup(
        optimizer, warmup, TOTAL
    ),
    "constant": lambda optimizer, warmup: transformers.get_constant_schedule_with_warmup(
        optimizer, warmup
    ),
    "polynomial": lambda optimizer, warmup: transformers.get_polynomial_decay_schedule_with_warmup(
        optimizer, warmup, TOTAL, lr_end=0.0, power=2.0
    ),
    "polynomial with floor": lambda optimizer, warmup: (
        transformers.get_polynomial_decay_schedule_with_warmup(
            optimizer, warmup, TOTAL, lr_end=0.3, power=3.0
        )
    ),
    "cosine with floor": lambda optimizer, warmup: (
        transformers.get_cosine_with_min_lr_schedule_with_warmup(
            optimizer, warmup, TOTAL, min_lr_rate=0.2
        )
    ),
}
CHANGES = {
    "polynomial with floor": {"floor": 0.1, "power": 3.0},
    "cosine with floor": {"floor": 0.2},
}


def trace(optimizer, scheduler):
    seen = []
    for _ in range(TOTAL + 1):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def one_weight(lr=3.0):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


@pytest.mark.parametrize("warmup", [0, 1, 7])
@pytest.mark.parametrize("name", THEIRS)
def test_schedules_are_those_of_transformers(name, warmup):
    settings = ScheduleSettings(name.split()[0], warmup=warmup, **CHANGES.get(name, {}))
    ours, theirs = one_weight(), one_weight()
    mine = trace(ours, build_scheduler(ours, settings, TOTAL))
    assert mine == pytest.approx(trace(theirs, THEIRS[name](theirs, warmup)), abs=1e-12)


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial"])
def test_a_schedule_stays_at_its_floor_after_the_end(name):
    rate = schedule(ScheduleSettings(name, floor=0.25), TOTAL)
    assert [rate(step) for step in (TOTAL, TOTAL + 1, 10 * TOTAL)] == pytest.approx([0.25] * 3)


def test_a_warm_up_below_one_is_a_share_of_the_run():
    share = schedule(ScheduleSettings("cosine", warmup=0.1), 200)
    steps = schedule(ScheduleSettings("cosine", warmup=20), 200)
    assert [share(step) for step in range(201)] == [steps(step) for step in range(201)]
    assert share(20) == 1.0


def test_a_warm_up_longer_than_the_run_is_said(caplog):
    assert schedule(ScheduleSettings(warmup=100), TOTAL)(TOTAL) == 0.5
    assert "schedule.warmup=100 is longer than the run's 50 steps" in caplog.text


def test_a_share_of_a_run_without_an_end_is_refused():
    with pytest.raises(ConfigError, match=r"warmup=0\.06 is a share of a run without an end"):
        schedule(ScheduleSettings(), ENDLESS)
    assert schedule(ScheduleSettings("constant", warmup=10), ENDLESS)(5) == 0.5
    assert schedule(ScheduleSettings("linear", warmup=0.0), ENDLESS)(5) == pytest.approx(1)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (OptimizerSettings, {"weight_decay": -0.1}, r"optimizer\.weight_decay=-0\.1 is below 0"),
        (OptimizerSettings, {"eps": math.nan}, r"optimizer\.eps=nan is below 0"),
        (OptimizerSettings, {"layer_decay": 0.0}, r"layer_decay=0\.0 is outside \(0, 1\]"),
        (OptimizerSettings, {"layer_decay": 1.1}, r"layer_decay=1\.1 is outside \(0, 1\]"),
        (OptimizerSettings, {"betas": (0.9, 1.0)}, r"optimizer\.betas=\[0\.9, 1\.0\] are not two"),
        (OptimizerSettings, {"betas": [0.9]}, r"optimizer\.betas=\[0\.9\] are not two"),
        (OptimizerSettings, {"momentum": 1.0}, r"optimizer\.momentum=1\.0 is outside \[0, 1\)"),
        (ScheduleSettings, {"warmup": -1}, r"schedule\.warmup=-1 is neither a share"),
        (ScheduleSettings, {"warmup": 1.5}, r"schedule\.warmup=1\.5 is neither a share"),
        (ScheduleSettings, {"power": 0.0}, r"schedule\.power=0\.0 is not above 0"),
        (ScheduleSettings, {"floor": 1.5}, r"schedule\.floor=1\.5 is outside \[0, 1\]"),
    ],
)
def test_settings_outside_their_range_are_refused(kind, settings, message):
    with pytest.raises(ConfigError, match=message):
        kind(**settings)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_lowers_the_loss(name, encoder):
    lr = {"sgd": 0.1, "adafactor": 0.05}.get(name, 0.01)
    optimizer = build_optimizer(encoder.eval(), lr, OptimizerSettings(name, layer_decay=0.9))
    losses = [train_step(encoder, optimizer) for _ in range(8)]
    assert losses[-1] < losses[0] - 0.03


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_a_step_is_that_of_pytorch(name, encoder):
    """The same step, with the groups written out in another way.

    In double precision: a key bias of attention has no gradient but rounding, which Adam amplifies.
    """
    encoder = encoder.double()
    twin = copy.deepcopy(encoder)
    settings = OptimizerSettings(
        name, weight_decay=0.3, layer_decay=0.5, betas=(0.8, 0.95), eps=1e-6, momentum=0.7
    )
    optimizer = build_optimizer(encoder, 0.1, settings)
    by_name = rates(twin, layer_decay=0.5)
    groups = [
        {
            "params": [parameter],
            "lr": 0.1 * by_name[key],
            "weight_decay": 0.3 if parameter.ndim > 1 else 0.0,
        }
        for key, parameter in twin.named_parameters()
    ]
    adam = {"betas": (0.8, 0.95), "eps": 1e-6}
    other = {
        "adamw": lambda: torch.optim.AdamW(groups, **adam),
        "adam": lambda: torch.optim.Adam(groups, **adam),
        "sgd": lambda: torch.optim.SGD(groups, momentum=0.7),
    }[name]()
    for model, stepper in ((encoder, optimizer), (twin, other)):
        torch.manual_seed(5)
        for seed in range(3):
            train_step(model, stepper, seed)
    for left, right in zip(encoder.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def run(model, lr, settings, plan, steps, checkpoint=None, total=40):
    """Step as Lightning does, the optimizer before the schedule; note the rates of each step."""
    optimizer = build_optimizer(model, lr, settings)
    scheduler = build_scheduler(optimizer, plan, total)
    if checkpoint is not None:
        optimizer.load_state_dict(checkpoint["optimizer_states"][0])
        scheduler.load_state_dict(checkpoint["lr_schedulers"][0])
    seen = []
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.01)
    for _ in range(steps):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return seen, {
        "optimizer_states": [copy.deepcopy(optimizer.state_dict())],
        "lr_schedulers": [copy.deepcopy(scheduler.state_dict())],
    }


@pytest.mark.parametrize(
    ("name", "plan"),
    [("adamw", "linear"), ("adam", "constant"), ("sgd", "polynomial"), ("adafactor", "cosine")],
)
def test_a_resumed_run_has_the_rates_that_are_written_now(name, plan, encoder):
    settings = OptimizerSettings(name, layer_decay=0.8)
    plan = ScheduleSettings(plan, warmup=4)
    _, checkpoint = run(encoder, 1e-4, settings, plan, steps=10)
    fresh, _ = run(copy.deepcopy(encoder), 3e-4, settings, plan, steps=14)
    retarget(checkpoint, old_lr=1e-4, lr=3e-4, settings=settings)
    resumed, _ = run(encoder, 3e-4, settings, plan, steps=4, checkpoint=checkpoint)
    for ours, theirs in zip(resumed, fresh[10:], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)


def test_a_resumed_run_of_the_same_settings_is_bitwise_the_same(encoder):
    settings, plan = OptimizerSettings(layer_decay=0.8), ScheduleSettings(warmup=4)
    _, checkpoint = run(encoder, 1e-4, settings, plan, steps=10)
    before = copy.deepcopy(checkpoint)
    retarget(checkpoint, old_lr=1e-4, lr=1e-4, settings=settings)
    assert checkpoint["lr_schedulers"] == before["lr_schedulers"]
    fresh, _ = run(copy.deepcopy(encoder), 1e-4, settings, plan, steps=14)
    resumed, _ = run(encoder, 1e-4, settings, plan, steps=4, checkpoint=checkpoint)
    assert resumed == fresh[10:]


def test_a_run_that_goes_on_for_longer_has_the_rates_of_the_longer_run_at_once(encoder):
    settings, plan = OptimizerSettings(), ScheduleSettings(warmup=0)
    ended, checkpoint = run(encoder, 1e-4, settings, plan, steps=10, total=10)
    assert ended[-1][0] == pytest.approx(1e-5)
    fresh, _ = run(copy.deepcopy(encoder), 1e-4, settings, plan, steps=12, total=40)
    resumed, _ = run(encoder, 1e-4, settings, plan, steps=2, checkpoint=checkpoint, total=40)
    assert resumed == fresh[10:]


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_keeps_its_moments_and_takes_its_other_settings_from_now(name, encoder):
    old = OptimizerSettings(name)
    new = OptimizerSettings(name, weight_decay=0.2, betas=(0.5, 0.6), eps=1e-5, momentum=0.3)
    _, checkpoint = run(encoder, 1e-4, old, ScheduleSettings(), steps=3)
    state = copy.deepcopy(checkpoint["optimizer_states"][0]["state"])
    retarget(checkpoint, old_lr=1e-4, lr=1e-4, settings=new)
    optimizer = build_optimizer(encoder, 1e-4, new)
    fresh = copy.deepcopy(optimizer.state_dict()["param_groups"])
    optimizer.load_state_dict(checkpoint["optimizer_states"][0])
    restored = optimizer.state_dict()
    for group in (*fresh, *restored["param_groups"]):
        group.pop("lr")
        group.pop("initial_lr", None)
    assert restored["param_groups"] == fresh
    for index, values in state.items():
        for key, value in values.items():
            assert torch.equal(
                torch.as_tensor(restored["state"][index][key]), torch.as_tensor(value)
            )


@pytest.mark.parametrize(
    "changed",
    [
        OptimizerSettings("adam"),
        OptimizerSettings("sgd"),
        OptimizerSettings(layer_decay=0.9),
    ],
)
def test_an_optimizer_state_of_other_groups_is_refused(changed, encoder):
    state = build_optimizer(encoder, 1e-4, OptimizerSettings()).state_dict()
    with pytest.raises(ConfigError, match="have to stay as they were when a run is resumed"):
        build_optimizer(encoder, 1e-4, changed).load_state_dict(state)


def test_an_optimizer_state_of_other_trained_layers_is_refused(encoder):
    state = build_optimizer(encoder, 1e-4, OptimizerSettings()).state_dict()
    LastLayers(1).apply(encoder)
    with pytest.raises(ConfigError, match=r"model\.tuning have to stay"):
        build_optimizer(encoder, 1e-4, OptimizerSettings()).load_state_dict(state)


def test_a_checkpoint_without_an_optimizer_is_left_alone():
    checkpoint = {"state_dict": {}}
    retarget(checkpoint, old_lr=1e-4, lr=1e-3, settings=OptimizerSettings())
    assert checkpoint == {"state_dict": {}}

"""What holds of every objective: radius 0, precision, accumulation, frozen weights, windows."""

from __future__ import annotations

import copy

import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.models.peft import IA3, Adapters, BitFit, DoRA, LoRA, Prefix
from lightning_tune.models.recomputation import recompute_layers
from lightning_tune.training.objectives import (
    FGM,
    PGD,
    SMART,
    FGMRDrop,
    FitContext,
    FreeLB,
    Plain,
    RDrop,
)
from lightning_tune.training.objectives.base import from_spec, spec_of

KINDS = ["binary", "multiclass", "multilabel", "regression"]


def perturbing(radius: float) -> dict:
    """Each objective that perturbs, without randomness where it can be without."""
    return {
        "FGM": FGM(radius),
        "FGM without clean loss": FGM(radius, clean_share=0.0),
        "PGD": PGD(radius, start="zero"),
        "PGD with clean loss": PGD(radius, start="zero", clean_share=0.5),
        "FreeLB": FreeLB(radius, start="zero"),
        "FGMRDrop": FGMRDrop(radius),
        "SMART": SMART(radius, smoothness=20.0),
    }


def every(radius: float) -> dict:
    return perturbing(radius) | {"RDrop": RDrop()}


NAMES = list(every(0.0))
PERTURBING = list(perturbing(0.0))
SHORT = ["FGM", "FGM without clean loss", "PGD", "PGD with clean loss", "FreeLB"]
SEEDED = [name for name in NAMES if name != "SMART"]  # whose start is always random


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_radius_of_0_gives_the_gradients_of_plain(arrange, assert_same, name, kind):
    setting = arrange(kind)
    found = setting.gradients(setting.prepared(every(0.0)[name]))
    expected = setting.gradients(Plain())
    if name in SHORT:  # bit by bit
        assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert_same(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", SHORT)
def test_a_radius_of_0_draws_the_dropout_of_plain(arrange, name):
    setting = arrange(dropout=True)
    found = []
    for objective in (Plain(), every(0.0)[name]):
        torch.manual_seed(1)
        found.append(setting.gradients(objective))
    assert all(torch.equal(found[1][key], value) for key, value in found[0].items())


def test_a_radius_near_0_gives_gradients_near_those_of_plain(arrange, assert_same, family):
    """Through all the arithmetic, in every family of encoders."""
    setting = arrange("binary", family)
    plain = setting.gradients(Plain())
    for objective in every(1e-6).values():
        found = setting.gradients(setting.prepared(objective))
        assert_same(found, plain, rtol=1e-2, atol=2e-4)


@pytest.mark.parametrize("name", PERTURBING)
def test_a_radius_of_use_changes_the_gradients(arrange, name):
    setting = arrange()
    found = setting.gradients(setting.prepared(every(0.7)[name]))
    plain = setting.gradients(Plain())
    key = "encoder.bert.encoder.layer.0.attention.self.value.weight"
    assert (found[key] - plain[key]).norm() > 0.05 * plain[key].norm()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("norm", ["l2", "l2_token", "linf"])
def test_padding_and_special_tokens_are_read_as_they_are(arrange, name, norm):
    setting = arrange()
    objective = every(0.5)[name]
    if name != "RDrop":
        objective.norm = norm
    setting.prepared(objective)
    moved = watch_embeddings(setting)
    objective(setting.classifier, setting.batch, setting.loss)
    text = setting.batch["input_ids"] > 3
    assert moved
    for delta in moved:
        assert delta[~text].eq(0).all()
    assert any(delta[text].ne(0).any() for delta in moved) == (name != "RDrop")


def watch_embeddings(setting) -> list[torch.Tensor]:
    """Return a list that receives how far from the table each embedding is that is read."""
    moved: list[torch.Tensor] = []
    words = setting.classifier.embed(setting.batch).detach()

    def see(module, arguments):
        if len(arguments) > 1:
            moved.append((arguments[1].detach() - words).norm(dim=2))

    setting.classifier.register_forward_pre_hook(see)
    return moved


@pytest.mark.parametrize("name", NAMES)
def test_without_a_trainer_the_config_tells_the_special_tokens(arrange, name):
    setting = arrange()
    moved = watch_embeddings(setting)
    every(0.5)[name](setting.classifier, setting.batch, setting.loss)
    special = torch.isin(setting.batch["input_ids"], torch.tensor([0, 2, 3]))
    assert all(delta[special].eq(0).all() for delta in moved)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_backward_pass_leaves_gradients(arrange, name):
    setting = arrange()
    objective = setting.prepared(every(0.5)[name])
    setting.classifier.zero_grad(set_to_none=True)
    value, logits = objective(setting.classifier, setting.batch, setting.loss)
    assert all(each.grad is None for each in setting.classifier.parameters())
    assert not logits.requires_grad
    assert not any(part.requires_grad for part in objective.parts.values())
    value.backward()
    assert all(each.grad is not None for each in setting.classifier.parameters())


@pytest.mark.parametrize("name", SEEDED)
def test_accumulated_halves_are_the_whole_batch(arrange, assert_same, name):
    setting = arrange()
    objective = setting.prepared(every(0.5)[name])
    expected = setting.gradients(objective)
    whole = setting.batch
    parts = []
    for rows in (slice(0, 2), slice(2, 4)):
        setting.batch = {key: value[rows] for key, value in whole.items()}
        value, _ = objective(setting.classifier, setting.batch, setting.loss)
        parts.append(setting.gradients_of(value / 2))
    halves = {key: parts[0][key] + parts[1][key] for key in expected}
    assert_same(halves, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", SEEDED)
def test_bf16_gives_the_gradients_of_fp32_but_for_rounding(arrange, name):
    setting = arrange()
    objective = setting.prepared(every(0.5)[name])
    expected = flat(setting.gradients(objective))
    with torch.autocast("cpu", torch.bfloat16):
        value, logits = objective(setting.classifier, setting.batch, setting.loss)
    found = setting.gradients_of(value)
    assert logits.dtype == torch.float32
    assert all(value.dtype == torch.float32 for value in found.values())
    cosine = torch.nn.functional.cosine_similarity(flat(found), expected, dim=0)
    assert cosine > 0.99
    assert flat(found).norm().item() == pytest.approx(expected.norm().item(), rel=0.05)


def flat(gradients: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.flatten() for value in gradients.values()])


@pytest.mark.parametrize("name", SEEDED)
def test_a_scaled_loss_has_scaled_gradients(arrange, assert_same, name):
    """As in fp16 training: what the objective differentiates itself is scaled as well."""
    setting = arrange()
    expected = setting.gradients(setting.prepared(every(0.5)[name]))
    objective = every(0.5)[name]
    seen = []

    def scale(loss: torch.Tensor) -> torch.Tensor:
        seen.append(loss)
        return loss * 4096.0

    objective.prepare(FitContext(setting.classifier, special_ids=[0, 2, 3], scale=scale))
    value, _ = objective(setting.classifier, setting.batch, setting.loss)
    found = setting.gradients_of(value * 4096.0)
    unscaled = {key: each / 4096.0 for key, each in found.items()}
    assert_same(unscaled, expected, rtol=1e-3, atol=1e-5)
    assert (len(seen) > 0) == (name != "RDrop")


@pytest.mark.parametrize("name", SEEDED)
def test_fp16_with_torchs_own_scaler_moves_weights_like_fp32(arrange, name):
    setting = arrange("binary")
    moves = []
    for half in (False, True):
        model = copy.deepcopy(setting.classifier)
        moves.append(one_step(setting, model, every(0.5)[name], half=half))
    cosine = torch.nn.functional.cosine_similarity(*moves, dim=0)
    assert cosine > 0.99


def one_step(setting, model, objective, *, half: bool) -> torch.Tensor:
    """The move of all weights in one step of SGD."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12, enabled=half)
    objective.prepare(FitContext(model, special_ids=[0, 2, 3], scale=scaler.scale))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [each.detach().clone() for each in model.parameters()]
    with torch.autocast("cpu", torch.float16, enabled=half):
        value, _ = objective(model, setting.batch, setting.loss)
    scaler.scale(value).backward()
    scaler.step(optimizer)
    scaler.update()
    after = model.parameters()
    return torch.cat(
        [(new.detach() - old).flatten() for new, old in zip(after, before, strict=True)]
    )


@pytest.mark.parametrize("name", ["FGM", "FreeLB"])
def test_an_overflow_in_a_pass_of_the_objectives_own_skips_the_step(arrange, name):
    """The scaler sees it, though the returned loss is finite, and takes a smaller factor."""
    setting = arrange("binary")
    model = setting.classifier
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    inside = lambda loss: scaler.scale(loss) * 2.0**120  # noqa: E731 - only there it overflows
    objective = every(0.5)[name]
    objective.prepare(FitContext(model, special_ids=[0, 2, 3], scale=inside))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = copy.deepcopy(model.state_dict())
    value, _ = objective(model, setting.batch, setting.loss)
    assert value.isfinite()
    scaler.scale(value).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**11
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frozen", ["word_embeddings", "embeddings", "layer.0"])
def test_frozen_weights_stay_and_the_others_are_trained(arrange, name, frozen):
    setting = arrange()
    for key, weight in setting.classifier.named_parameters():
        weight.requires_grad_(frozen not in key)
    found = setting.gradients(setting.prepared(every(0.5)[name]))
    named = dict(setting.classifier.named_parameters())
    assert found.keys() == {key for key, weight in named.items() if frozen not in key}


@pytest.mark.parametrize("name", NAMES)
def test_lora_gets_the_gradients_of_a_radius_near_0_from_plain(arrange, assert_same, name):
    setting = arrange()
    LoRA(rank=2).apply(setting.classifier.encoder)
    with torch.no_grad():
        for key, weight in setting.classifier.named_parameters():
            if "lora_B" in key:
                weight.normal_(std=0.1)
    expected = setting.gradients(Plain())
    assert any("lora" in key for key in expected)
    assert not any("embeddings" in key or "query.base" in key for key in expected)
    found = setting.gradients(setting.prepared(every(1e-6)[name]))
    assert_same(found, expected, rtol=1e-2, atol=2e-4)
    moved = setting.gradients(setting.prepared(every(0.7)[name]))
    assert moved.keys() == expected.keys()


@pytest.mark.parametrize("tuning", [DoRA(rank=2), IA3(), Adapters(), Prefix(3), BitFit()])
def test_every_tuning_gets_the_gradients_of_a_radius_near_0_from_plain(
    arrange, assert_same, tuning
):
    setting = arrange()
    tuning.apply(setting.classifier.encoder)
    plain = setting.gradients(Plain())
    for objective in every(1e-6).values():
        found = setting.gradients(setting.prepared(objective))
        assert_same(found, plain, rtol=1e-2, atol=2e-4)


@pytest.mark.parametrize("name", NAMES)
def test_long_texts_in_windows_have_one_answer_and_every_window_moves(arrange, name):
    setting = arrange()
    setting.batch["window_of"] = torch.tensor([0, 0, 1, 2])
    setting.batch["labels"] = torch.tensor([0, 1, 2])
    moved = watch_embeddings(setting)
    objective = setting.prepared(every(0.5)[name])
    value, logits = objective(setting.classifier, setting.batch, setting.loss)
    assert logits.shape == (3, 3)
    assert value.isfinite()
    if name != "RDrop":
        assert any(all(row.ne(0).any() for row in delta) for delta in moved)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_weight_0_do_not_matter(arrange, assert_same, name):
    setting = arrange()
    setting.batch["weights"] = torch.tensor([1.0, 2.0, 0.0, 0.0])
    objective = setting.prepared(every(0.5)[name])
    found = []
    for labels in ([0, 1, 2, 1], [0, 1, 0, 0]):
        setting.batch["labels"] = torch.tensor(labels)
        torch.manual_seed(0)
        found.append(setting.gradients(objective))
    assert_same(*found, rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable.*:FutureWarning")
@pytest.mark.parametrize("name", NAMES)
def test_recomputed_layers_change_nothing(arrange, assert_same, name):
    setting = arrange()
    objective = setting.prepared(every(0.5)[name])
    torch.manual_seed(0)
    expected = setting.gradients(objective)
    recompute_layers(setting.classifier.encoder.train())  # only then they are
    torch.manual_seed(0)
    assert_same(setting.gradients(objective), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_settings_survive_as_plain_values(arrange, name, tmp_path):
    objective = arrange().prepared(every(0.25)[name])
    torch.save(spec_of(objective), tmp_path / "spec.pt")
    again = from_spec(torch.load(tmp_path / "spec.pt", weights_only=True))
    assert type(again) is type(objective)
    assert again == objective


@pytest.mark.parametrize("name", NAMES)
def test_an_encoder_without_word_embeddings_is_refused(arrange, monkeypatch, name):
    setting = arrange()
    every(0.5)[name].check(setting.classifier)
    monkeypatch.setattr(setting.classifier.encoder, "get_input_embeddings", lambda: None)
    with pytest.raises(ConfigError, match=r"works on word embeddings, .* bert\); use another"):
        every(0.5)[name].check(setting.classifier)


@pytest.mark.parametrize("name", PERTURBING)
def test_the_radius_is_kept_over_a_fit_and_measured_anew_in_the_next(arrange, name):
    setting = arrange()
    objective = setting.prepared(every(0.5)[name])
    before = objective.state_dict()["unit"]
    with torch.no_grad():
        setting.classifier.encoder.get_input_embeddings().weight.mul_(3)
    assert objective.state_dict()["unit"] == before
    setting.prepared(objective)
    assert objective.state_dict()["unit"] == pytest.approx(3 * before)
    objective.load_state_dict({"unit": before})
    assert objective.state_dict()["unit"] == before

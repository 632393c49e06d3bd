"""The prefix against attention written out by hand, and against the peft library's own."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.models.peft import Prefix

TAKING = ["bert", "roberta", "xlm-roberta", "electra"]


def some_batch(length=9):
    ids = torch.randint(5, 300, (2, length), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    return ids, mask


def attend(layer, x, mask):
    """Attention with two heads of 8, keys and values behind those of the prefix."""

    def heads(values):
        return values.view(*values.shape[:-1], 2, 8).transpose(-3, -2)

    query, key, value = (heads(part(x)) for part in (layer.query, layer.key, layer.value))
    prefix_key, prefix_value = (heads(part).expand(2, -1, -1, -1) for part in layer.prefix)
    scores = query @ torch.cat([prefix_key, key], 2).transpose(-2, -1) / math.sqrt(8)
    seen = torch.cat([torch.ones(2, layer.prefix.shape[1]), mask.float()], 1)[:, None, None]
    weights = scores.masked_fill(seen == 0, -math.inf).softmax(-1)
    return (weights @ torch.cat([prefix_value, value], 2)).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_every_token_attends_to_the_prefix_and_to_no_padding(attention, build):
    model = build("bert", Prefix(tokens=3, std=1.0)).eval()
    model.set_attn_implementation(attention)
    layer = model.bert.encoder.layer[0].attention.self
    seen = []
    layer.register_forward_hook(lambda module, args, output: seen.append((args[0], output[0])))
    ids, mask = some_batch()
    model(input_ids=ids, attention_mask=mask)
    ((x, found),) = seen
    kept = mask.bool()
    torch.testing.assert_close(found[kept], attend(layer, x, mask)[kept])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", TAKING)
def test_padding_changes_no_answer(family, attention, build):
    model = build(family, Prefix(tokens=3, std=1.0)).eval()
    model.set_attn_implementation(attention)
    ids, mask = some_batch()
    with torch.no_grad():
        together = model(input_ids=ids, attention_mask=mask).logits[1]
        alone = model(input_ids=ids[1:, :5]).logits[0]
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("family", TAKING)
def test_the_prefix_moves_the_answer(family, build):
    ids, _ = some_batch()
    model = build(family, Prefix(tokens=3, std=1.0)).eval()
    with torch.no_grad():
        moved = model(input_ids=ids).logits
        for name, weight in model.named_parameters():
            if name.endswith("prefix"):
                weight.mul_(2)
        assert (model(input_ids=ids).logits - moved).abs().max() > 1e-5


def test_a_text_of_all_positions_still_fits(build):
    model = build("bert", Prefix(tokens=20)).eval()
    assert model(input_ids=torch.full((1, 64), 7)).logits.isfinite().all()


@pytest.mark.parametrize("family", ["bert", "electra"])
def test_it_is_the_peft_librarys_but_for_the_positions_that_the_library_takes(family, build):
    import peft

    ours = build(family, Prefix(tokens=3, std=1.0)).eval()
    config = peft.PrefixTuningConfig(
        task_type="SEQ_CLS", num_virtual_tokens=3, token_dim=16, num_layers=2, num_attention_heads=2
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peft.get_peft_model(build(family), config).eval()
        with torch.no_grad():
            layers = [layer.attention.self.prefix for layer in ours.base_model.encoder.layer]
            stacked = torch.stack([part for prefix in layers for part in prefix], dim=1)
            theirs.prompt_encoder["default"].embedding.weight.copy_(stacked.flatten(1))
            ids, _ = some_batch()
            ones, later = torch.ones_like(ids), torch.arange(3, 12).expand(2, -1)
            expected = theirs(input_ids=ids, attention_mask=ones).logits
            found = ours(input_ids=ids, attention_mask=ones, position_ids=later).logits
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("settings", "name"), [({"tokens": 0}, "tokens"), ({"std": -1}, "std")])
def test_settings_outside_their_range_are_refused(settings, name):
    with pytest.raises(ConfigError, match=rf"tuning\.{name}=.* is below"):
        Prefix(**settings)

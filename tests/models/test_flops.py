"""The operations of training, by hand and as torch counts them while it computes."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForSequenceClassification

from lightning_tune.models.flops import TrainingFlops, training_flops
from lightning_tune.models.peft import IA3, Adapters, BitFit, Full, LastLayers, LoRA

SEQUENCES, LENGTH, LABELS = 3, 10, 2
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "max_position_embeddings": 66,
    "vocab_size": 60,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "num_labels": LABELS,
}
DISTILBERT = {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 40}
WITH_HEAD_OF_TWO = ("bert", "roberta", "distilbert", "mpnet")


def make(family: str, **settings):
    own = DISTILBERT if family == "distilbert" else {}
    config = AutoConfig.for_model(family, **SMALL | own | settings)
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    return model.train()


def on_meta(**shape):
    """A BERT of some shape whose weights take no memory."""
    with torch.device("meta"):
        return make("bert", **{"bos_token_id": None, "eos_token_id": None} | shape)


def measured(model) -> int:
    """All operations of a forward and a backward pass, the head's among them."""
    ids = torch.full((SEQUENCES, LENGTH), 5)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum().backward()
    return counter.get_total_flops()


def head(*, below: bool) -> int:
    """Operations of a dense layer of the encoder's width and of the outputs above it.

    The dense layer's input needs a gradient where weights below are trained.
    """
    dense, outputs = 16 * 16, 16 * LABELS
    return SEQUENCES * 2 * (dense * (3 if below else 2) + outputs * 3)


def counted(model) -> float:
    return training_flops(model).of(torch.full((SEQUENCES,), LENGTH))


@pytest.mark.parametrize("family", WITH_HEAD_OF_TWO)
@pytest.mark.parametrize(
    "tuning",
    [Full(), LoRA(), LastLayers(layers=1), LastLayers(layers=0), BitFit(), Adapters()],
    ids=lambda tuning: f"{type(tuning).__name__}{getattr(tuning, 'layers', '')}",
)
def test_the_count_is_what_torch_counts_while_it_computes(family, tuning):
    model = make(family)
    tuning.apply(model)
    below = not (isinstance(tuning, LastLayers) and tuning.layers == 0)
    assert counted(model) + head(below=below) == measured(model)


def test_shared_layers_count_as_often_as_they_compute():
    model = make("albert", embedding_size=8, num_hidden_layers=3)
    projection = 6 * SEQUENCES * LENGTH * 8 * 16  # of the embeddings, which are left out
    assert counted(model) + projection + head(below=True) == measured(model)


def test_a_window_bounds_what_a_token_attends_to():
    model = make("modernbert", local_attention=4, cls_token_id=2, sep_token_id=3)
    kinds = model.config.layer_types
    assert set(kinds) == {"full_attention", "sliding_attention"}
    beyond = 12 * 16 * SEQUENCES * LENGTH * (LENGTH - 4)  # torch computes it, and masks it
    sliding = kinds.count("sliding_attention")
    assert counted(model) + sliding * beyond + head(below=True) == measured(model)


def test_ia3_counts_a_gradient_too_many_in_one_layer_at_most():
    model = make("bert")
    IA3().apply(model)
    of_the_lowest_query = 2 * 16 * SEQUENCES * LENGTH**2
    found = counted(model) + head(below=True) - measured(model)
    assert 0 <= found <= 2 * of_the_lowest_query


def test_relative_positions_are_no_tokens():
    settings = {"pos_att_type": ["p2c", "c2p"], "relative_attention": True, "type_vocab_size": 0}
    plain = make("deberta-v2", **settings, share_att_key=True)
    own = make("deberta-v2", **settings, share_att_key=False)  # projections of positions alone
    assert training_flops(own) == training_flops(plain)
    # Four projections, the feed-forward block and attention of each of three layers.
    assert training_flops(plain) == TrainingFlops(3 * 6 * (4 * 256 + 2 * 640), 3 * 12 * 16)


def test_minilm_by_hand():
    minilm = on_meta(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    found = training_flops(minilm)
    assert found.per_token == 6 * 6 * (4 * 384 * 384 + 2 * 384 * 1536) == 63_700_992
    assert found.per_pair == 12 * 6 * 384
    lengths = torch.tensor([25, 5])
    by_hand = 63_700_992 * 30 + 12 * 6 * 384 * (25 * 25 + 5 * 5)
    assert found.of(lengths) == by_hand


def test_bert_tiny_by_hand():
    tiny = on_meta(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512
    )
    assert training_flops(tiny) == TrainingFlops(2_359_296, 3072)


def test_an_encoder_of_another_kind_counts_its_linear_layers_only():
    model = make("bert")
    for layer in model.bert.encoder.layer:
        layer.attention.output.other = layer.attention.output.dense
        del layer.attention.output.dense
    found = training_flops(model)
    assert found.per_pair == 0
    assert found.per_token == 3 * 6 * (4 * 256 + 2 * 640)

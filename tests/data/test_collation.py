import numpy as np
import pytest
import torch

from lightning_tune.data.collation import CollateSettings, InMemoryRows, collate
from lightning_tune.serving.encoding import EncodingSettings, TextEncoder

TEXTS = ["the book", "a film about a film", "money", "x"]


def settings(**changes) -> CollateSettings:
    usual = {
        "pad_id": 0,
        "with_types": True,
        "with_windows": False,
        "pad_multiple": 1,
        "max_length": 16,
    }
    return CollateSettings(**{**usual, **changes})


@pytest.mark.parametrize("pairs", [None, ["x y", "z", "the city of the year", "a"]])
def test_a_batch_is_what_transformers_pads(make_store, tiny_tokenizer, pairs):
    from transformers import PreTrainedTokenizerFast

    reference = PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer, pad_token="[PAD]")
    rows = np.array([2, 0, 1])
    expected = reference(
        [TEXTS[row] for row in rows],
        pairs and [pairs[row] for row in rows],
        padding=True,
        return_token_type_ids=True,
        return_tensors="pt",
    )
    batch = collate(make_store(TEXTS, pairs=pairs), rows, settings(), None)
    assert batch["index"].tolist() == rows.tolist()
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert torch.equal(batch[name], expected[name])
        assert batch[name].dtype == torch.int64


def test_only_what_is_wanted_and_known_is_in_a_batch(make_store):
    batch = collate(make_store(TEXTS), np.array([0]), settings(with_types=False), None)
    assert set(batch) == {"input_ids", "attention_mask", "index"}


def test_padding_uses_the_tokenizers_own_id(make_store):
    batch = collate(make_store(TEXTS), np.array([0, 1]), settings(pad_id=77), None)
    assert (batch["input_ids"] == 77).equal(batch["attention_mask"] == 0)


@pytest.mark.parametrize(("multiple", "width"), [(1, 7), (8, 8), (16, 16), (32, 16)])
def test_the_width_is_a_multiple_up_to_max_length(make_store, multiple, width):
    batch = collate(make_store(TEXTS), np.array([0, 1]), settings(pad_multiple=multiple), None)
    assert batch["input_ids"].shape == (2, width)


@pytest.mark.parametrize(
    ("targets", "dtype"),
    [
        (np.array([1, 0]), torch.int64),
        (np.array([[1, 0, 1], [0, 0, 0]], np.float32), torch.float32),
        (np.array([0.5, 2.5], np.float32), torch.float32),
    ],
)
def test_labels_are_the_targets_of_their_codes(make_store, targets, dtype):
    store = make_store(TEXTS, ["p", "q", "p", "q"])
    batch = collate(store, np.array([3, 0]), settings(), targets)
    assert batch["labels"].dtype == dtype
    assert batch["labels"].tolist() == targets[[1, 0]].tolist()


def test_weights_come_with_their_rows(make_store):
    store = make_store(TEXTS, weights=[1.0, 2.0, 0.0, 4.0])
    batch = collate(store, np.array([3, 1]), settings(), None)
    assert batch["weights"].tolist() == [4.0, 2.0]
    assert batch["weights"].dtype == torch.float32


def test_windows_tell_to_which_example_they_belong(make_store):
    encoding = EncodingSettings(6, "windows", stride=0, max_windows=3)
    store = make_store(["book", "film " * 9, "a city"], settings=encoding)
    batch = collate(store, np.array([2, 1, 0]), settings(with_windows=True), None)
    assert batch["window_of"].tolist() == [0, 1, 1, 1, 2]
    assert batch["input_ids"].shape == (5, 6)
    assert batch["attention_mask"].sum(1).tolist() == [4, 6, 6, 3, 3]
    sequences = [ids for row in (2, 1, 0) for ids in store.sequences(row)]
    for found, ids in zip(batch["input_ids"], sequences, strict=True):
        assert found[: len(ids)].tolist() == ids.tolist()


def test_rows_in_memory_make_the_same_batch_as_stored_ones(make_store, tiny_tokenizer):
    pairs = ["x y", "z", "the city", "a"]
    encoder = TextEncoder(tiny_tokenizer, EncodingSettings(16), with_types=True)
    rows = InMemoryRows.of(encoder.encode(TEXTS, pairs))
    store = make_store(TEXTS, pairs=pairs)
    assert rows.longest.tolist() == store.longest.tolist()
    order = np.array([1, 3, 0])
    found, expected = (collate(each, order, settings(), None) for each in (rows, store))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)

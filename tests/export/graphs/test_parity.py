"""The comparison of graphs with the classifier finds what differs."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_tune.errors import GateError
from lightning_tune_export.contenders import onnx_runner, onnx_session, torch_runner
from lightning_tune_export.parity import SPARE, check_parity, companies, random_sequences


def test_every_text_is_asked_alone_and_in_companies_of_each_size():
    asked = list(companies(10))
    sizes = [len(places) for places, _ in asked]
    assert sizes == [1] * 10 + [2] * 5 + [7, 3] + [10]
    assert sorted(np.concatenate([places for places, _ in asked[10:15]])) == list(range(10))
    assert {spare for _, spare in asked} == set(SPARE)


def test_texts_are_of_all_lengths_within_the_positions(bert):
    texts = random_sequences(bert, 300, longest=500, with_types=True)
    lengths = [len(text.ids) for text in texts]
    assert (min(lengths), max(lengths)) == (1, 64)
    assert {int(value) for text in texts for value in text.types} == {0, 1}
    assert all((text.ids != 0).all() for text in texts)


def test_a_graph_that_ignores_the_mask_is_found(bert, fused):
    run = onnx_runner(onnx_session(fused, threads=1))

    def careless(batch):
        return run(batch | {"attention_mask": np.ones_like(batch["attention_mask"])})

    texts = random_sequences(bert, 12, longest=20, with_types=True)
    assert check_parity(run, bert, texts, with_types=True).require("it").difference < 1e-4
    with pytest.raises(GateError, match="does not answer as the checkpoint does"):
        check_parity(careless, bert, texts, with_types=True).require("it")


def test_swapped_inputs_are_found(bert, fused):
    run = onnx_runner(onnx_session(fused, threads=1))

    def swapped(batch):
        mask, types = batch["attention_mask"], batch["token_type_ids"]
        return run(batch | {"attention_mask": types, "token_type_ids": mask})

    texts = random_sequences(bert, 12, longest=20, with_types=True)
    assert check_parity(swapped, bert, texts, with_types=True).difference > 1e-2


def test_pytorch_itself_passes(bert):
    texts = random_sequences(bert, 12, longest=20, with_types=True)
    found = check_parity(torch_runner(bert, "float32"), bert, texts, with_types=True)
    assert (found.flips, found.answers, found.texts) == (0, 48, 12)
    assert found.difference < 1e-5

"""Answers of all batches and ranks: each row once, in the order of the rows."""

from __future__ import annotations

import torch

from lightning_tune.training.callbacks.gathering import Answers


def part(*rows: int, labels: bool = True) -> dict[str, torch.Tensor]:
    index = torch.tensor(rows)
    answer = {"logits": index.float().unsqueeze(1) * 10, "index": index}
    return answer | ({"labels": index % 2} if labels else {})


def test_rows_come_back_in_their_order():
    answers = Answers()
    answers.add(part(3, 0))
    answers.add(part(2, 1))
    found = answers.collect()
    assert found["index"].tolist() == [0, 1, 2, 3]
    assert found["logits"].tolist() == [[0.0], [10.0], [20.0], [30.0]]
    assert found["labels"].tolist() == [0, 1, 0, 1]


def test_a_row_that_stands_twice_is_kept_once():
    answers = Answers()
    answers.add(part(1, 0))
    answers.add(part(1))
    assert answers.collect()["index"].tolist() == [0, 1]


def test_labels_are_optional():
    answers = Answers()
    answers.add(part(0, labels=False))
    assert set(answers.collect()) == {"logits", "index"}


def test_collecting_starts_afresh():
    answers = Answers()
    assert answers.collect() is None
    answers.add(part(0))
    assert answers.collect() is not None
    assert answers.collect() is None


def test_what_is_kept_has_no_gradient():
    answers = Answers()
    answers.add({"logits": torch.ones(1, 1, requires_grad=True), "index": torch.tensor([0])})
    assert not answers.collect()["logits"].requires_grad


def test_the_rows_of_all_ranks_are_joined(monkeypatch):
    """Two ranks, of which the other wrapped round to row 0, as an uneven split makes it."""

    def from_all(found, own):
        found[:] = [own, [part(1), part(0)]]

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_gather_object", from_all)
    answers = Answers()
    answers.add(part(2, 0))
    assert answers.collect()["index"].tolist() == [0, 1, 2]


def test_a_rank_without_rows_still_takes_part(monkeypatch):
    def from_all(found, own):
        assert own == []
        found[:] = [own, [part(0)]]

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_gather_object", from_all)
    assert Answers().collect()["index"].tolist() == [0]

"""Contenders are timed in turns, without their first calls."""

from __future__ import annotations

import time

import pytest

from lightning_tune_export import measure as measuring
from lightning_tune_export.measure import Effort, equal_length, measure


def test_contenders_take_turns_and_each_begins_as_often_as_the_others(monkeypatch):
    monkeypatch.setattr(measuring, "SETTLE", 0.0)
    calls = []
    contenders = {name: lambda batch, name=name: calls.append(name) for name in "ab"}
    found = measure(contenders, {"one": {}}, effort=Effort(rounds=2, seconds=0))
    assert calls == list("aabb" + "bbaa")  # each turn: a call that is thrown away, and one more
    assert [found[name]["one"].calls for name in "ab"] == [2, 2]


def test_what_the_contender_before_still_costs_does_not_count():
    until = 0.0

    def spinning(batch):  # keeps a thread busy for 15 ms after its last call
        nonlocal until
        until = time.perf_counter() + 0.015

    def disturbed(batch):
        time.sleep(0.004 if time.perf_counter() < until else 0.001)

    contenders = {"spinning": spinning, "disturbed": disturbed}
    found = measure(contenders, {"one": {}}, effort=Effort(rounds=3, seconds=0.01))
    assert found["disturbed"]["one"].best >= 1
    assert found["disturbed"]["one"].p50 < 3


def test_milliseconds_are_those_of_a_call():
    found = measure({"sleeps": lambda batch: time.sleep(0.02)}, {"one": {}}, effort=Effort(3, 0.05))
    latency = found["sleeps"]["one"]
    assert latency.best == pytest.approx(20, abs=5)
    assert latency.best <= latency.p50 <= latency.p95


def test_texts_of_one_length_have_no_padding():
    batch = equal_length(3, 5, with_types=True, vocabulary=7)
    assert {name: values.shape for name, values in batch.items()} == dict.fromkeys(batch, (3, 5))
    assert batch["attention_mask"].all()
    assert batch["input_ids"].max() < 7
    assert "token_type_ids" not in equal_length(3, 5, with_types=False)

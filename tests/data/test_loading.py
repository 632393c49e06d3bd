"""A loader goes on in the middle of an epoch, with and without workers that fetch ahead."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from torch.utils.data import Dataset, SequentialSampler

from lightning_tune.data import loading
from lightning_tune.data.batching import BatchSettings, BucketSampler
from lightning_tune.data.loading import ResumableLoader, outlive_signals


class Rows(Dataset[Any]):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: Any) -> Any:
        return index


def make(workers: int = 0) -> ResumableLoader:
    sampler = BucketSampler(range(1, 41), settings=BatchSettings(4), shuffle=True, seed=3)
    return ResumableLoader(Rows(), sampler=sampler, batch_size=None, num_workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_goes_on_after_what_was_given_out(workers):
    whole = list(make())
    first = make(workers)
    given = iter(first)
    for _ in range(3):
        next(given)
    state = first.state_dict()
    assert state == {"epoch": 0, "batches": 3}
    resumed = make(workers)
    resumed.load_state_dict(state)
    assert list(resumed) == whole[3:]
    assert resumed.state_dict()["batches"] == 10
    assert len(resumed) == 10


def test_an_iterator_made_before_the_position_was_known_still_goes_on_there():
    loader = make()
    early = iter(loader)
    loader.load_state_dict({"epoch": 0, "batches": 9})
    assert len(list(early)) == 1


def test_the_next_epoch_is_whole():
    loader = make()
    loader.load_state_dict({"epoch": 0, "batches": 9})
    assert len(list(loader)) == 1
    loader.sampler.set_epoch(1)
    assert len(list(loader)) == 10


def test_another_sampler_starts_at_the_beginning():
    rows = Rows()
    loader = ResumableLoader(rows, sampler=SequentialSampler(rows), batch_size=4)
    loader.load_state_dict({"epoch": 0, "batches": 9})
    assert len(list(loader)) == 10


def test_a_worker_outlives_the_signals_of_its_group_for_a_while(monkeypatch):
    alarms: list[int] = []
    monkeypatch.setattr(loading.signal, "alarm", alarms.append)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    wakeup = signal.set_wakeup_fd(-1)
    try:
        outlive_signals(0)
        signal.raise_signal(signal.SIGINT)
        assert alarms == []
        signal.raise_signal(signal.SIGTERM)
        assert alarms == [30]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)

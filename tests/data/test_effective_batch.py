"""data.effective_batch: what it makes a trainer accumulate, and what it refuses."""

from __future__ import annotations

import pytest

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.data.effective_batch import batches_a_step, nearest_batches_a_step
from lightning_tune.errors import ConfigError


@pytest.mark.parametrize(
    ("effective", "size", "ranks", "batches"),
    [(128, 32, 1, 4), (128, 32, 2, 2), (128, 32, 4, 1), (32, 32, 1, 1), (96, 8, 3, 4)],
)
def test_examples_of_a_step_are_as_stated_whatever_the_devices(effective, size, ranks, batches):
    assert batches_a_step(effective, size, ranks) == batches
    assert batches * size * ranks == effective


@pytest.mark.parametrize(
    ("effective", "size", "ranks", "message"),
    [
        (
            100,
            32,
            1,
            "data.effective_batch=100 is no multiple of the 32 examples that data.batch_size=32 "
            "makes on one device; the nearest is 96 or 128, or change data.batch_size.",
        ),
        (
            96,
            32,
            2,
            "data.effective_batch=96 is no multiple of the 64 examples that data.batch_size=32 "
            "makes on 2 devices; the nearest is 64 or 128, or change data.batch_size.",
        ),
        (
            16,
            32,
            1,
            "data.effective_batch=16 is no multiple of the 32 examples that data.batch_size=32 "
            "makes on one device; the nearest is 32, or change data.batch_size.",
        ),
    ],
)
def test_what_does_not_divide_is_told_with_the_nearest(effective, size, ranks, message):
    with pytest.raises(ConfigError) as caught:
        batches_a_step(effective, size, ranks)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("effective", "examples", "batches", "nearest"),
    [(128, 1000, 20, 3), (100, 1000, 20, 2), (10, 1000, 20, 1), (128, 0, 0, 1)],
)
def test_where_batches_differ_the_nearest_number_is_taken(effective, examples, batches, nearest):
    assert nearest_batches_a_step(effective, examples, batches) == nearest


def test_less_than_one_example_is_refused():
    with pytest.raises(ConfigError, match=r"effective_batch=0 must be at least 1; raise data\."):
        TextDataModule("train.csv", effective_batch=0)


class Trainer:
    def __init__(self, accumulated: int, ranks: int) -> None:
        self.accumulate_grad_batches = accumulated
        self.world_size = ranks


def test_the_trainer_takes_the_number():
    trainer = Trainer(1, 2)
    TextDataModule("train.csv", batch_size=16, effective_batch=128).accumulate(trainer)
    assert trainer.accumulate_grad_batches == 4


def test_a_trainer_that_was_told_the_same_is_fine_and_another_number_is_not():
    data = TextDataModule("train.csv", batch_size=16, effective_batch=64)
    data.accumulate(Trainer(4, 1))
    with pytest.raises(ConfigError) as caught:
        data.accumulate(Trainer(3, 1))
    assert str(caught.value) == (
        "trainer.accumulate_grad_batches=3 contradicts data.effective_batch=64, which takes 4; "
        "leave one of them out."
    )


def test_without_it_the_trainer_keeps_its_own():
    trainer = Trainer(7, 1)
    TextDataModule("train.csv").accumulate(trainer)
    assert trainer.accumulate_grad_batches == 7


def test_batches_that_were_to_be_found_are_not_made_before():
    data = TextDataModule("train.csv", batch_tokens="auto")
    with pytest.raises(ConfigError, match="found before training, by the callback FindBatch"):
        data.train_dataloader()

import csv
from collections import Counter
from itertools import chain

import numpy as np
import pytest
from tokenizers import Tokenizer
from torch.utils.data import DistributedSampler

from lightning_tune.data import batching
from lightning_tune.data.batching import BatchSettings, BucketSampler
from lightning_tune.errors import ConfigError
from lightning_tune.serving.encoding import EncodingSettings, TextEncoder


def lengths_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).geometric(0.04, count).clip(3, 128)


def ranks_of(lengths, world: int, epoch: int = 0, **settings) -> list[list[list[int]]]:
    """The batches of every rank."""
    found = []
    for rank in range(world):
        sampler = BucketSampler(lengths, num_replicas=world, rank=rank, **settings)
        sampler.set_epoch(epoch)
        found.append(list(sampler))
        assert len(sampler) == len(found[-1])
    return found


def flat(batches) -> list[int]:
    return sorted(chain.from_iterable(batches))


SETTINGS = [
    BatchSettings(8),
    BatchSettings(32),
    BatchSettings(tokens=300),
    BatchSettings(tokens=64),
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("count", [1, 7, 100, 1003])
@pytest.mark.parametrize("shuffle", [True, False])
def test_one_rank_sees_every_example_once(settings, count, shuffle):
    (batches,) = ranks_of(lengths_of(count), 1, settings=settings, shuffle=shuffle)
    assert flat(batches) == list(range(count))


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("count", "world"), [(100, 2), (1003, 3), (1003, 8), (5, 4), (9, 8)])
def test_ranks_share_the_training_examples_evenly(settings, count, world):
    ranks = ranks_of(lengths_of(count), world, epoch=2, settings=settings, shuffle=True)
    assert len({len(batches) for batches in ranks}) == 1
    assert flat(chain(*ranks)) == list(range(count))


def test_with_fewer_examples_than_ranks_some_are_repeated():
    ranks = ranks_of(lengths_of(3), 8, settings=BatchSettings(8), shuffle=True)
    assert [len(batches) for batches in ranks] == [1] * 8
    assert set(Counter(flat(chain(*ranks))).values()) == {2, 3}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("count", "world"), [(100, 2), (1003, 3), (2, 4), (9, 8)])
def test_ranks_partition_the_evaluation_examples(settings, count, world):
    ranks = ranks_of(lengths_of(count), world, settings=settings, shuffle=False)
    assert flat(chain(*ranks)) == list(range(count))
    if count >= world:
        assert len({len(batches) for batches in ranks}) == 1


def test_fixed_batches_have_the_size_but_for_one():
    (batches,) = ranks_of(lengths_of(1003), 1, settings=BatchSettings(32), shuffle=True)
    assert sorted(map(len, batches)) == [1003 % 32] + [32] * 31


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_token_budget_holds_with_padding_and_windows(shuffle):
    lengths = lengths_of(2000)
    sequences = np.random.default_rng(1).integers(1, 5, 2000)
    sampler = BucketSampler(lengths, sequences, settings=BatchSettings(tokens=700), shuffle=shuffle)
    for batch in sampler:
        tokens = lengths[batch].max() * sequences[batch].sum()
        assert tokens <= 700 or len(batch) == 1
    used = sum(lengths[batch].max() * sequences[batch].sum() for batch in sampler)
    assert used / len(sampler) > 0.85 * 700


@pytest.mark.parametrize("settings", [BatchSettings(4), BatchSettings(tokens=60)])
def test_the_number_of_batches_is_the_same_in_every_epoch(settings):
    lengths = lengths_of(12_000)
    sampler = BucketSampler(lengths, settings=settings, shuffle=True, num_replicas=2, rank=1)
    counts = set()
    for epoch in range(4):
        sampler.set_epoch(epoch)
        counts |= {len(sampler), len(list(sampler))}
    assert len(counts) == 1


def test_megabatches_that_need_too_many_batches_are_given_up(monkeypatch):
    monkeypatch.setattr(batching, "_MEGABATCH", 1)
    monkeypatch.setattr(batching, "_SPARE", 0)
    lengths = np.exp(np.random.default_rng(0).uniform(0, 7, 500)).astype(int)
    settings = BatchSettings(tokens=2048)
    sampler = BucketSampler(lengths, settings=settings, shuffle=True)
    assert flat(sampler) == list(range(500))
    assert len(sampler) == len(BucketSampler(lengths, settings=settings, shuffle=False))
    assert all(lengths[batch].max() * len(batch) <= 2048 for batch in sampler)


def test_the_order_is_a_function_of_seed_and_epoch():
    def plan(seed, epoch):
        sampler = BucketSampler(
            lengths_of(500), settings=BatchSettings(16), shuffle=True, seed=seed
        )
        sampler.set_epoch(epoch)
        return list(sampler)

    assert plan(1, 0) == plan(1, 0)
    assert plan(1, 0) != plan(1, 1)
    assert plan(1, 0) != plan(2, 0)
    composed = [{frozenset(batch) for batch in plan(1, epoch)} for epoch in (0, 1)]
    assert composed[0] != composed[1]


def test_evaluation_starts_with_the_longest():
    lengths = lengths_of(300)
    sampler = BucketSampler(lengths, settings=BatchSettings(16), shuffle=False)
    longest = [int(lengths[batch].max()) for batch in sampler]
    assert longest == sorted(longest, reverse=True)
    before = list(sampler)
    sampler.set_epoch(3)
    assert list(sampler) == before


def test_ranks_get_equally_long_batches_in_a_step():
    lengths = lengths_of(6400)
    first, second = ranks_of(lengths, 2, settings=BatchSettings(32), shuffle=True)
    gaps = [
        abs(int(lengths[a].max()) - int(lengths[b].max()))
        for a, b in zip(first, second, strict=True)
    ]
    assert np.mean(gaps) < 2


def test_a_resumed_epoch_leaves_out_what_was_seen():
    sampler = BucketSampler(lengths_of(100), settings=BatchSettings(8), shuffle=True)
    whole = list(sampler)
    sampler.leave_out(0, 5)
    assert list(sampler) == whole[5:]
    assert len(sampler) == len(whole)
    sampler.set_epoch(1)
    assert len(list(sampler)) == len(whole)


def test_lightning_leaves_the_sampler_alone():
    sampler = BucketSampler([1, 2], settings=BatchSettings(8), shuffle=True)
    assert isinstance(sampler, DistributedSampler)


@pytest.mark.parametrize("settings", [{"size": 0}, {"tokens": 0}])
def test_batches_need_room(settings):
    with pytest.raises(ConfigError, match=r"=0 must be at least 1; raise data\.batch_"):
        BatchSettings(**settings)


def padding_share(texts: list[str], tokenizer: Tokenizer, epoch: int) -> float:
    encoder = TextEncoder(tokenizer, EncodingSettings(128), with_types=False)
    lengths = encoder.encode(texts).lengths
    sampler = BucketSampler(lengths, settings=BatchSettings(32), shuffle=True)
    sampler.set_epoch(epoch)
    slots = sum(int(lengths[batch].max()) * len(batch) for batch in sampler)
    return 1 - int(lengths.sum()) / slots


def test_two_percent_of_the_tokens_are_padding_at_most(shared_data):
    tokenizer = Tokenizer.from_file(
        str(shared_data / "vocab" / "bert-base-uncased" / "tokenizer.json")
    )
    lines = (shared_data / "sst2_sentence" / "train.tsv").read_text("utf-8").splitlines()
    sentences = [line.split("\t")[0] for line in lines]
    with (shared_data / "banking77" / "train.csv").open(newline="", encoding="utf-8") as file:
        messages = [row["text"] for row in csv.DictReader(file)]
    assert padding_share(sentences, tokenizer, epoch=1) <= 0.02
    assert padding_share(messages, tokenizer, epoch=1) <= 0.02

"""The LightningDataModule: from what the user named as data to batches of token ids."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_tune.data.batching import BatchSettings, BucketSampler
from lightning_tune.data.building import build_or_open
from lightning_tune.data.collation import CollateSettings
from lightning_tune.data.effective_batch import batches_a_step, nearest_batches_a_step
from lightning_tune.data.holdout import hold_out
from lightning_tune.data.labels import joins_told, recognise
from lightning_tune.data.loading import WORKER_SECONDS, ResumableLoader, as_arrays, outlive_signals
from lightning_tune.data.prepared import prepared_figures, prepared_task
from lightning_tune.data.sources import companion_splits, open_source
from lightning_tune.data.splits import Batches, TokenizedSplit
from lightning_tune.data.summary import DataSummary, label_counts, summarise
from lightning_tune.data.targets import encode_labels
from lightning_tune.data.tokens import TokenStore
from lightning_tune.errors import ConfigError, DataError
from lightning_tune.models.backbones import LoadedTokenizer, load_tokenizer
from lightning_tune.schema import LabelSet, Split, TaskKind
from lightning_tune.serving.encoding import EncodingSettings, TextEncoder
from lightning_tune.serving.truncation import Truncation
from lightning_tune.tables import Fields, TableFormat
from lightning_tune.tables.caches import cache_folder

SPLITS: tuple[Split, ...] = ("train", "val", "test", "predict")
_SHOWN = 5  # rows or labels in a message
MACHINE = ("labels", "tokenizer", "cache_dir", "num_workers")
"""Settings that are not a checkpoint's to keep or to give."""

log = logging.getLogger(__name__)


class TextDataModule(L.LightningDataModule):
    """Labelled texts, tokenized once into a cache, in batches of nearly equal length.

    A split is a path, a glob, an fsspec URL, `hub:NAME[:CONFIG]`, `builtin:NAME`, a folder that
    `prepare` wrote, or a list of these.

    Args:
        train: The training split.
        val: The validation split; null: the one that comes with train (builtin, hub, prepared),
            else a stratified share of train. Never the test set.
        test: The test split; null: the one that comes with train, if any.
        predict: Texts to answer; labels are optional and not read.
        text: Column of the text.
        text_pair: Column of the second text; null for single texts.
        label: Column of the label.
        weight: Column of the sample weight, at least 0; null: every row weighs 1.
        columns: Names of the columns, where a csv or tsv file has no header line.
        format: How the files are written; the default goes by their extension.
        task: What the labels mean; null: as a prepared folder says, else recognised from train.
        label_separator: What stands between the labels in one string of a multi-label row.
        positive_label: The positive class of a binary task; null: the last by name.
        val_share: Share of train to hold out where there is no validation split, in (0, 1).
        on_bad_rows: Whether a row that cannot be used stops the run or is left out and counted. In
            predict it always yields a row with an error.
        max_length: Most tokens of one sequence, special tokens included.
        truncation: What is kept of longer texts: the end is cut, or head and tail are kept, or the
            text becomes overlapping windows whose answers are pooled.
        window_stride: Tokens that two neighbouring windows share.
        max_windows: Most windows of one text, at least 1.
        batch_size: Examples a batch, at least 1.
        batch_tokens: Most tokens a batch, padding included; null: batches of batch_size examples;
            auto: as many as fit the memory and gain speed, found before training.
        effective_batch: Examples of one optimizer step, over all devices, which decides how many
            batches are accumulated; null: what trainer.accumulate_grad_batches makes of batch_size.
        eval_batch_size: Examples a batch in validation, test and predict; null: as in training.
        num_workers: Processes that collate batches, at least 0; 0 is usually the fastest.
        seed: Decides about the held-out share and the order of batches; null: seed_everything's.
        cache_dir: Where tokens are kept; null: the user's cache folder.
        tokenizer: A hub name, a folder or one of our checkpoints; the command line takes the
            model's backbone.
        labels: The label set, from a checkpoint; null: recognised from train.

    Raises:
        ConfigError: if a setting is out of its range.

    Example:
        >>> dm = TextDataModule("train.csv", tokenizer="bert-base-cased")
        >>> dm.setup()  # doctest: +SKIP
        >>> dm.train_data[7]["text"]  # doctest: +SKIP
    """

    def __init__(
        self,
        train: str | list[str] | None = None,
        val: str | list[str] | None = None,
        test: str | list[str] | None = None,
        predict: str | list[str] | None = None,
        *,
        text: str = "text",
        text_pair: str | None = None,
        label: str = "label",
        weight: str | None = None,
        columns: list[str] | None = None,
        format: TableFormat = TableFormat(),  # noqa: B008  # frozen
        task: TaskKind | None = None,
        label_separator: str | None = None,
        positive_label: str | None = None,
        val_share: float = 0.1,
        on_bad_rows: Literal["refuse", "skip"] = "refuse",
        max_length: int = 128,
        truncation: Truncation = "end",
        window_stride: int = 32,
        max_windows: int = 8,
        batch_size: int = 32,
        batch_tokens: int | Literal["auto"] | None = None,
        effective_batch: int | None = None,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int | None = None,
        cache_dir: str | None = None,
        tokenizer: str | None = None,
        labels: LabelSet | None = None,
    ) -> None:
        super().__init__()
        given = {
            name: value for name, value in locals().items() if name not in ("self", "__class__")
        }
        self._settings: dict[str, Any] = given
        self._specs: dict[Split, str | list[str] | None] = {
            "train": train,
            "val": val,
            "test": test,
            "predict": predict,
        }
        self._fields = Fields(
            text=text,
            text_pair=text_pair,
            label=label,
            weight=weight,
            columns=None if columns is None else tuple(columns),
            label_may_be_empty=task == "multilabel" or label_separator is not None,
        )
        self._encoding = EncodingSettings(max_length, truncation, window_stride, max_windows)
        if effective_batch is not None and effective_batch < 1:
            raise ConfigError(
                f"effective_batch={effective_batch} must be at least 1; raise data.effective_batch."
            )
        self.effective_batch = effective_batch
        self.use_batch_tokens(batch_tokens)
        self.max_length = max_length
        self._label_set = LabelSet.from_dict(labels) if isinstance(labels, Mapping) else labels
        self._stores: dict[Split, TokenStore] = {}
        self._splits: dict[Split, TokenizedSplit] = {}

    def use_batch_tokens(self, tokens: int | Literal["auto"] | None) -> None:
        """Make batches of at most this many tokens from now on; a checkpoint will say so too."""
        self.batch_tokens = self._settings["batch_tokens"] = tokens
        size, evaluating = self._settings["batch_size"], self._settings["eval_batch_size"]
        self._batching = BatchSettings(size, None if tokens == "auto" else tokens)
        self._eval_batching = self._batching if evaluating is None else BatchSettings(evaluating)

    @property
    def train_data(self) -> TokenizedSplit | None:
        """The training split; None before it is set up."""
        return self._splits.get("train")

    @property
    def val_data(self) -> TokenizedSplit | None:
        """The validation split; None before it is set up."""
        return self._splits.get("val")

    @property
    def test_data(self) -> TokenizedSplit | None:
        """The test split; None before it is set up."""
        return self._splits.get("test")

    @property
    def predict_data(self) -> TokenizedSplit | None:
        """The texts to answer; None before they are set up."""
        return self._splits.get("predict")

    @property
    def label_set(self) -> LabelSet:
        """The label set: the one that was given, else what train has.

        Raises:
            DataError: if the labels of train make no label set.
            ConfigError: if there is neither.
        """
        if self._label_set is None:
            self._label_set = self._recognise(self._store("train"))
        return self._label_set

    def class_counts(self) -> tuple[list[int], int]:
        """Return how many training examples have each label, in order, and how many there are."""
        self.setup("fit")
        train = self._splits["train"]
        return list(label_counts(train, self.label_set).values()), len(train)

    def mean_targets(self) -> list[float]:
        """Return the mean target of train by output: shares of the examples, or one number."""
        self.setup("fit")
        train = self._splits["train"]
        if self.label_set.kind != "regression":
            counts, rows = self.class_counts()
            return [count / rows for count in counts]
        return [float(np.asarray(train.targets)[train.label_codes].mean())]

    def summary(self) -> DataSummary:
        """Count the splits that are set up."""
        splits = [self._splits[name] for name in SPLITS if name in self._splits]
        labelled = any(split.targets is not None for split in splits)
        specs = (self._spec(split) for split in SPLITS if split in self._splits)
        prepared = next(filter(None, map(prepared_figures, specs)), None)
        return summarise(splits, self.label_set if labelled else None, prepared)

    def travelling(self) -> dict[str, Any]:
        """Return what a checkpoint holds of the data: tokenizer and settings, as plain values."""
        settings = {name: value for name, value in self._settings.items() if name not in MACHINE}
        settings["format"] = dataclasses.asdict(settings["format"])
        settings["seed"] = self.seed
        return {"tokenizer": self.loaded_tokenizer.to_dict(), "data": settings}

    @cached_property
    def loaded_tokenizer(self) -> LoadedTokenizer:
        """The tokenizer as plain values.

        Raises:
            ConfigError: if none is named, or it cannot be loaded.
        """
        name = self._settings["tokenizer"]
        if name is None:
            raise ConfigError(
                "data.tokenizer is missing; name a hub model, a folder or a checkpoint, usually "
                "the model's backbone."
            )
        return load_tokenizer(name)

    @property
    def seed(self) -> int:
        """The seed of held-out share and batch order; 0 where none was ever set."""
        given = self._settings["seed"]
        return int(os.environ.get("PL_GLOBAL_SEED", "0")) if given is None else int(given)

    def setup(self, stage: str | None = None) -> None:
        """Tokenize, or open from the cache, what a stage needs.

        Args:
            stage: fit, validate, test or predict; None: every split that was named.

        Raises:
            DataError: if a file cannot be used, or a label is unknown to train.
            ConfigError: if a split that the stage needs is not named.
        """
        wanted: Mapping[str | None, tuple[Split, ...]] = {
            "fit": ("train", "val"),
            "validate": ("val",),
            "test": ("test",),
            "predict": ("predict",),
            None: tuple(split for split in SPLITS if self.is_named(split)),
        }
        for split in wanted[stage]:
            if split not in self._splits:
                self._open(split)
        if stage == "fit" and self.trainer is not None and self.batch_tokens != "auto":
            self.accumulate(self.trainer)

    def accumulate(self, trainer: L.Trainer) -> None:
        """Let a trainer accumulate the batches of the effective batch, where one is stated.

        Raises:
            ConfigError: if no number of batches makes it, or the trainer was told another one.
        """
        if self.effective_batch is None:
            return
        if self._batching.tokens is None:
            size = self._settings["batch_size"]
            count = batches_a_step(self.effective_batch, size, trainer.world_size)
        else:
            examples = len(self._splits["train"])
            batches = self.batches_of_an_epoch(self._batching.tokens, trainer)
            count = nearest_batches_a_step(self.effective_batch, examples, batches)
            _tell_step(self.effective_batch, count, examples * count / batches)
        told = trainer.accumulate_grad_batches
        if told not in (1, count):
            raise ConfigError(
                f"trainer.accumulate_grad_batches={told} contradicts data.effective_batch="
                f"{self.effective_batch}, which takes {count}; leave one of them out."
            )
        trainer.accumulate_grad_batches = count

    def batches_of_an_epoch(self, tokens: int, trainer: L.Trainer | None = None) -> int:
        """Return how many batches of at most this many tokens each rank has in an epoch."""
        return len(self._sampler("train", BatchSettings(tokens=tokens), trainer))

    def train_order(self) -> dict[str, Any]:
        """Return what decides which training examples come in which order, as plain values."""
        train = self._splits["train"]
        digest = hashlib.sha256(train.hashes.tobytes())
        digest.update(np.ascontiguousarray(train.label_codes).tobytes())
        size, trainer = self._batching, self.trainer
        return {
            "training examples": len(train),
            "training data (digest)": digest.hexdigest()[:12],
            "data.seed": self.seed,
            "data.batch_size": size.size if size.tokens is None else None,
            "data.batch_tokens": size.tokens,
            "data.max_length": self.max_length,
            "trainer.accumulate_grad_batches": trainer and trainer.accumulate_grad_batches,
            "number of ranks": trainer and trainer.world_size,
        }

    def is_named(self, split: Split) -> bool:
        """Say whether a split has its place: named, in train's folder, or a share of train."""
        return self._spec(split) is not None or (split == "val" and self._spec("train") is not None)

    def _spec(self, split: Split) -> str | list[str] | None:
        spec = self._specs[split]
        return self._companions.get(split) if spec is None else spec

    @cached_property
    def _companions(self) -> Mapping[Split, str]:
        train = self._specs["train"]
        return {} if train is None else companion_splits(train)

    def _open(self, split: Split) -> None:
        if split == "predict":
            self._splits[split] = TokenizedSplit(split, self._store(split))
        elif split in ("train", "val") and self._spec("val") is None:
            store = self._store("train")
            kind = self.label_set.kind
            rows = hold_out(store, kind, share=self._settings["val_share"], seed=self.seed)
            targets = self._targets("train", store)
            self._splits["train"] = TokenizedSplit("train", store, rows=rows[0], targets=targets)
            self._splits["val"] = TokenizedSplit("val", store, rows=rows[1], targets=targets)
        else:
            store = self._store(split)
            self._splits[split] = TokenizedSplit(split, store, targets=self._targets(split, store))

    def _store(self, split: Split) -> TokenStore:
        if split in self._stores:
            return self._stores[split]
        spec = self._spec(split)
        if spec is None:
            raise ConfigError(f"data.{split} is missing; name a file: --data.{split} FILE.")
        store = build_or_open(
            open_source(spec, split, self._fields, self._settings["format"]),
            lambda: self._encoder,
            key_parts={
                "tokenizer": self.loaded_tokenizer.json,
                "with_types": self.loaded_tokenizer.with_types,
                "encoding": dataclasses.asdict(self._encoding),
            },
            folder=_cache_folder(self._settings["cache_dir"]),
            on_bad_rows="keep" if split == "predict" else self._settings["on_bad_rows"],
        )
        _tell_bad_rows(split, store)
        self._stores[split] = store
        return store

    @cached_property
    def _encoder(self) -> TextEncoder:
        loaded = self.loaded_tokenizer
        tokenizer = Tokenizer.from_str(loaded.json)
        return TextEncoder(tokenizer, self._encoding, with_types=loaded.with_types)

    def _targets(self, split: Split, store: TokenStore) -> np.ndarray[Any, Any]:
        separator = self._settings["label_separator"]
        return encode_labels(store, self.label_set, separator=separator, split=split)

    @property
    def _task(self) -> TaskKind | None:
        """The task kind that the user states, else the one that a prepared folder was made for."""
        stated: TaskKind | None = self._settings["task"]
        if stated is not None or self._settings["label_separator"] is not None:
            return stated
        return prepared_task(self._specs["train"])

    def _recognise(self, store: TokenStore) -> LabelSet:
        counts = np.bincount(store.label_codes[store.label_codes >= 0], minlength=len(store.labels))
        try:
            found = recognise(
                store.labels,
                counts.tolist(),
                task=self._task,
                separator=self._settings["label_separator"],
                positive=self._settings["positive_label"],
            )
        except DataError as err:
            raise DataError(f"{store.meta['source']}: {err}") from None
        if found.kind == "multiclass":
            _tell_joins(joins_told(found.names, "set data.label_separator to"))
        if found.kind in ("binary", "multiclass"):
            _tell_rare(
                [
                    str(label)
                    for label, count in zip(store.labels, counts, strict=True)
                    if count == 1
                ]
            )
        return found

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Batches of the training split, in another order each epoch."""
        if self.batch_tokens == "auto":
            raise ConfigError(
                "data.batch_tokens=auto is found before training, by the callback FindBatch among "
                "default_callbacks; add it to the trainer's callbacks, or give a number."
            )
        return self._loader("train", self._batching)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Batches of the validation split, longest first."""
        return self._loader("val", self._eval_batching)

    def test_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Batches of the test split, longest first."""
        return self._loader("test", self._eval_batching)

    def predict_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Batches of the texts to answer, longest first; `index` tells the rows."""
        return self._loader("predict", self._eval_batching)

    def _loader(self, name: Split, settings: BatchSettings) -> DataLoader[dict[str, Tensor]]:
        split = self._splits[name]
        trainer = self.trainer
        on_cuda = trainer is not None and trainer.strategy.root_device.type == "cuda"
        sampler = self._sampler(name, settings, trainer)
        if name != "train" and len(split) < sampler.num_replicas:  # a rank would skip, others wait
            raise DataError(
                f"data.{name} has {len(split)} rows, fewer than the {sampler.num_replicas} ranks: "
                "each needs one; lower trainer.devices, or give more rows."
            )
        if trainer is not None:
            sampler.set_epoch(
                trainer.current_epoch
            )  # workers ask for batches before Lightning does
        collating = CollateSettings(
            pad_id=self.loaded_tokenizer.pad_id,
            with_types=self.loaded_tokenizer.with_types,
            with_windows=self._encoding.truncation == "windows",
            pad_multiple=8 if on_cuda else 1,
            max_length=self.max_length,
        )
        workers = self._settings["num_workers"]
        return ResumableLoader(
            Batches(split, collating),
            sampler=sampler,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=outlive_signals,
            timeout=WORKER_SECONDS if workers > 0 else 0,
            collate_fn=as_arrays if workers > 0 else None,  # type: ignore[arg-type]  # of batches
            pin_memory=on_cuda,
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _sampler(
        self, name: Split, settings: BatchSettings, trainer: L.Trainer | None
    ) -> BucketSampler:
        split = self._splits[name]
        return BucketSampler(
            split.longest,
            split.windows,
            settings=settings,
            shuffle=name == "train",
            seed=self.seed,
            **((trainer and trainer.distributed_sampler_kwargs) or {}),
        )


def _cache_folder(cache_dir: str | None) -> Path:
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    return cache_folder("tokens")


@rank_zero_only
def _tell_bad_rows(split: Split, store: TokenStore) -> None:
    bad = store.meta["bad"]
    if bad["count"]:
        shown = "; ".join(f"{source}:{line}: {why}" for source, line, why in bad["rows"][:_SHOWN])
        more = f"; and {bad['count'] - _SHOWN} more" if bad["count"] > _SHOWN else ""
        log.warning(
            "data.%s: %d rows cannot be used and are %s: %s%s",
            split,
            bad["count"],
            "answered with an error" if split == "predict" else "left out",
            shown,
            more,
        )


@rank_zero_only
def _tell_step(wanted: int, batches: int, mean: float) -> None:
    print(
        f"effective batch  {batches} batches a step, {mean:.1f} examples on average "
        f"(data.effective_batch={wanted}; batches of equal tokens differ in examples)"
    )


@rank_zero_only
def _tell_joins(told: str) -> None:
    if told:
        log.warning("data.train: %s", told)


@rank_zero_only
def _tell_rare(labels: list[str]) -> None:
    if labels:
        shown = ", ".join(repr(label) for label in labels[:_SHOWN])
        more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
        log.warning("data.train: seen in one row only: the labels %s%s", shown, more)

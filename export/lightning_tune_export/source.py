"""What is exported: a checkpoint with its weights whole, its data, and what answers are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.data.splits import TokenizedSplit
from lightning_tune.errors import CheckpointError
from lightning_tune.models.backbones import LoadedTokenizer
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint
from lightning_tune.models.merging import merge_checkpoint
from lightning_tune.models.peft import as_tuning
from lightning_tune.schema import LabelSet, Split
from lightning_tune.serving.encoding import EncodingSettings
from lightning_tune.tables import TableFormat
from lightning_tune.training.inference import restored
from lightning_tune.training.module import TextClassifier
from lightning_tune_export.contenders import torch_runner
from lightning_tune_export.runners import Runner


@dataclass(frozen=True)
class DataOverrides:
    """Data that takes the place of what the checkpoint was trained with; null: as it says.

    Args:
        train: The training split, which statistics and int8 ranges come from.
        val: The validation split, which the winner is chosen on.
        test: The test split, which decides about the winner.
        text: Column of the text.
        text_pair: Column of the second text.
        label: Column of the label.
        cache_dir: Where tokens are kept.
    """

    train: str | None = None
    val: str | None = None
    test: str | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    cache_dir: str | None = None


@dataclass
class Source:
    """A checkpoint, ready to be exported.

    Args:
        path: Its file.
        sha256: Digest of the file.
        module: The module with all its weights, in eval mode.
        data: The data module it was trained with, overrides applied.
        tokenizer: The tokenizer that travelled with it.
        encoding: Length and truncation of training.
        checkpoint: What the file holds, merged.
        overrides: Data that takes the place of the checkpoint's.
        merged: The tuning that was merged into the backbone first; "" where none was.
    """

    path: str
    sha256: str
    module: TextClassifier
    data: TextDataModule
    tokenizer: LoadedTokenizer
    encoding: EncodingSettings
    checkpoint: Mapping[str, Any]
    overrides: DataOverrides
    merged: str = ""

    @property
    def labels(self) -> LabelSet:
        """The label set."""
        return self.module.label_set

    @cached_property
    def run(self) -> Runner:
        """Answers batches as the checkpoint does, in fp32."""
        return torch_runner(self.module.classifier, "float32")

    def split(self, name: Split) -> TokenizedSplit:
        """Return a split, tokenized or opened from the cache.

        Raises:
            ConfigError: if it is not named.
            DataError: if its files cannot be used.
        """
        stage = {"train": "fit", "val": "validate", "test": "test", "predict": "predict"}[name]
        found = getattr(self.data, f"{name}_data")
        if found is None:
            self.data.setup(stage)
            found = getattr(self.data, f"{name}_data")
        return found  # type: ignore[no-any-return]

    def opened(self) -> dict[str, TokenizedSplit]:
        """Return the splits that were read, by name."""
        splits = (self.data.train_data, self.data.val_data, self.data.test_data)
        return {split.name: split for split in splits if split is not None}


def read_source(
    path: str,
    overrides: DataOverrides = DataOverrides(),
    *,
    backbone: str | None = None,
) -> Source:
    """Read a checkpoint; what LoRA and its like trained is merged into the backbone first.

    Args:
        path: The .ckpt file.
        overrides: Data that takes the place of the checkpoint's.
        backbone: Where the backbone is now, of a checkpoint that holds only what was trained.

    Raises:
        CheckpointError: if it is missing, damaged, foreign, or was trained without our data module.
        ConfigError: if its backbone is not found.
    """
    checkpoint: Mapping[str, Any] = read_checkpoint(path)
    travelling = checkpoint[PACKAGE_KEY]
    tuning = as_tuning(checkpoint["hyper_parameters"].get("tuning"))
    merges = tuning.partial and tuning.merges  # what adapters and prefixes added stays as it is
    if merges:
        checkpoint = merge_checkpoint(checkpoint, path, backbone=backbone).checkpoint
    loaded = restored(checkpoint, path, backbone=None if merges else backbone)
    data = travelling["data"]
    return Source(
        path=path,
        sha256=_digest(Path(path)),
        module=loaded.module,
        data=_data(path, data, overrides, loaded.labels),
        tokenizer=LoadedTokenizer(**travelling["tokenizer"]),
        encoding=EncodingSettings(
            data["max_length"], data["truncation"], data["window_stride"], data["max_windows"]
        ),
        checkpoint=checkpoint,
        overrides=overrides,
        merged=type(tuning).__name__ if merges else "",
    )


def _data(
    path: str, stored: Mapping[str, Any], overrides: DataOverrides, labels: LabelSet
) -> TextDataModule:
    named = {name: value for name, value in asdict(overrides).items() if value is not None}
    settings = {**stored, "format": TableFormat(**stored["format"]), **named}
    try:
        return TextDataModule(**settings, tokenizer=path, labels=labels)
    except TypeError as err:
        raise CheckpointError(
            f"checkpoint {path!r} has data settings that this version does not know ({err}); "
            "export with the version that trained it."
        ) from err


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

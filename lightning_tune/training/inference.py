"""Load a checkpoint and answer texts from Python, without Trainer or command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from lightning_tune.data.batching import BatchSettings, BucketSampler
from lightning_tune.data.collation import CollateSettings, InMemoryRows, collate
from lightning_tune.errors import CheckpointError, DataError
from lightning_tune.models.backbones import LoadedTokenizer
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint, require_known_class
from lightning_tune.models.specs import import_class
from lightning_tune.schema import LabelSet
from lightning_tune.serving.answers import Answer, answers
from lightning_tune.serving.encoding import EncodingSettings, TextEncoder
from lightning_tune.training.metrics import probabilities
from lightning_tune.training.module import TextClassifier

__all__ = ["Answer", "LoadedClassifier", "answering", "load"]


class LoadedClassifier:
    """A tuned classifier that answers texts as it did in training: same tokenizer, same truncation.

    Args:
        module: The module with its weights.
        tokenizer: The tokenizer that travelled with it.
        settings: Length and truncation of training.
    """

    def __init__(
        self, module: TextClassifier, tokenizer: LoadedTokenizer, settings: EncodingSettings
    ) -> None:
        self.module = module.eval()
        self.labels: LabelSet = module.label_set
        self._encoder = TextEncoder(
            Tokenizer.from_str(tokenizer.json), settings, with_types=tokenizer.with_types
        )
        self._collate = CollateSettings(
            pad_id=tokenizer.pad_id,
            with_types=tokenizer.with_types,
            with_windows=settings.truncation == "windows",
            pad_multiple=1,
            max_length=settings.max_length,
        )

    def __call__(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, batch_size: int = 32
    ) -> list[Answer]:
        """Answer texts, in their order.

        Args:
            texts: The texts.
            pairs: The second texts, where the model was tuned on pairs.
            batch_size: Texts computed at once; batches are made of texts of like length.
        """
        return answers(self.labels, self.scores(texts, pairs, batch_size=batch_size).numpy())

    @torch.inference_mode()
    def scores(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        batch_size: int = 32,
        batch_tokens: int | None = None,
    ) -> Tensor:
        """Return probabilities [texts, labels], or scores [texts] in regression, on the CPU.

        Args:
            texts: The texts.
            pairs: The second texts, where the model was tuned on pairs.
            batch_size: Texts computed at once …
            batch_tokens: … or, where it is given, tokens, padding included.
        """
        if isinstance(texts, str):
            raise DataError("texts is one string; give a list of texts: [text].")
        if not texts:
            return probabilities(torch.empty(0, self.labels.num_outputs), self.labels.kind)
        parts, places = [], []
        for batch in self.batches(texts, pairs, BatchSettings(batch_size, batch_tokens)):
            parts.append(probabilities(self.module(batch), self.labels.kind).cpu())
            places.append(batch["index"].cpu())
        return torch.cat(parts)[torch.cat(places).argsort()]

    def batches(
        self, texts: Sequence[str], pairs: Sequence[str] | None, settings: BatchSettings
    ) -> Iterator[dict[str, Tensor]]:
        """Yield batches of texts of like length, the longest first, on the module's device.

        Args:
            texts: The texts, at least one.
            pairs: The second texts, where the model was tuned on pairs.
            settings: How many texts or tokens make one batch.

        Returns:
            What `collate` gives, without labels; `index` is the place of each text in `texts`.
        """
        rows = InMemoryRows.of(self._encoder.encode(texts, pairs))
        sampler = BucketSampler(
            rows.longest, np.diff(rows.row_offsets), settings=settings, shuffle=False
        )
        for examples in sampler:
            batch = collate(rows, np.array(examples), self._collate, None)
            yield {name: value.to(self.module.device) for name, value in batch.items()}

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids of the tokens that stand around texts, and of the padding."""
        frame = self._encoder.frame
        return frozenset([self._collate.pad_id, *chain(*frame.single, *frame.pair)])


def load(path: str | Path, *, backbone: str | None = None) -> LoadedClassifier:
    """Load a checkpoint that `fit` or a Trainer wrote; if it is whole, nothing else is needed.

    Args:
        path: The .ckpt file.
        backbone: Where the backbone is now, of a checkpoint that holds only what was trained.

    Raises:
        ConfigError: if the backbone of such a checkpoint is not found.
        CheckpointError: if it is missing, damaged, unsafe or foreign, or its backbone has other
            weights than in the training.

    Example:
        answer = load("runs/quickstart-…/checkpoints/best.ckpt")(["where is my parcel?"])[0]
        answer.label, answer.probabilities
    """
    return restored(read_checkpoint(path), str(path), backbone=backbone)


def restored(
    checkpoint: Mapping[str, Any], path: str, *, backbone: str | None = None
) -> LoadedClassifier:
    """Rebuild the classifier that a checkpoint was written of, as `load` does from its file.

    Args:
        checkpoint: What `read_checkpoint` gave.
        path: Where it is from, for errors.
        backbone: Where the backbone is now, of a checkpoint that holds only what was trained.
    """
    ours = checkpoint[PACKAGE_KEY]
    if "tokenizer" not in ours:
        raise CheckpointError(
            f"checkpoint {path!r} holds no tokenizer and no data settings, as it was trained "
            "without a TextDataModule; train with one, or answer with its module yourself."
        )
    settings_of_module = dict(checkpoint["hyper_parameters"])
    for training_only in ("objective", "metrics"):  # their classes need not be importable here
        settings_of_module.pop(training_only)
    if backbone is not None:
        settings_of_module["backbone"] = backbone
    kind = _module_class(ours["class_path"])
    try:
        module = kind(**settings_of_module)
    except TypeError as err:
        raise CheckpointError(
            f"checkpoint {str(path)!r} has settings that {kind.__name__} does not take ({err}); it "
            "was made by another version, or changed."
        ) from err
    module.configure_model()
    module.load_state_dict(module.whole_weights(checkpoint))
    return answering(module, ours)


def answering(module: TextClassifier, travelling: Mapping[str, Any]) -> LoadedClassifier:
    """Let a module answer texts.

    Args:
        module: The module with its weights.
        travelling: Tokenizer and data settings, as `TextDataModule.travelling` returns them.
    """
    data = travelling["data"]
    settings = EncodingSettings(
        max_length=data["max_length"],
        truncation=data["truncation"],
        stride=data["window_stride"],
        max_windows=data["max_windows"],
    )
    return LoadedClassifier(module, LoadedTokenizer(**travelling["tokenizer"]), settings)


def _module_class(class_path: str) -> type[TextClassifier]:
    """Return the class that made a checkpoint: ours, or one that is imported already."""
    require_known_class(class_path)
    kind: type[TextClassifier] = import_class(class_path, TextClassifier)
    return kind

"""Load a checkpoint and answer texts from Python, without Trainer or command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from lightning_tune.data.collation import CollateSettings, InMemoryRows, collate
from lightning_tune.errors import CheckpointError, DataError
from lightning_tune.models.backbones import LoadedTokenizer
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint, require_known_class
from lightning_tune.schema import Label, LabelSet
from lightning_tune.serving.encoding import EncodingSettings, TextEncoder
from lightning_tune.training.metrics import probabilities
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.objectives.base import import_class


@dataclass(frozen=True)
class Answer:
    """What the model says of one text.

    Args:
        label: The class name, the names that hold (multi-label), or the score (regression).
        probabilities: Probability of each label by name; empty in regression.
    """

    label: Label
    probabilities: dict[str, float]


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
        return [
            _answer(self.labels, row) for row in self.scores(texts, pairs, batch_size=batch_size)
        ]

    @torch.inference_mode()
    def scores(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, batch_size: int = 32
    ) -> Tensor:
        """Return probabilities [texts, labels], or scores [texts] in regression, on the CPU."""
        if isinstance(texts, str):
            raise DataError("texts is one string; give a list of texts: [text].")
        if not texts:
            return probabilities(torch.empty(0, self.labels.num_outputs), self.labels.kind)
        rows = InMemoryRows.of(self._encoder.encode(texts, pairs))
        order = np.argsort(-rows.longest, kind="stable")
        parts = []
        for start in range(0, len(order), batch_size):
            batch = collate(rows, order[start : start + batch_size], self._collate, None)
            on_device = {name: value.to(self.module.device) for name, value in batch.items()}
            parts.append(probabilities(self.module(on_device), self.labels.kind).cpu())
        joined = torch.cat(parts)
        return joined[torch.from_numpy(np.argsort(order, kind="stable"))]


def load(path: str | Path) -> LoadedClassifier:
    """Load a checkpoint that `fit` or a Trainer wrote; nothing else is needed.

    Args:
        path: The .ckpt file.

    Raises:
        CheckpointError: if it is missing, damaged, unsafe or foreign.

    Example:
        answer = load("runs/quickstart-…/checkpoints/best.ckpt")(["where is my parcel?"])[0]
        answer.label, answer.probabilities
    """
    checkpoint = read_checkpoint(path)
    ours = checkpoint[PACKAGE_KEY]
    if "tokenizer" not in ours:
        raise CheckpointError(
            f"checkpoint {str(path)!r} holds no tokenizer and no data settings, as it was trained "
            "without a TextDataModule; train with one, or answer with its module yourself."
        )
    settings_of_module = dict(checkpoint["hyper_parameters"])
    for training_only in ("objective", "metrics"):  # their classes need not be importable here
        settings_of_module.pop(training_only)
    module = _module_class(ours["class_path"])(**settings_of_module)
    module.configure_model()
    module.load_state_dict(checkpoint["state_dict"])
    data = ours["data"]
    settings = EncodingSettings(
        max_length=data["max_length"],
        truncation=data["truncation"],
        stride=data["window_stride"],
        max_windows=data["max_windows"],
    )
    return LoadedClassifier(module, LoadedTokenizer(**ours["tokenizer"]), settings)


def _module_class(class_path: str) -> type[TextClassifier]:
    """Return the class that made a checkpoint: ours, or one that is imported already."""
    require_known_class(class_path)
    kind: type[TextClassifier] = import_class(class_path, TextClassifier)
    return kind


def _answer(labels: LabelSet, row: Tensor) -> Answer:
    if labels.kind == "regression":
        return Answer(float(row), {})
    by_name = {name: float(value) for name, value in zip(labels.names, row, strict=True)}
    if labels.kind == "multilabel":
        return Answer(tuple(name for name, value in by_name.items() if value > 0.5), by_name)
    return Answer(labels.names[int(row.argmax())], by_name)

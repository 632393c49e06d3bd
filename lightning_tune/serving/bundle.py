"""A bundle that answers texts: the folder that export wrote, verified, with its session open."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lightning_tune.errors import BundleError, ConfigError, DataError
from lightning_tune.schema import LabelSet
from lightning_tune.serving.answers import Answer, answers
from lightning_tune.serving.batches import (
    CollateSettings,
    EncodedRows,
    by_length,
    pool,
    rectangle,
)
from lightning_tune.serving.calibration import apply
from lightning_tune.serving.encoding import Encoded, TextEncoder
from lightning_tune.serving.external_data import check_external_data
from lightning_tune.serving.manifest import (
    CONFIG,
    PORTABLE,
    TOKENIZER,
    Manifest,
    Runtime,
    read_manifest,
)
from lightning_tune.serving.runtime import Session, open_session
from lightning_tune.serving.sums import verify_sums


class Bundle:
    """A bundle that answers texts as the trained model does, without PyTorch.

    Args:
        path: The folder.
        runtime: What computes; None: what export chose.
        threads: Threads of the session; None: one for each core that is free for us.
        portable: Run the fp32 model of standard operators in place of the one that export chose.
        verify: Check the digests of all files, and that this host computes the logits that the
            exporting one did. False saves this for a folder that was verified just now.

    Raises:
        BundleError: if the folder is damaged or foreign, or this host computes other logits.
        ConfigError: if a runtime is asked for that is not installed.

    Example:
        answer = Bundle("bundle/")(["where is my parcel?"])[0]
        answer.label, answer.probabilities
    """

    def __init__(
        self,
        path: str | Path,
        *,
        runtime: Runtime | None = None,
        threads: int | None = None,
        portable: bool = False,
        verify: bool = True,
    ) -> None:
        self.path = Path(path).expanduser()
        listed = verify_sums(self.path) if verify else None
        self.manifest: Manifest = read_manifest(self.path)
        self.labels: LabelSet = self.manifest.labels
        check_names(self.path, self.labels)
        if listed is not None:
            for model in {self.manifest.model, PORTABLE} & listed.keys():
                check_external_data(self.path, model, listed)
        self.encoder = _encoder(self.path, self.manifest)
        self.session: Session = open_session(
            self.path,
            self.manifest,
            runtime=runtime,
            threads=threads,
            model=PORTABLE if portable else None,
        )
        if self.session.outputs is not None:
            self._check_width(self.session.outputs)
        self._collate = CollateSettings(
            pad_id=self.manifest.pad_id,
            with_types=self.manifest.with_types,
            with_windows=True,
            pad_multiple=1,
            max_length=self.manifest.encoding.max_length,
        )
        if verify and not portable and runtime in (None, self.manifest.session.runtime):
            self._check_probe()

    def __call__(self, texts: Iterable[str], pairs: Iterable[str] | None = None) -> list[Answer]:
        """Answer texts, in their order.

        Args:
            texts: The texts.
            pairs: The second texts, where the model was tuned on pairs.

        Raises:
            DataError: if texts is one string, one of them is no string, or pairs are missing or not
                wanted.
        """
        return answers(self.labels, self.scores(texts, pairs), self.manifest.calibration)

    def scores(
        self, texts: Iterable[str], pairs: Iterable[str] | None = None
    ) -> NDArray[np.float32]:
        """Return calibrated probabilities [texts, labels], or scores [texts] in regression."""
        return apply(self.logits(texts, pairs), self.labels, self.manifest.calibration)

    def logits(
        self, texts: Iterable[str], pairs: Iterable[str] | None = None
    ) -> NDArray[np.float32]:
        """Return logits [texts, outputs], those of a text's windows averaged."""
        texts = _strings(texts, "texts")
        pairs = None if pairs is None else _strings(pairs, "pairs")
        if (pairs is None) != (self.manifest.fields.text_pair is None):
            tuned = "single texts; leave pairs out" if pairs else "pairs; give the second texts"
            raise DataError(f"{self.path} was tuned on {tuned}.")
        if not texts:
            return np.empty((0, self.labels.num_outputs), np.float32)
        return self.logits_of(self.encoder.encode(texts, pairs))

    def logits_of(self, encoded: Encoded) -> NDArray[np.float32]:
        """Return logits [texts, outputs] of texts that `encoder` has encoded, at least one."""
        found = np.empty((len(encoded.windows), self.labels.num_outputs), np.float32)
        for rows, batch in self.batches(encoded):
            found[rows] = pool(self._run(batch), batch["window_of"])
        return found

    def batches(
        self, encoded: Encoded
    ) -> Iterator[tuple[NDArray[np.intp], dict[str, NDArray[Any]]]]:
        """Yield the places of texts of like length, the longest first, and their inputs."""
        store = EncodedRows.of(encoded)
        for rows in by_length(store.longest, np.diff(store.row_offsets), self.session.batch_tokens):
            yield rows, rectangle(store, rows, self._collate)

    def _run(self, batch: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        logits = self.session.run(batch)
        self._check_width(logits.shape[-1])
        return logits

    def _check_width(self, found: int) -> None:
        if found != self.labels.num_outputs:
            raise BundleError(
                f"{self.path}: the model gives {found} outputs a text, its labels need "
                f"{self.labels.num_outputs}; export the bundle again."
            )

    def _check_probe(self) -> None:
        probe = self.manifest.probe
        if probe is None:
            return
        worst = 0.0
        for ids, expected in zip(probe.input_ids, probe.logits, strict=True):
            input_ids = np.array([ids], np.int64)
            batch = {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids)}
            batch["token_type_ids"] = np.zeros_like(input_ids)
            difference = np.abs(self._run(batch)[0] - np.array(expected, np.float32))
            worst = max(worst, float(np.nan_to_num(difference, nan=np.inf).max()))
        if worst > probe.tolerance:
            raise BundleError(
                f"{self.path}: {self.session.name} computes other logits here than where it "
                f"was exported, by {worst:.3g}, where {probe.tolerance:.3g} is allowed; export it "
                "on a machine of this kind, or run the portable model."
            )


def check_names(folder: Path, labels: LabelSet) -> None:
    """Refuse a bundle whose config.json, which other readers go by, has other labels.

    Raises:
        BundleError: saying which.
    """
    path = folder / CONFIG
    if labels.kind == "regression" or not path.is_file():
        return
    try:
        named = json.loads(path.read_text(encoding="utf-8"))["id2label"]
        found = [str(named[str(at)]) for at in range(len(named))]
    except (ValueError, KeyError, TypeError) as err:
        raise BundleError(f"{path} has no usable id2label; export the bundle again.") from err
    if found != list(labels.names):
        raise BundleError(
            f"{path} names the labels {', '.join(found[:5])} and bundle.json "
            f"{', '.join(labels.names[:5])}; export the bundle again."
        )


def _strings(values: Iterable[str], name: str) -> list[str]:
    """Return texts as a list of strings."""
    if isinstance(values, str):
        raise DataError(f"{name} is one string; give a list of texts: [text].")
    listed = list(values)
    for at, value in enumerate(listed):
        if not isinstance(value, str):
            raise DataError(
                f"{name}[{at}] is of type {type(value).__name__}; every text is a string, so leave "
                "a missing one out."
            )
    return listed


def _encoder(folder: Path, manifest: Manifest) -> TextEncoder:
    path = folder / TOKENIZER
    if not path.is_file():
        raise BundleError(f"{path} is missing; export the bundle again.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
        return TextEncoder(tokenizer, manifest.encoding, with_types=manifest.with_types)
    except ConfigError as err:
        raise BundleError(f"{folder}: {err}") from err
    except Exception as err:  # tokenizers raises nothing but Exception
        raise BundleError(
            f"{path} cannot be loaded: {' '.join(str(err).split())[:200]}; export the bundle again."
        ) from err

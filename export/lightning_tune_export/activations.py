"""What goes into each matrix product of a graph, seen on calibration texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from lightning_tune_export.contenders import onnx_session
from lightning_tune_export.graph_edits import GraphEdits, is_product
from lightning_tune_export.measure import Batch

ROWS = 512
"""Tokens of which the activations are kept, to try roundings on."""


@dataclass(frozen=True)
class Activation:
    """The values that one product, or several, read.

    Args:
        low: Smallest value of each channel, [channels] float32.
        high: Largest value of each channel, [channels] float32.
        rows: The values of some tokens, [tokens, channels] float32.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    rows: NDArray[np.float32]

    @property
    def largest(self) -> NDArray[np.float32]:
        """Largest magnitude of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


Activations = Mapping[str, Activation]
"""By the name of the value."""


def watch(source: Path, batches: Iterable[Batch]) -> Activations:
    """Run a graph on calibration texts and note what its products read at real tokens.

    Args:
        source: The fp32 graph.
        batches: Calibration texts, at least one batch.

    Raises:
        ValueError: without a batch.
    """
    model = onnx.load(source)
    edits = GraphEdits(model)
    names = list(dict.fromkeys(n.input[0] for n in edits.nodes if is_product(n, edits)))
    model.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    session = onnx_session(model.SerializeToString(), threads=1)
    seen = {name: _Seen() for name in names}
    for batch in batches:
        mask = batch["attention_mask"].astype(bool)
        for name, values in zip(names, session.run(names, dict(batch)), strict=True):
            seen[name].add(values[mask] if values.shape[:2] == mask.shape else values)
    return {name: each.result() for name, each in seen.items()}


class _Seen:
    def __init__(self) -> None:
        self.low: NDArray[np.float32] | None = None
        self.high: NDArray[np.float32] | None = None
        self.rows: list[NDArray[np.float32]] = []
        self._random = np.random.default_rng(0)

    def add(self, values: NDArray[np.float32]) -> None:
        flat = values.reshape(-1, values.shape[-1])
        low, high = flat.min(axis=0), flat.max(axis=0)
        self.low = low if self.low is None else np.minimum(self.low, low)
        self.high = high if self.high is None else np.maximum(self.high, high)
        picked = self._random.permutation(len(flat))[: max(1, ROWS // 8)]
        self.rows.append(flat[picked])

    def result(self) -> Activation:
        if self.low is None or self.high is None:
            raise ValueError("calibration needs at least one batch of texts")
        rows = np.concatenate(self.rows)
        picked = self._random.permutation(len(rows))[:ROWS]
        return Activation(self.low, self.high, rows[picked])

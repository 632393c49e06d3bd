"""What heads and neurons cost in time on this machine, measured in ONNX Runtime.

Kernels do not take time in proportion to their sizes: a block has a fixed cost, and some widths are
as slow as the next larger one. Blocks of a few sizes are timed, one after the other in every
round, and sizes between two of them take the time between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError
from lightning_tune.serving.runtime import session_options
from lightning_tune_export.prune.search import Costs

_COPIES = 2
"""Blocks in a row in one graph, so that what a call itself takes hardly counts."""
_SHARES = (0.0, 1 / 12, 1 / 4, 1 / 2, 1.0)
_OPSET = 20  # the first with Gelu


@dataclass(frozen=True)
class Timing:
    """How blocks are timed.

    Args:
        batch: Texts at once, at least 1.
        precision: Of the matrix products.
        rounds: Rounds over all sizes, of whose times the lower quartile counts, at least 1.
        threads: Threads of one session, at least 1; 0: ONNX Runtime's own choice.
    """

    batch: int = 1
    precision: Literal["int8", "fp32"] = "int8"
    rounds: int = 100
    threads: int = 0

    def __post_init__(self) -> None:
        if min(self.batch, self.rounds) < 1 or self.threads < 0:
            raise ConfigError(
                f"prune.timing={self} needs batch and rounds of at least 1, threads of at least 0."
            )


def measure_costs(
    heads: int, neurons: int, *, width: int, head_size: int, tokens: int, timing: Timing
) -> Costs:
    """Time the blocks of a layer at several sizes; return milliseconds by size.

    Args:
        heads: Most heads of a layer.
        neurons: Most neurons.
        width: Of the hidden states.
        head_size: Of one head.
        tokens: Length of a text.
        timing: Texts at once, precision, rounds.
    """
    head_sizes = sorted({round(share * heads) for share in _SHARES})
    neuron_sizes = sorted({round(share * neurons / 32) * 32 for share in _SHARES[:-1]} | {neurons})
    with TemporaryDirectory(prefix="latency-") as folder:
        calls = [
            _session(attention_graph(count, head_size, width), Path(folder), tokens, width, timing)
            for count in head_sizes
        ] + [
            _session(feed_forward_graph(count, width), Path(folder), tokens, width, timing)
            for count in neuron_sizes
        ]
        times = np.array(timed(calls, timing.rounds)) / _COPIES
    attention, feed_forward = times[: len(head_sizes)], times[len(head_sizes) :]
    return Costs(
        by_size(head_sizes, attention, heads), by_size(neuron_sizes, feed_forward, neurons)
    )


def by_size(sizes: Sequence[int], times: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return the time above that of nothing, never falling, for each size from 0 to the most.

    >>> by_size([0, 2, 4], np.array([1.0, 3.0, 2.5]), 4).tolist()
    [0.0, 1.0, 2.0, 2.0, 2.0]
    """
    rising = np.maximum.accumulate(times) - times[0]
    found: NDArray[np.float64] = np.interp(np.arange(most + 1), sizes, rising)
    return found


def timed(calls: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Time calls by turns; return the lower quartile of each, in milliseconds.

    What else runs on the machine only ever adds to a time.
    """
    seen: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(rounds):
        for call, times in zip(calls, seen, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [1000 * float(np.quantile(times, 0.25)) for times in seen]


def feed_forward_graph(neurons: int, width: int) -> Any:
    """Build a graph of feed-forward blocks with residual and normalisation."""
    graph = _Graph(width)
    for _ in range(_COPIES):
        x = graph.last
        if neurons:
            inner = graph.node("Gelu", graph.linear(x, width, neurons))
            x = graph.node("Add", x, graph.linear(inner, neurons, width))
        graph.norm(x)
    return graph.model()


def attention_graph(heads: int, head_size: int, width: int) -> Any:
    """Build a graph of attention blocks with residual and normalisation."""
    graph = _Graph(width)
    for _ in range(_COPIES):
        x = graph.last
        if heads:
            inner = heads * head_size
            parts = [graph.linear(x, width, inner) for _ in range(3)]
            context = graph.node(
                "MultiHeadAttention", *parts, domain="com.microsoft", num_heads=heads
            )
            x = graph.node("Add", x, graph.linear(context, inner, width))
        graph.norm(x)
    return graph.model()


class _Graph:
    """A chain of blocks as an ONNX model, with random weights."""

    def __init__(self, width: int) -> None:
        self.last = "x"
        self._width = width
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._random = np.random.default_rng(0)

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node; return the name of what it gives."""
        from onnx import helper

        name = f"{kind.lower()}_{len(self._nodes)}"
        made = helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes)
        self._nodes.append(made)
        return name

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        """Add a matrix product with its bias."""
        scale = inputs**-0.5
        weight = self._constant(self._random.normal(0, scale, (inputs, outputs)))
        return self.node("Add", self.node("MatMul", x, weight), self._constant(np.zeros(outputs)))

    def norm(self, x: str) -> None:
        """End a block."""
        ones, zeros = (self._constant(make(self._width)) for make in (np.ones, np.zeros))
        self.last = self.node("LayerNormalization", x, ones, zeros, axis=-1)

    def model(self) -> Any:
        """Return what was built."""
        from onnx import TensorProto, helper

        shape: list[str | int | None] = ["batch", "sequence", self._width]
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")
        ]
        self._nodes.append(helper.make_node("Identity", [self.last], ["y"]))
        graph = helper.make_graph(self._nodes, "blocks", ends[:1], ends[1:], self._weights)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def _constant(self, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name


def _session(
    model: Any, folder: Path, tokens: int, width: int, timing: Timing
) -> Callable[[], Any]:
    import onnx
    import onnxruntime

    path = folder / "blocks.onnx"
    onnx.save(model, path)
    if timing.precision == "int8":
        _quantize(path)
    session = onnxruntime.InferenceSession(
        path,
        session_options(timing.threads),
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["SkipLayerNormFusion", "BiasGeluFusion"],
    )
    x = np.random.default_rng(0).normal(size=(timing.batch, tokens, width)).astype(np.float32)
    return lambda: session.run(None, {"x": x})


def _quantize(path: Path) -> None:
    import logging

    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises preprocessing, through the root logger
    try:
        quantize_dynamic(
            path,
            path,
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    finally:
        root.setLevel(level)

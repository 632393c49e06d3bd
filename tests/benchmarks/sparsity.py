"""What zeros inside matrices gain in ONNX Runtime on this machine: speed, and size when packed.

    python tests/benchmarks/sparsity.py

Feed-forward blocks of MiniLM's shape at 1 x 24 and 16 x 128 tokens, dense, with half of the weights
zero (the smallest by size), with two of each four, and with half of the neurons cut. Times are
lower quartiles of interleaved calls; packed is the share of the dense int8 weights' bytes after
zlib.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnx import numpy_helper

from lightning_tune_export.prune.latency import Timing, _session, feed_forward_graph, timed

WIDTH, NEURONS = 384, 1536


def dense(weights: np.ndarray) -> np.ndarray:
    """Return the weights as they are."""
    return weights


def half(weights: np.ndarray) -> np.ndarray:
    """Zero the half that is smallest by size."""
    return np.where(np.abs(weights) < np.median(np.abs(weights)), 0, weights)


def two_of_four(weights: np.ndarray) -> np.ndarray:
    """Zero the two smallest of each four inputs."""
    groups = np.abs(weights).reshape(-1, 4, weights.shape[1])
    order = groups.argsort(axis=1).argsort(axis=1)
    return np.where(order.reshape(weights.shape) < 2, 0, weights)


def changed(model: Any, change: Any) -> tuple[Any, list[np.ndarray]]:
    """Change the matrices of a model; return it and them."""
    matrices = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.ndim == 2:
            values = change(values).astype(np.float32)
            matrices.append(values)
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    return model, matrices


def packed(matrices: list[np.ndarray]) -> int:
    """Return the bytes of int8 weights after zlib."""
    whole = b""
    for values in matrices:
        scale = np.abs(values).max(axis=0) / 127
        whole += np.round(values / scale).astype(np.int8).tobytes()
    return len(zlib.compress(whole, 9))


def main() -> None:
    """Print a row for each kind of zeros."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args()
    kinds = {
        "dense": (dense, NEURONS),
        "half zero": (half, NEURONS),
        "2 of 4 zero": (two_of_four, NEURONS),
        "half of the neurons": (dense, NEURONS // 2),
    }
    made = {
        name: changed(feed_forward_graph(neurons, WIDTH), change)
        for name, (change, neurons) in kinds.items()
    }
    times: dict[str, list[float]] = {name: [] for name in made}
    shapes = [
        (batch, tokens, kind) for batch, tokens in ((1, 24), (16, 128)) for kind in ("fp32", "int8")
    ]
    for batch, tokens, precision in shapes:
        timing = Timing(batch=batch, precision=precision, threads=asked.threads)
        with TemporaryDirectory() as folder:
            calls = [
                _session(model, Path(folder), tokens, WIDTH, timing) for model, _ in made.values()
            ]
            for name, each in zip(made, timed(calls, asked.rounds), strict=True):
                times[name].append(each)
    print("| weights | " + " | ".join(f"{b} x {t} {k}, ms" for b, t, k in shapes) + " | packed |")
    print("|---" * (len(shapes) + 2) + "|")
    whole = packed(made["dense"][1])
    for name, (_, matrices) in made.items():
        cells = [f"{each:.3f}" for each in times[name]]
        print(f"| {name} | {' | '.join(cells)} | {packed(matrices) / whole:.0%} |")


if __name__ == "__main__":
    main()

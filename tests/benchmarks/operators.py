"""What ONNX Runtime's operators for one encoder layer cost on one core: which graph to write.

    python tests/benchmarks/operators.py

Sizes of MiniLM-L6 (12 heads of 32, 1,536 neurons), milliseconds of processor time, the fastest of
several calls, of each alternative alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Arrays = Mapping[str, NDArray[Any]]
OURS = "com.microsoft"
HEADS, SIZE, WIDTH, NEURONS = 12, 32, 384, 1536
LEFT_ALONE = ["SkipLayerNormFusion", "GeluFusion", "GeluFusionL1", "GeluFusionL2"]


def node(kind: str, inputs: str, output: str = "y", domain: str = "", **settings: Any) -> Any:
    """Return a node; inputs are separated by spaces, and a dash stands for none."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, output.split(), domain=domain, **settings)


def cost(nodes: list[Any], inputs: Arrays, constants: Arrays, calls: int) -> float:
    """Return the milliseconds of a graph."""
    given = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in inputs.items()
    ]
    fixed = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    bytes_out = {"DynamicQuantizeLinear", "QuantizeLinear", "QLinearMatMul"}
    kind = TensorProto.UINT8 if nodes[-1].op_type in bytes_out else TensorProto.FLOAT
    result = [helper.make_tensor_value_info("y", kind, None)]
    graph = helper.make_graph(nodes, "operator", given, result, fixed)
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid(OURS, 1)]
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(
        helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=LEFT_ALONE,
    )
    session.run(None, dict(inputs))
    times = []
    for _ in range(12):
        start = time.thread_time()
        for _ in range(calls):
            session.run(None, dict(inputs))
        times.append((time.thread_time() - start) * 1e3 / calls)
    return min(times)


def attention(texts: int, tokens: int, random: Any) -> dict[str, tuple[list[Any], Arrays, Arrays]]:
    """Return the ways to attend."""
    heads = {"num_heads": HEADS, "scale": SIZE**-0.5}
    both = {"q_num_heads": HEADS, "kv_num_heads": HEADS, "scale": SIZE**-0.5}
    states = {name: random.standard_normal((texts, tokens, WIDTH), np.float32) for name in "qkv"}
    first = {**states, "q": states["q"][:, :1]}
    mask = np.ones((texts, tokens), np.int32)
    added = np.zeros((texts, 1, tokens, tokens), np.float32)
    split = {"heads": np.array([0, 0, HEADS, SIZE]), "flat": np.array([0, 0, WIDTH])}
    turned = [
        each
        for name, order in (("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3)))
        for each in (
            node("Reshape", f"{name} heads", f"{name}1"),
            node("Transpose", f"{name}1", f"{name}2", perm=order),
        )
    ]
    written = [
        *turned,
        node("Mul", "q2 scale", "q3"),
        node("MatMul", "q3 k2", "s1"),
        node("Add", "s1 mask", "s2"),
        node("Softmax", "s2", "p", axis=-1),
        node("MatMul", "p v2", "c1"),
        node("Transpose", "c1", "c2", perm=(0, 2, 1, 3)),
        node("Reshape", "c2 flat"),
    ]
    own, standard = "MultiHeadAttention", "Attention"
    fused = [node(own, "q k v - mask", domain=OURS, **heads)]
    ours = [node(standard, "q k v mask", **both)]
    return {
        "attention written out": (
            written,
            states | {"mask": added[:, :, :1]},
            split | {"scale": np.array(SIZE**-0.5, np.float32)},
        ),
        own: (fused, states | {"mask": mask}, {}),
        standard: (ours, states | {"mask": added}, {}),
        f"{own}, one query": (fused, first | {"mask": mask}, {}),
        f"{standard}, one query": (ours, first | {"mask": added[:, :, :1]}, {}),
        f"{standard}, no mask": ([node(standard, "q k v", **both)], states, {}),
    }


def pointwise(rows: int, random: Any) -> dict[str, tuple[list[Any], Arrays, Arrays]]:
    """Return the ways to norm, to add and to activate."""
    state = random.standard_normal((1, rows, WIDTH), np.float32)
    wide = random.standard_normal((rows, NEURONS), np.float32)
    norm = {"g": np.ones(WIDTH, np.float32), "b": np.zeros(WIDTH, np.float32)}
    numbers = {"root": np.sqrt(np.float32(2)), "one": np.float32(1), "half": np.float32(0.5)}
    constants = {name: np.array(value) for name, value in numbers.items()}
    erf = [
        node("Div", "x root", "x1"),
        node("Erf", "x1", "x2"),
        node("Add", "x2 one", "x3"),
        node("Mul", "x x3", "x4"),
        node("Mul", "x4 half"),
    ]
    skip = node("SkipLayerNormalization", "x z g b", domain=OURS, epsilon=1e-12)
    plain = [node("Add", "x z", "t"), node("LayerNormalization", "t g b", epsilon=1e-12)]
    return {
        "Add + LayerNormalization": (plain, {"x": state, "z": state}, norm),
        "SkipLayerNormalization": ([skip], {"x": state, "z": state}, norm),
        "Gelu in five operators": (erf, {"x": wide}, constants),
        "Gelu": ([node("Gelu", "x")], {"x": wide}, {}),
        "Gelu by tanh": ([node("Gelu", "x", approximate="tanh")], {"x": wide}, {}),
        "QuickGelu": ([node("QuickGelu", "x", domain=OURS, alpha=1.702)], {"x": wide}, {}),
    }


def products(
    rows: int, inputs: int, outputs: int, random: Any
) -> dict[str, tuple[list[Any], Arrays, Arrays]]:
    """Return the ways to multiply with weights, and to round what is multiplied."""
    x = random.standard_normal((rows, inputs), np.float32)
    w = random.standard_normal((inputs, outputs), np.float32) * 0.05
    ws = (np.abs(w).max(0) / 127).astype(np.float32)
    blocks = w.T.reshape(outputs, inputs // 128, 128)
    steps = (np.abs(blocks).max(-1) / 127).astype(np.float32)
    c: dict[str, Any] = {
        "w": w,
        "b": np.zeros(outputs, np.float32),
        "wq": np.rint(w / ws).astype(np.int8),
        "ws": ws,
        "s": np.array(0.03, np.float32),
        "z": np.array(128, np.uint8),
        "wz": np.zeros(outputs, np.int8),
        "n": (np.rint(blocks / steps[..., None]) + 128).astype(np.uint8),
        "ns": steps.reshape(-1),
    }
    int8, batch = "MatMulIntegerToFloat", node("DynamicQuantizeLinear", "x", "q s z")
    fixed = node("QuantizeLinear", "x s z", "q")
    bits = {"K": inputs, "N": outputs, "bits": 8, "block_size": 128, "accuracy_level": 4}
    ways: dict[str, tuple[list[Any], str]] = {
        "fp32": ([node("MatMul", "x w", "t"), node("Add", "t b")], "w b"),
        "int8, scales of the batch": (
            [batch, node(int8, "q wq s ws z - b", domain=OURS)],
            "wq ws b",
        ),
        "int8, fixed scales": (
            [fixed, node(int8, "q wq s ws z - b", domain=OURS)],
            "wq ws b s z",
        ),
        "QLinearMatMul": ([fixed, node("QLinearMatMul", "q s z wq ws wz s z")], "wq ws wz s z"),
        "MatMulNBits": ([node("MatMulNBits", "x n ns - - b", domain=OURS, **bits)], "n ns b"),
        "rounding by the batch": ([node("DynamicQuantizeLinear", "x", "y s z")], ""),
        "rounding by fixed scales": ([node("QuantizeLinear", "x s z")], "s z"),
        "dividing channels": ([node("Mul", "x f")], "f"),
    }
    c["f"] = np.ones(inputs, np.float32)
    shape = f"{inputs} to {outputs}"
    return {
        f"{shape}: {name}": (nodes, {"x": x}, {key: c[key] for key in used.split()})
        for name, (nodes, used) in ways.items()
    }


def main() -> None:
    """Measure all and print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    shapes = ((1, 24), (16, 128))
    random = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for texts, tokens in shapes:
        rows = texts * tokens
        ways = attention(texts, tokens, random) | pointwise(rows, random)
        for sizes in ((WIDTH, WIDTH), (WIDTH, 3 * WIDTH), (WIDTH, NEURONS), (NEURONS, WIDTH)):
            ways |= products(rows, *sizes, random)
        for name, (nodes, inputs, constants) in ways.items():
            calls = 20 if rows < 100 else 1
            found.setdefault(name, []).append(cost(nodes, inputs, constants, calls))
    print(f"{'milliseconds':40}" + "".join(f"{a:>8} x {b}" for a, b in shapes))
    for name, times in found.items():
        print(f"{name:40}" + "".join(f"{value:12.3f}" for value in times))


if __name__ == "__main__":
    main()

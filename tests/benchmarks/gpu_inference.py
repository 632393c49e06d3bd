"""Answer batches on a GPU: PyTorch and ONNX Runtime, each in fp32 and halved; parity and time.

    python tests/benchmarks/gpu_inference.py --checkpoint best.ckpt --rounds 30

A batch comes as arrays of the host and its logits go back there, as a server has it. All go in
turns. Parity is that of random texts with the checkpoint's own answers in fp32 on the processor;
the processor is what takes long, so few texts are asked.
`portable` is what `score --runtime cuda` runs; TF32 and the graphs with fused attention or in fp16
are what it does not, and why (docs/serving.md). Without a GPU it says so, and ends well.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch

from lightning_tune.serving.runtime import CUDA
from lightning_tune.training.inference import load
from lightning_tune_export.fused_graph import export_fused
from lightning_tune_export.measure import Batch, Effort, Runner, equal_length, measure
from lightning_tune_export.onnx_graph import export_portable
from lightning_tune_export.parity import check_parity, random_sequences

SHAPES = ((1, 24), (1, 128), (32, 24), (16, 128), (256, 64))


def torch_on_gpu(classifier: Any, dtype: torch.dtype) -> Runner:
    """Return what answers in eager PyTorch on the GPU."""
    there = copy.deepcopy(classifier).eval().cuda()

    def run(batch: Batch) -> np.ndarray:
        tensors = {name: torch.from_numpy(values).cuda() for name, values in batch.items()}
        halved = dtype != torch.float32
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=halved):
            return there(tensors).float().cpu().numpy()

    return run


def session_on_gpu(path: Path, *, tf32: bool = False) -> Runner:
    """Return what answers in ONNX Runtime on the GPU."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(
        str(path),
        options,
        providers=[(CUDA, {"use_tf32": str(int(tf32))}), ("CPUExecutionProvider", {})],
    )
    assert session.get_providers()[0] == CUDA, "ONNX Runtime fell back to the processor"
    names = [one.name for one in session.get_inputs()]

    def run(batch: Batch) -> np.ndarray:
        return session.run(["logits"], {name: batch[name] for name in names})[0]

    return run


def halve(path: Path, target: Path) -> Path:
    """Write a graph in fp16 whose inputs and outputs stay as they are."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), target)
    return target


def make(classifier: Any, folder: Path) -> dict[str, Runner]:
    """Return all that can be made here, by name; what cannot is told."""
    portable, fused = folder / "portable.onnx", folder / "fused.onnx"
    export_portable(classifier, portable, with_types=True)
    export_fused(classifier, fused, with_types=True)
    makers: dict[str, Callable[[], Runner]] = {
        "torch fp32": lambda: torch_on_gpu(classifier, torch.float32),
        "torch bf16": lambda: torch_on_gpu(classifier, torch.bfloat16),
        "portable": lambda: session_on_gpu(portable),
        "portable, TF32": lambda: session_on_gpu(portable, tf32=True),
        "portable, fp16": lambda: session_on_gpu(halve(portable, folder / "half.onnx")),
        "fused": lambda: session_on_gpu(fused),
        "fused, fp16": lambda: session_on_gpu(halve(fused, folder / "fused_half.onnx")),
    }
    found = {}
    for name, maker in makers.items():
        try:
            found[name] = maker()
            found[name](equal_length(2, 24, with_types=True))
        except Exception as err:  # a runtime that refuses is a row of the table
            found.pop(name, None)
            print(f"{name}: not run: {' '.join(str(err).split())[:300]}", flush=True)
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=16, help="random texts of the parity column")
    parser.add_argument("--rounds", type=int, default=30)
    asked = parser.parse_args()
    if not torch.cuda.is_available() or CUDA not in ort.get_available_providers():
        print("no CUDA device, or ONNX Runtime without CUDA: not run")
        return 0
    ort.preload_dlls()
    classifier = load(asked.checkpoint).module.classifier.cpu().eval()
    texts = random_sequences(classifier, asked.texts, longest=128, with_types=True)
    with tempfile.TemporaryDirectory() as folder:
        runners = make(classifier, Path(folder))
        batches = {
            f"{n} x {tokens}": equal_length(n, tokens, with_types=True) for n, tokens in SHAPES
        }
        found = measure(runners, batches, effort=Effort(asked.rounds, 0.03))
        versions = f"torch {torch.__version__}, ONNX Runtime {ort.__version__}"
        print(f"{torch.cuda.get_device_name(0)}, {versions}")
        print(f"| ms, median | {' | '.join(batches)} | logits differ by | labels differ |")
        print("|---|" + "---:|" * (len(batches) + 2))
        for name, run in runners.items():
            same = check_parity(run, classifier, texts, with_types=True)
            cells = [f"{found[name][shape].p50:.2f}" for shape in batches]
            cells += [f"{same.difference:.1e}", f"{same.flips} of {same.answers}"]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure training steps on a GPU in bf16: padded, packed, compiled, and both.

    python tests/benchmarks/gpu.py --rounds 30

Whole steps of model.packed and model.compiled: gradients set to zero, forward, backward, clipping,
fused AdamW. Each round times one step of every way in turn, on the same batch of random tokens and
in an order of its own; the figure is the median over the rounds, after some that compile. MFU is
the operations of the real tokens over the bf16 products that this GPU was measured at just before;
memory is what a step needs beside weights and optimizer. Attention has no dropout in any of them,
as packed sequences have none. A way that this torch or GPU refuses is left out with its reason;
`--base-shape` takes the shape of BERT-base with random weights. Without a GPU it says so.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from speed import MINILM, small_base_shape
from torch import Tensor

from lightning_tune.errors import ConfigError
from lightning_tune.models.encoder import DropoutSettings
from lightning_tune.models.flops import training_flops
from lightning_tune.schema import LabelSet
from lightning_tune.training.calibration import FULL_ON_GPU, QUICK_ON_CPU, measure
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.optim import OptimizerSettings, build_optimizer

WAYS: Mapping[str, dict[str, bool]] = {
    "padded": {},
    "packed": {"packed": True},
    "compiled": {"compiled": True},
    "packed and compiled": {"packed": True, "compiled": True},
}
COLUMNS = ("way", "ms", "samples/s", "over padded", "from", "to", "MFU", "memory MB")


class Stepping:
    """A model, its optimizer, and what its steps took."""

    def __init__(self, backbone: str, device: torch.device, settings: dict[str, bool]) -> None:
        torch.manual_seed(0)
        module = TextClassifier(
            backbone,
            LabelSet("binary", ("bad", "good")),
            dropout=DropoutSettings(attention=0.0),
            **settings,
        )
        module.configure_model()
        self.module = module.to(device).train()
        self.optimizer = build_optimizer(module.classifier.encoder, 2e-5, OptimizerSettings())
        self.device = device
        self.seconds: list[float] = []
        self.memory = 0

    def step(self, batch: dict[str, Tensor]) -> None:
        """Take one step, and note its seconds and the memory that it needed."""
        before = self._reset_memory()
        started = time.perf_counter()
        self.optimizer.zero_grad()
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = self.module.loss(self.module.classifier(batch), batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            self.memory = max(self.memory, torch.cuda.max_memory_allocated(self.device) - before)
        self.seconds.append(time.perf_counter() - started)

    def _reset_memory(self) -> int:
        if self.device.type != "cuda":
            return 0
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        return torch.cuda.memory_allocated(self.device)


def make_batch(args: argparse.Namespace, device: torch.device, words: int) -> dict[str, Tensor]:
    """Random tokens, their number anywhere from `shortest` to `longest`."""
    shape = (args.batch_size, args.longest)
    lengths = torch.randint(args.shortest, args.longest + 1, (args.batch_size, 1))
    lengths[0] = args.longest
    places = torch.arange(args.longest).expand(shape)
    ids = torch.randint(5, words, shape)
    mask = (places < lengths).long()
    batch = {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "labels": torch.randint(0, 2, (args.batch_size,)),
        "index": torch.arange(args.batch_size),
    }
    return {name: value.to(device) for name, value in batch.items()}


def build(backbone: str, device: torch.device, names: list[str]) -> dict[str, Stepping]:
    """Build each way, padded first; print why one is left out."""
    found = {}
    for name in dict.fromkeys(["padded", *names]):
        try:
            found[name] = Stepping(backbone, device, WAYS[name])
        except ConfigError as err:
            print(f"{name}: left out: {err}")
    return found


def report(ways: Mapping[str, Stepping], flops: list[float], peak: float | None, size: int) -> None:
    """Print a row for each way, of the rounds that flops were counted for."""
    rounds = len(flops)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    padded = ways["padded"].seconds[-rounds:]
    for name, way in ways.items():
        seconds = way.seconds[-rounds:]
        ratios = sorted(base / own for own, base in zip(seconds, padded, strict=True))
        middle = statistics.median(seconds)
        mfu = "?" if peak is None else f"{sum(flops) / sum(seconds) / peak:.1%}"
        row = (
            name,
            f"{1000 * middle:.1f}",
            f"{size / middle:.0f}",
            f"{statistics.median(ratios):.2f}",
            f"{ratios[rounds // 4]:.2f}",
            f"{ratios[-1 - rounds // 4]:.2f}",
            mfu,
            f"{way.memory / 1e6:.0f}",
        )
        print(f"| {' | '.join(row)} |")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default=MINILM)
    parser.add_argument("--base-shape", action="store_true")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--shortest", type=int, default=16, help="tokens")
    parser.add_argument("--longest", type=int, default=128, help="tokens")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=5, help="rounds that do not count")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--device", default="cuda", help="cpu tries the script, not the speed")
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: not run")
        return 0
    effort = FULL_ON_GPU if device.type == "cuda" else QUICK_ON_CPU
    peaks = measure(device, "bf16", effort)
    with tempfile.TemporaryDirectory() as folder:
        backbone = small_base_shape(Path(folder)) if args.base_shape else args.backbone
        ways = build(backbone, device, args.ways)
    encoder = ways["padded"].module.classifier.encoder
    count, words = training_flops(encoder), int(encoder.config.vocab_size)
    flops, real, cells = [], 0, 0
    for number in range(args.warmup + args.rounds):
        batch = make_batch(args, device, words)
        order = list(ways)
        random.Random(number).shuffle(order)
        for name in order:
            ways[name].step(batch)
        if number >= args.warmup:
            lengths = batch["attention_mask"].sum(1).cpu()
            flops.append(count.of(lengths))
            real, cells = real + int(lengths.sum()), cells + batch["input_ids"].numel()
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    texts = f"{args.batch_size} texts of {args.shortest} to {args.longest} tokens"
    print(f"{named}, torch {torch.__version__}, {args.rounds} rounds")
    print(f"{texts}, {1 - real / cells:.0%} padding")
    report(ways, flops, peaks[0].a_second if peaks else None, args.batch_size)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure what a training step costs under each objective, as a multiple of a plain one.

    python tests/benchmarks/objectives_cost.py --rounds 20

Steps are whole: gradients set to zero, forward, backward, clipping, optimizer. Each round times one
step of every objective in turn, on the same batch of random tokens and in an order of its own; the
ratio is the median over the rounds. The rate is 0, so that all train the same weights.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from lightning_tune.schema import LabelSet
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.objectives import (
    FGM,
    PGD,
    SMART,
    FGMRDrop,
    FitContext,
    FreeLB,
    Objective,
    Plain,
    RDrop,
)
from lightning_tune.training.optim import OptimizerSettings, build_optimizer

OBJECTIVES: Mapping[str, Objective] = {
    "Plain": Plain(),
    "FGM, without clean loss": FGM(clean_share=0.0),
    "FGM": FGM(),
    "PGD, 3 steps": PGD(),
    "FreeLB, 3 steps": FreeLB(),
    "RDrop": RDrop(),
    "FGMRDrop": FGMRDrop(),
    "SMART": SMART(),
}
GOALS = {"FGM, without clean loss": 1.7, "FGM": 2.0, "FreeLB, 3 steps": 2.8}
LABELS = LabelSet("binary", ("bad", "good"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=24, help="longest sequence of a batch")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    module = TextClassifier(args.backbone, LABELS)
    module.configure_model()
    module.to(args.device).train()
    optimizer = build_optimizer(module.classifier.encoder, 0.0, OptimizerSettings())
    for objective in OBJECTIVES.values():
        objective.prepare(FitContext(module.classifier))
    seconds: dict[str, list[float]] = {name: [] for name in OBJECTIVES}
    order = list(OBJECTIVES)
    for number in range(args.rounds + 1):
        batch = make_batch(args)
        random.Random(number).shuffle(order)
        for name in order:
            taken = step(module, OBJECTIVES[name], optimizer, batch, args)
            if number:  # the first round warms up
                seconds[name].append(taken)
    report(seconds)


def make_batch(args: argparse.Namespace) -> dict[str, Tensor]:
    """Random words between [CLS] and [SEP], nearly all of the same length, as buckets make them."""
    shape = (args.batch_size, args.tokens)
    ids = torch.randint(1000, 30000, shape)
    lengths = torch.randint(max(2, args.tokens - 2), args.tokens + 1, (args.batch_size, 1))
    places = torch.arange(args.tokens).expand(shape)
    ids = ids.masked_fill(places == 0, 101).masked_fill(places == lengths - 1, 102)
    mask = (places < lengths).long()
    batch = {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(ids),
        "labels": torch.randint(0, 2, (args.batch_size,)),
    }
    return {name: value.to(args.device) for name, value in batch.items()}


def step(
    module: TextClassifier,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    batch: dict[str, Tensor],
    args: argparse.Namespace,
) -> float:
    """Take one step, and return its seconds."""
    start = now(args.device)
    optimizer.zero_grad()
    with torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16"):
        loss, _ = objective(module.classifier, batch, module.loss)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
    objective.after_step(module.classifier)
    return now(args.device) - start


def now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def report(seconds: Mapping[str, list[float]]) -> None:
    plain = seconds["Plain"]
    print(f"{'objective':<26}{'ms':>8}{'ratio':>8}{'from':>8}{'to':>8}{'goal':>8}")
    for name, values in seconds.items():
        ratios = sorted(own / base for own, base in zip(values, plain, strict=True))
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        print(
            f"{name:<26}{1000 * statistics.median(values):8.1f}{statistics.median(ratios):8.2f}"
            f"{low:8.2f}{high:8.2f}{GOALS.get(name, ''):>8}"
        )


if __name__ == "__main__":
    main()

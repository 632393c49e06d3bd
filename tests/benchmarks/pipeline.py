"""From text to label in one process: a bundle beside transformers' pipeline on its checkpoint.

    python tests/benchmarks/pipeline.py --checkpoint best.ckpt --bundle bundle/ \
        --input ../shared/data/sst2_sentence/test.tsv

The pipeline computes in fp32, by batches of 1, 8 and 32 texts in the order of the file; the best of
them counts. Both sides start from the same list of texts, have as many threads, and go in turns;
the ratio is that of the medians. Accuracy of both stands beside it, as speed that costs answers is
none.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from lightning_tune import Bundle
from lightning_tune.training.inference import restored

SIZES = (1, 8, 32)


def read(path: Path) -> tuple[list[str], list[str]]:
    """Return texts and labels: of CSV with a header line, or of text, tab, label."""
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
        else:
            rows = [tuple(line.rstrip("\n").split("\t")) for line in file]  # type: ignore[misc]
    return [text for text, _ in rows], [label for _, label in rows]


def pipeline_of(checkpoint: str, max_length: int) -> Any:
    """Return transformers' own pipeline on the weights, tokenizer and labels of a checkpoint."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, pipeline

    from lightning_tune.models.backbones import LoadedTokenizer
    from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint

    stored = read_checkpoint(checkpoint)
    loaded = restored(stored, checkpoint)
    tokenizer = LoadedTokenizer(**stored[PACKAGE_KEY]["tokenizer"])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tokenizer.json),
        model_max_length=max_length,
        **{name: value for name, value in tokenizer.config.items() if name.endswith("_token")},
    )
    model = loaded.module.classifier.encoder.float().eval()
    model.config.id2label = dict(enumerate(loaded.labels.names))
    return pipeline("text-classification", model=model, tokenizer=fast, device="cpu")


def in_turns(works: dict[str, Callable[[], list[str]]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each round of each; the order turns with the rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            began = time.perf_counter()
            works[name]()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def accuracy(found: Sequence[str], labels: Sequence[str]) -> float:
    """Return the share of right answers in percent."""
    return 100 * sum(map(str.__eq__, found, labels)) / len(labels)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True, help="what the bundles were exported of")
    parser.add_argument("--bundle", required=True, nargs="+")
    parser.add_argument("--input", required=True, type=Path, help="texts with labels")
    parser.add_argument("--rows", type=int, default=None, help="so many of them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    texts, labels = (column[: asked.rows] for column in read(asked.input))
    bundles = {path: Bundle(path, threads=asked.threads) for path in asked.bundle}
    encoding = next(iter(bundles.values())).manifest.encoding
    pipe = pipeline_of(asked.checkpoint, encoding.max_length)
    works: dict[str, Callable[[], list[str]]] = {}
    for size in SIZES:
        works[f"pipeline, batches of {size}"] = lambda size=size: [
            each["label"] for each in pipe(texts, batch_size=size, truncation=True)
        ]
    for path, bundle in bundles.items():
        works[path] = lambda bundle=bundle: [each.label for each in bundle(texts)]
    points = {name: accuracy(work(), labels) for name, work in works.items()}  # warms up as well
    rounds = in_turns(works, asked.rounds)
    seconds = {name: statistics.median(times) for name, times in rounds.items()}
    best = min(list(seconds)[: len(SIZES)], key=seconds.__getitem__)
    print(f"{len(texts)} texts, {asked.threads} threads, {asked.rounds} rounds")
    print("| | texts/s | over the best pipeline | accuracy, % |\n|---|---:|---:|---:|")
    for name, taken in seconds.items():
        ratio = seconds[best] / taken
        print(f"| {name} | {len(texts) / taken:,.0f} | {ratio:.2f} | {points[name]:.2f} |")


if __name__ == "__main__":
    main()

"""Prune fitted checkpoints; print what is lost, with and without recovery, and how long it takes.

    python tests/benchmarks/pruning.py --checkpoints sst2=best.ckpt banking77=best.ckpt

A data set may be named several times, for checkpoints of several seeds. The data are those that the
checkpoint names, unless --data says where they are now. All choices are made on train and
validation; the test split is read for the unpruned model and for each row of the table. Leave the
machine to it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint
from lightning_tune.models.classifier import Classifier
from lightning_tune.schema import LabelSet
from lightning_tune.tables import TableFormat
from lightning_tune.training.inference import load
from lightning_tune.training.module import TextClassifier
from lightning_tune_export.prune.probing import fast_products, plain_classifier
from lightning_tune_export.prune.pruning import PruneSettings, prune_classifier
from lightning_tune_export.prune.rebuilding import write_pruned
from lightning_tune_export.prune.recover import RecoverSettings
from lightning_tune_export.prune.vocabulary import prune_vocabulary

ROWS = ("0.65:0", "0.35:0", "0.35:1", "0.2:1")
COLUMNS = ("data", "kept", "epochs", "before", "after", "points lost", "same labels", "seconds")


def open_checkpoint(path: str, changes: dict[str, str]) -> tuple[TextClassifier, TextDataModule]:
    """Load a checkpoint's module, and its data as it names them."""
    ours = read_checkpoint(path)[PACKAGE_KEY]
    settings = {**ours["data"], "format": TableFormat(**ours["data"]["format"]), **changes}
    labels = LabelSet.from_dict(ours["labels"])
    data = TextDataModule(**settings, tokenizer=path, labels=labels)
    data.setup()
    return load(path).module, data


@torch.inference_mode()
def answers(classifier: Classifier, data: TextDataModule) -> tuple[Tensor, Tensor]:
    """Return the answers to the test split in its order, and its labels."""
    found, labels, places = [], [], []
    for batch in data.test_dataloader():
        with fast_products():
            found.append(classifier(batch).argmax(dim=1))
        labels.append(batch["labels"])
        places.append(batch["index"])
    order = torch.cat(places).argsort()
    return torch.cat(found)[order], torch.cat(labels)[order]


def accuracy(found: tuple[Tensor, Tensor]) -> float:
    """Return the share of right answers, in percent."""
    return 100 * float((found[0] == found[1]).float().mean())


def run(path: str, row: str, base: PruneSettings, changes: dict[str, str]) -> dict[str, Any]:
    """Prune one checkpoint in one way."""
    keep, epochs = row.split(":")
    module, data = open_checkpoint(path, changes)
    recovery = dataclasses.replace(base.recover, epochs=int(epochs))
    settings = dataclasses.replace(base, keep=float(keep), recover=recovery)
    start = time.perf_counter()
    report = prune_classifier(module, data, settings)
    seconds = time.perf_counter() - start
    before = answers(plain_classifier(module), data)
    after = answers(plain_classifier(report.module), data)
    return {
        "before": accuracy(before),
        "after": accuracy(after),
        "same": 100 * float((before[0] == after[0]).float().mean()),
        "seconds": seconds,
        "report": report.to_dict(),
    }


def show(name: str, row: str, found: Sequence[dict[str, Any]]) -> str:
    """Return a row of the table: means over the checkpoints, and each one's points."""
    lost = [each["before"] - each["after"] for each in found]
    each_lost = ", ".join(f"{value:+.2f}" for value in lost)

    def mean(key: str) -> float:
        return statistics.mean(each[key] for each in found)

    keep, epochs = row.split(":")
    cells = [
        name,
        f"{float(keep):.0%}",
        epochs,
        f"{mean('before'):.2f}",
        f"{mean('after'):.2f}",
        f"{statistics.mean(lost):.2f} ({each_lost})",
        f"{mean('same'):.2f} %",
        f"{mean('seconds'):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def vocabulary(path: str, changes: dict[str, str]) -> str:
    """Return a line on what a smaller vocabulary gains and changes."""
    module, data = open_checkpoint(path, changes)
    smaller, found = prune_vocabulary(module, data)
    before = answers(plain_classifier(module), data)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "smaller.ckpt"
        write_pruned(read_checkpoint(path), smaller, file, tokenizer=found.tokenizer.to_dict())
        reloaded, again = open_checkpoint(str(file), changes)
        after = answers(plain_classifier(reloaded), again)
    sizes = [sum(w.numel() for w in each.classifier.parameters()) for each in (module, smaller)]
    return (
        f"{module.classifier.encoder.config.vocab_size:,} tokens to {len(found.kept):,}, "
        f"{sizes[0] / 1e6:.1f} to {sizes[1] / 1e6:.1f} million weights, test accuracy "
        f"{accuracy(before):.2f} to {accuracy(after):.2f}, "
        f"{100 * float((before[0] == after[0]).float().mean()):.2f} % same labels"
    )


def main() -> None:
    """Print a row for each data set and way of pruning, as it ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoints", nargs="+", required=True, help="NAME=best.ckpt …")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), help="KEEP:EPOCHS …")
    parser.add_argument("--by", default=PruneSettings.by, choices=["weights", "flops", "latency"])
    parser.add_argument("--texts", type=int, default=PruneSettings.texts)
    parser.add_argument("--lr", type=float, default=RecoverSettings.lr)
    parser.add_argument("--hidden", type=float, default=RecoverSettings.hidden)
    parser.add_argument("--vocabulary", action="store_true", help="prune vocabularies as well")
    parser.add_argument("--data", nargs="*", default=[], help="train=FILE val=FILE test=FILE")
    parser.add_argument("--output", type=Path, help="write all figures there, as JSON")
    asked = parser.parse_args()
    changes = dict(each.split("=", 1) for each in asked.data)
    named: dict[str, list[str]] = {}
    for name, path in (each.split("=", 1) for each in asked.checkpoints):
        named.setdefault(name, []).append(path)
    base = PruneSettings(
        by=asked.by,
        texts=asked.texts,
        recover=RecoverSettings(lr=asked.lr, hidden=asked.hidden),
    )
    kept: dict[str, Any] = {}
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for name, paths in named.items():
        for row in asked.rows:
            found = [run(path, row, base, changes) for path in paths]
            kept[f"{name} {row}"] = found
            print(show(name, row, found), flush=True)
    if asked.vocabulary:
        for name, paths in named.items():
            print(f"{name}: {vocabulary(paths[0], changes)}", flush=True)
    if asked.output:
        asked.output.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()

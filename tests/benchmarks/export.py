"""Graphs and int8 of fine-tuned checkpoints: parity, points, speed, size, and who is faster.

    python tests/benchmarks/export.py --sst2 A.ckpt [B.ckpt …] --banking77 C.ckpt [D.ckpt …]

Checkpoints of one task are seeds: points and agreement are their mean, and speed is measured on the
first. All contenders compute with as many threads and are timed in turns; a ratio is that of the
medians over all turns, and the fastest calls stand beside it. `--base-shape` adds the shape of
BERT-base with random weights: parity and speed only. `--rounds 40` for a quiet machine;
`--processor-time --threads 1` for a busy one.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from lightning_tune_export.activations import watch
from lightning_tune_export.candidates import (
    Candidate,
    Candidates,
    QuantizeSettings,
    make_candidates,
)
from lightning_tune_export.contenders import (
    onnx_runner,
    onnx_session,
    openvino_runner,
    torch_runner,
    torch_threads,
)
from lightning_tune_export.measure import Batch, Effort, Runner, equal_length, measure
from lightning_tune_export.parity import Parity, check_parity, random_sequences
from lightning_tune_export.quantize import static_int8
from lightning_tune_export.smoothing import factors_of

SHAPES = ((1, 24), (1, 128), (32, 24), (16, 128))
BATCH, CALIBRATION, VALIDATION = 32, 1024, 128


@dataclass(frozen=True)
class Task:
    """Where a task's texts are.

    Args:
        train: File below the data folder.
        validation: The same; of a task without one, the last rows of train.
        test: The same.
    """

    train: str
    validation: str | None
    test: str


TASKS = {
    "sst2": Task("sst2_sentence/train.tsv", "sst2_sentence/dev.tsv", "sst2_sentence/test.tsv"),
    "banking77": Task("banking77/train.csv", None, "banking77/test.csv"),
}


def read(path: Path) -> tuple[list[str], list[str]]:
    """Return texts and labels: of CSV with a header line, or of text, tab, label."""
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
        else:
            rows = [
                (text, label) for text, label in (line.rstrip("\n").split("\t") for line in file)
            ]
    return [text for text, _ in rows], [label for _, label in rows]


def batches(loaded: Any, texts: list[str]) -> list[dict[str, NDArray[Any]]]:
    """Return texts in batches of like length, as training and serving make them."""
    from lightning_tune.data.batching import BatchSettings

    made = loaded.batches(texts, None, BatchSettings(BATCH, None))
    return [{name: values.numpy() for name, values in batch.items()} for batch in made]


def arrays(batch: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return what a graph takes of a batch."""
    return {name: values for name, values in batch.items() if name != "index"}


def answers(run: Runner, asked: list[dict[str, NDArray[Any]]]) -> NDArray[np.float32]:
    """Return the logits of all texts, in their order."""
    found = np.concatenate([run(arrays(batch)) for batch in asked])
    return found[np.concatenate([batch["index"] for batch in asked]).argsort()]


def export(loaded: Any, task: Task, data: Path, work: Path, *, mixed: bool) -> Candidates:
    """Make all graphs of a checkpoint; statistics from train, sensitivity from validation."""
    texts, _ = read(data / task.train)
    order = np.random.default_rng(0).permutation(len(texts))
    train = [texts[place] for place in order[:CALIBRATION]]
    held = [texts[place] for place in order[-VALIDATION:]]
    if task.validation is not None:
        held = read(data / task.validation)[0][:VALIDATION]
    return make_candidates(
        loaded.module.classifier,
        [arrays(batch) for batch in batches(loaded, train)],
        QuantizeSettings(mixed=mixed),
        work,
        with_types=True,
        validation=[arrays(batch) for batch in batches(loaded, held)],
    )


def open_graph(graph: Candidate, threads: int) -> Runner:
    """Return what answers by a candidate."""
    disabled = graph.disabled_optimizers
    return onnx_runner(onnx_session(graph.path, threads=threads, disabled_optimizers=disabled))


def told(name: str, found: Parity) -> str:
    """Return a line on parity."""
    return (
        f"parity {name:12} {found.texts} texts in {found.answers} places: largest difference "
        f"{found.difference:.1e}, {found.flips} labels differ"
    )


def quality(
    loaded: Any, made: Candidates, task: Task, data: Path, threads: int
) -> dict[str, dict[str, float]]:
    """Return points lost, agreement, and flips between batch companies, by graph."""
    texts, names = read(data / task.test)
    asked = batches(loaded, texts)
    labels = np.array([list(loaded.labels.names).index(name) for name in names])
    exact = answers(torch_runner(loaded.module.classifier, "float32"), asked)
    alone = [batch for text in range(0, len(texts), 4) for batch in batches(loaded, [texts[text]])]
    right = exact.argmax(1) == labels
    found = {}
    for graph in made.graphs:
        run = open_graph(graph, threads)
        logits = answers(run, asked)
        single = np.concatenate([run(arrays(batch)) for batch in alone]).argmax(1)
        found[graph.name] = {
            "accuracy": float(right.mean()),
            "lost": 100 * float(right.mean() - (logits.argmax(1) == labels).mean()),
            "agree": 100 * float((logits.argmax(1) == exact.argmax(1)).mean()),
            "difference": float(np.abs(logits - exact).max()),
            "company": 100 * float((single != logits[::4].argmax(1)).mean()),
            "size": 100 * graph.path.stat().st_size / made.graphs[0].path.stat().st_size,
        }
    return found


def contenders(
    classifier: Any, made: Candidates, calibration: list[Batch], work: Path, threads: int
) -> dict[str, Runner]:
    """Return all that are timed, by name."""
    found = {
        "torch fp32": torch_runner(classifier, "float32"),
        "torch bf16": torch_runner(classifier, "bfloat16"),
    }
    found |= {graph.name: open_graph(graph, threads) for graph in made.graphs}
    if find_spec("openvino") is None:
        print("OpenVINO is not installed (extra openvino): it is left out")
        return found
    portable = made.graphs[0].path
    seen = watch(portable, calibration)
    factors = factors_of(onnx.load(portable), seen)
    static_int8(portable, work / "qdq.onnx", seen, factors=factors, form="qdq", tables=False)
    found["OpenVINO fp32"] = openvino_runner(portable, threads=threads, precision="f32")
    found["OpenVINO bf16"] = openvino_runner(portable, threads=threads, precision="bf16")
    found["OpenVINO int8"] = openvino_runner(work / "qdq.onnx", threads=threads, precision="f32")
    return found


def effort(asked: argparse.Namespace, rounds: int) -> Effort:
    """Return how much is measured, and by which clock."""
    clock = time.process_time if asked.processor_time else time.perf_counter
    return Effort(rounds, 0.03, clock)


def race(
    runners: Mapping[str, Runner], shapes: tuple[tuple[int, int], ...], effort: Effort
) -> None:
    """Time all and print their rows."""
    asked = {
        f"{texts} x {tokens}": equal_length(texts, tokens, with_types=True)
        for texts, tokens in shapes
    }
    found = measure(runners, asked, effort=effort)
    print(f"{'ms: median (fastest)':22}" + "".join(f"{name:>30}" for name in asked))
    for name, latencies in found.items():
        cells = ""
        for shape, latency in latencies.items():
            base = found["torch fp32"][shape]
            cells += (
                f"{latency.p50:9.2f} ({latency.best:6.2f}) {base.p50 / latency.p50:5.2f}x"
                f" ({base.best / latency.best:.1f})"
            )
        print(f"{name:20} {cells}", flush=True)


def run_task(name: str, checkpoints: list[Path], asked: argparse.Namespace) -> None:
    """Print the rows of one task."""
    from lightning_tune.training.inference import load

    task, rows = TASKS[name], []
    for number, path in enumerate(checkpoints):
        loaded = load(path)
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            made = export(loaded, task, asked.data, work, mixed=not asked.skip_quality)
            if not asked.skip_quality:
                rows.append(quality(loaded, made, task, asked.data, asked.threads))
            if number or not asked.rounds:
                continue
            classifier = loaded.module.classifier
            texts = random_sequences(classifier, asked.texts, longest=128, with_types=True)
            for graph in made.graphs[:2]:
                run = open_graph(graph, asked.threads)
                print(told(graph.name, check_parity(run, classifier, texts, with_types=True)))
            train = read(asked.data / task.train)[0][:256]
            calibration = [arrays(batch) for batch in batches(loaded, train)]
            runners = contenders(classifier, made, calibration, work, asked.threads)
            race(runners, SHAPES, effort(asked, asked.rounds))
    if not rows:
        return
    print(
        f"{name}, mean of {len(rows)}: accuracy of the checkpoints "
        f"{statistics.mean(next(iter(row.values()))['accuracy'] for row in rows):.4f}"
    )
    for graph in rows[0]:
        each = {key: statistics.mean(row[graph][key] for row in rows) for key in rows[0][graph]}
        print(
            f"{graph:20} points lost {each['lost']:5.2f}   labels agree {each['agree']:6.2f} %   "
            f"largest difference {each['difference']:.3f}   alone or in company: "
            f"{each['company']:.2f} % flip   size {each['size']:5.1f} %",
            flush=True,
        )


def run_base_shape(asked: argparse.Namespace) -> None:
    """Print parity and speed of the shape of BERT-base, whose weights are random."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from lightning_tune.models.classifier import Classifier

    torch.manual_seed(0)
    classifier = Classifier(BertForSequenceClassification(BertConfig())).eval()
    calibration = [equal_length(8, 32, with_types=True, vocabulary=30000)]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        settings = QuantizeSettings(mixed=False)
        made = make_candidates(classifier, calibration, settings, work, with_types=True)
        texts = random_sequences(classifier, 32, longest=64, with_types=True)
        print("the shape of BERT-base, weights random")
        for graph in made.graphs[:2]:
            run = open_graph(graph, asked.threads)
            print(told(graph.name, check_parity(run, classifier, texts, with_types=True)))
        runners = contenders(classifier, made, calibration, work, asked.threads)
        race(runners, ((1, 24), (16, 128)), effort(asked, max(3, asked.rounds // 4)))


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    for name in TASKS:
        parser.add_argument(f"--{name}", nargs="*", type=Path, default=[])
    parser.add_argument("--texts", type=int, default=2000, help="random texts of the parity rows")
    parser.add_argument("--rounds", type=int, default=15, help="0: points only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--processor-time", action="store_true", help="on a busy machine, with --threads 1"
    )
    parser.add_argument("--skip-quality", action="store_true", help="speed and parity only")
    parser.add_argument("--base-shape", action="store_true")
    asked = parser.parse_args()
    with torch_threads(asked.threads):
        for name in TASKS:
            if getattr(asked, name):
                run_task(name, getattr(asked, name), asked)
        if asked.base_shape:
            run_base_shape(asked)


if __name__ == "__main__":
    main()

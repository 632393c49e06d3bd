"""Fine-tune with the HF Trainer and with this package, interleaved: samples a second, accuracy.

    python tests/benchmarks/speed.py --data ../shared/data --only sst2 banking77 --seeds 42 43 44

Same encoder, texts, epochs, batch size, optimizer, schedule, clipping and threads; one process a
run, so that no side inherits the other's memory. Only the training itself is timed: not imports,
tokenization or evaluation. `trainer` is the HF Trainer by its defaults (fp32, padding to the
longest of a random batch), `tuned` the best we know of it (bf16, batches of like length, fused
AdamW, padding to multiples of 8). With --base-shape all train the shape of BERT-base from random
weights for some steps: speed only. Needs accelerate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SIDES = ("ours", "tuned", "trainer")
TASKS: dict[str, dict[str, Any]] = {
    "sst2": {
        "train": "sst2_sentence/train.tsv",
        "test": "sst2_sentence/test.tsv",
        "val": "sst2_sentence/dev.tsv",
        "columns": ["text", "label"],
        "label": "label",
        "lr": 5e-5,
        "smoothing": 0.1,
        "epochs": 3,
        "max_length": 64,
    },
    "banking77": {
        "train": "banking77/train.csv",
        "test": "banking77/test.csv",
        "val": None,
        "columns": None,
        "label": "category",
        "lr": 1e-4,
        "smoothing": 0.1,
        "epochs": 10,
        "max_length": 64,
    },
}
BATCH, WARMUP, DECAY, CLIP = 32, 0.06, 0.01, 1.0


def data_module(task: dict[str, Any], data: Path, seed: int) -> Any:
    """Return the data module of a task; both sides read their texts and labels from it."""
    from lightning_tune import TextDataModule

    module = TextDataModule(
        str(data / task["train"]),
        str(data / task["val"]) if task["val"] else None,
        str(data / task["test"]),
        columns=task["columns"],
        label=task["label"],
        max_length=task["max_length"],
        batch_size=BATCH,
        tokenizer=MINILM,
        seed=seed,
    )
    module.setup()
    return module


def small_base_shape(folder: Path) -> str:
    """Write an encoder of the shape of BERT-base with random weights and MiniLM's tokenizer."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from lightning_tune.models.backbones import resolve

    torch.manual_seed(0)
    BertModel(BertConfig()).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve(MINILM)).save_pretrained(folder)
    return str(folder)


def run_ours(
    dm: Any, task: dict[str, Any], backbone: str, seed: int, steps: int, *, accelerator: str
) -> dict[str, Any]:
    """Train with this package, as the command line does, without checkpoints and reports."""
    import lightning as L
    import torch

    from lightning_tune import TextClassifier
    from lightning_tune.training.losses import LossSettings

    class Clock(L.Callback):
        seconds = 0.0

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self.seconds = time.perf_counter()

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            self.seconds = time.perf_counter() - self.seconds

    L.seed_everything(seed, verbose=False)
    clock = Clock()
    module = TextClassifier(
        backbone, dm.label_set, lr=task["lr"], loss=LossSettings(label_smoothing=task["smoothing"])
    )
    trainer = L.Trainer(
        max_epochs=task["epochs"],
        max_steps=steps,
        precision="bf16-mixed",
        accelerator=accelerator,
        gradient_clip_val=CLIP,
        callbacks=[clock],
        logger=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, datamodule=dm)
    done = trainer.global_step
    found: dict[str, Any] = {"seconds": clock.seconds, "steps": done}
    if steps < 0:
        with torch.inference_mode():
            tested = trainer.test(module, datamodule=dm, verbose=False)
        found["accuracy"] = float(tested[0]["test/accuracy"])
    return found


def run_trainer(
    dm: Any,
    task: dict[str, Any],
    backbone: str,
    seed: int,
    steps: int,
    *,
    tuned: bool,
    accelerator: str,
) -> dict[str, Any]:
    """Train with the HF Trainer."""
    import numpy as np
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    from lightning_tune.models.backbones import resolve

    folder = resolve(backbone)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=dm.label_set.num_outputs
    )
    better: dict[str, Any] = {
        "bf16": True,
        "train_sampling_strategy": "group_by_length",
        "optim": "adamw_torch_fused",
    }
    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(
            output_dir=output,
            use_cpu=accelerator == "cpu",
            seed=seed,
            num_train_epochs=task["epochs"],
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=BATCH,
            learning_rate=task["lr"],
            weight_decay=DECAY,
            warmup_steps=WARMUP,
            max_grad_norm=CLIP,
            label_smoothing_factor=task["smoothing"],
            dataloader_pin_memory=accelerator != "cpu",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **(better if tuned else {}),
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=examples(dm.train_data),
            data_collator=DataCollatorWithPadding(
                tokenizer, pad_to_multiple_of=8 if tuned else None
            ),
        )
        state = trainer.train()
        found = {"seconds": state.metrics["train_runtime"], "steps": state.global_step}
        if steps < 0:
            answers = trainer.predict(examples(dm.test_data))
            right = np.argmax(answers.predictions, axis=1) == answers.label_ids
            found["accuracy"] = float(right.mean())
    return found


def examples(split: Any) -> list[dict[str, Any]]:
    """Return a split as the HF Trainer takes it."""
    rows = (split[index] for index in range(len(split)))
    return [
        {"input_ids": r["input_ids"], "length": len(r["input_ids"]), "labels": r["target"]}
        for r in rows
    ]


def work(asked: argparse.Namespace) -> None:
    """Run one side once and print what it measured."""
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    task = TASKS[asked.only[0]]
    if asked.epochs:
        task = task | {"epochs": asked.epochs}
    seed = asked.seeds[0]
    dm = data_module(task, asked.data, seed)
    with tempfile.TemporaryDirectory() as folder:
        backbone = small_base_shape(Path(folder)) if asked.base_shape else MINILM
        if asked.worker == "ours":
            found = run_ours(dm, task, backbone, seed, asked.steps, accelerator=asked.accelerator)
        else:
            tuned = asked.worker == "tuned"
            found = run_trainer(
                dm, task, backbone, seed, asked.steps, tuned=tuned, accelerator=asked.accelerator
            )
    seen = found["steps"] * BATCH if asked.steps > 0 else len(dm.train_data) * task["epochs"]
    print(json.dumps(found | {"samples_per_second": seen / found["seconds"]}))


def measure(side: str, task: str, seed: int, flags: list[str]) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--worker", side, "--only", task, "--seeds", str(seed)]
    done = subprocess.run([*command, *flags], stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def compare(task: str, seeds: list[int], sides: list[str], flags: list[str]) -> None:
    """Run all sides seed by seed, in changing order, and print rates, ratios and accuracies."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for turn, seed in enumerate(seeds):
        for side in sides if turn % 2 == 0 else reversed(sides):
            found[side].append(measure(side, task, seed, flags))
            print(f"  {task} seed {seed} {side}: {found[side][-1]}", file=sys.stderr, flush=True)
    each: Callable[[str, str], list[float]] = lambda side, key: [r[key] for r in found[side]]  # noqa: E731
    for side in sides:
        rates = each(side, "samples_per_second")
        line = f"{task:10} {side:8} {statistics.median(rates):6.1f} samples/s"
        if side != "ours":
            ratios = [a / b for a, b in zip(each("ours", "samples_per_second"), rates, strict=True)]
            line += f"   ours is {statistics.median(ratios):.2f}x"
            line += f" ({min(ratios):.2f} to {max(ratios):.2f})"
        if "accuracy" in found[side][0]:
            values = each(side, "accuracy")
            line += f"   accuracy {statistics.mean(values):.4f}"
            line += f" ({' '.join(f'{value:.4f}' for value in values)})"
        print(line, flush=True)


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[42, 43, 44])
    parser.add_argument("--sides", nargs="*", default=list(SIDES), choices=SIDES)
    parser.add_argument("--steps", type=int, default=-1, help="so many steps: speed only")
    parser.add_argument("--epochs", type=int, help="instead of the task's own")
    parser.add_argument("--base-shape", action="store_true", help="the shape of BERT-base")
    parser.add_argument("--accelerator", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        return work(asked)
    flags = ["--data", str(asked.data), "--steps", str(asked.steps)]
    flags += ["--accelerator", asked.accelerator]
    flags += ["--base-shape"] if asked.base_shape else []
    flags += ["--epochs", str(asked.epochs)] if asked.epochs else []
    for task in asked.only:
        compare(task, asked.seeds, asked.sides, flags)
    return None


if __name__ == "__main__":
    main()

"""For the tests that train: a small data set, the words of a tiny fit, W&B without an account."""

from __future__ import annotations

import csv
import json
import os
import signal
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import lightning as L
import pytest
import wandb
from wandb.proto.wandb_internal_pb2 import ArtifactRecord, Record

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.training.callbacks.checkpointing import WholeFileCheckpointIO
from lightning_tune.training.defaults import default_callbacks
from lightning_tune.training.module import TextClassifier

BLOCK, FILE_HEADER, FRAME_HEADER = 32768, 7, 7  # bytes of LevelDB's log format, as W&B has it
FULL, LAST = 1, 4
SCRIPT_SECONDS = 130  # of a script on one rank or on two; a test has 300 in all
EXPECTED_WARNINGS = (  # Lightning's advice to a script, which the command line leaves out too
    r".*does not have many workers.*",
    r".*in eval mode at the start of training.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*callbacks used to create the checkpoint.*",
)
WORDS = {"good": ["great", "love", "best", "good"], "bad": ["worst", "poor", "wrong", "bad"]}


@pytest.fixture(scope="session")
def write_splits() -> Callable[..., None]:
    """Return a function that writes train.csv, val.csv and test.csv: 48, 16 and 24 rows.

    Every text starts with a word of one's own.
    """

    def write(folder: Path, word: str = "the") -> None:
        for split, rows in (("train", 48), ("val", 16), ("test", 24)):
            with (folder / f"{split}.csv").open("w", newline="") as file:
                out = csv.writer(file)
                out.writerow(["text", "label"])
                for row in range(rows):
                    label = ("good", "bad")[row % 2]
                    told = WORDS[label][row // 2 % 4]
                    out.writerow([f"{word} film of {split} {row} is {told}", label])

    return write


@pytest.fixture(scope="session")
def run_on_ranks(tiny_backbone: Callable[[str], Path]) -> Callable[..., None]:
    """Return a function that runs a script in a folder, on one rank and on two.

    The script is called with a tiny encoder's folder and the number of ranks. It has a session of
    its own: where a rank hangs, all are killed and the test fails.
    """

    def run(
        script: str, folder: Path, *, ranks: Sequence[int] = (1, 2), fails: bool = False
    ) -> None:
        (folder / "script.py").write_text(script)
        for count in ranks:
            words = [sys.executable, "script.py", str(tiny_backbone("bert")), str(count)]
            with (folder / "printed.txt").open("w") as printed:  # a pipe would wait for all ranks
                started = subprocess.Popen(
                    words, cwd=folder, stdout=printed, stderr=printed, start_new_session=True
                )
                try:
                    code = started.wait(SCRIPT_SECONDS)
                finally:
                    with suppress(ProcessLookupError):
                        os.killpg(started.pid, signal.SIGKILL)
            assert fails or code == 0, (folder / "printed.txt").read_text()[-3000:]

    return run


@pytest.fixture(scope="session")
def tiny_fit(tiny_backbone: Callable[[str], Path]) -> list[str]:
    """Return the words of a fit on train.csv and val.csv: two epochs of six steps."""
    return [
        "fit",
        "--data.train=train.csv",
        "--data.val=val.csv",
        "--data.max_length=32",
        "--data.batch_size=8",
        f"--model.backbone={tiny_backbone('bert')}",
        "--model.lr=0.01",
        "--trainer.max_epochs=2",
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
        "--trainer.log_every_n_steps=2",
    ]


@pytest.fixture(scope="session")
def without_account() -> Callable[[pytest.MonkeyPatch, Path], None]:
    """Return a function that ends W&B's session and moves all its files into a folder."""

    def arrange(patch: pytest.MonkeyPatch, folder: Path) -> None:
        wandb.teardown()
        patch.setattr("wandb.run", None)  # what a test that broke `finish` left behind
        patch.chdir(folder)
        for name in ("HOME", "XDG_CACHE_HOME", "WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
            patch.setenv(name, str(folder / name.lower()))
        for name in ("API_KEY", "BASE_URL", "MODE", "DIR", "CONFIG_DIR", "IDENTITY_TOKEN_FILE"):
            patch.delenv(f"WANDB_{name}", raising=False)
        patch.delenv("NETRC", raising=False)

    return arrange


@pytest.fixture
def account(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    without_account: Callable[[pytest.MonkeyPatch, Path], None],
) -> Iterator[Path]:
    """An empty folder to work in, without a W&B account."""
    without_account(monkeypatch, tmp_path)
    yield tmp_path
    wandb.teardown()


@pytest.fixture
def work(account: Path, write_splits: Callable[..., None]) -> Path:
    """The same with the three splits."""
    write_splits(account)
    return account


@pytest.fixture(scope="session")
def recorded_in() -> Callable[[Path], list[Recorded]]:
    """Return a function: a folder -> the W&B runs recorded below it, the oldest first."""

    def read(root: Path) -> list[Recorded]:
        wandb.teardown()  # W&B 0.31 writes on for a moment after a run's end
        files = sorted(root.rglob("*.wandb"), key=lambda file: file.stat().st_mtime)
        return [read_back(file) for file in files]

    return read


@dataclass
class Recorded:
    """What a .wandb file holds."""

    folder: Path
    run: Any = None
    exit_code: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[ArtifactRecord] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)

    def curve(self, name: str) -> list[tuple[int, float]]:
        return [(row["trainer/global_step"], row[name]) for row in self.history if name in row]

    def table(self, name: str) -> dict[str, list[Any]]:
        """The columns of a table: its newest file, as the history names it."""
        (entry,) = [row[name] for row in self.history if name in row]
        values = json.loads((self.folder / "files" / entry["path"]).read_text())
        return dict(
            zip(values["columns"], map(list, zip(*values["data"], strict=True)), strict=True)
        )


def read_back(file: Path) -> Recorded:
    """Read a .wandb file: LevelDB's log framing around protobuf records."""
    found = Recorded(file.parent)
    for record in map(Record.FromString, framed(file.read_bytes())):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = found.run or record.run
            add(found.config, record.run.config.update)
        elif kind == "config":
            add(found.config, record.config.update)
        elif kind == "summary":
            add(found.summary, record.summary.update)
        elif kind == "history":
            found.history.append(add({}, record.history.item))
        elif kind == "artifact":
            found.artifacts.append(record.artifact)
        elif kind == "metric":
            found.steps[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def framed(data: bytes) -> Iterator[bytes]:
    at, part = FILE_HEADER, b""
    while at + FRAME_HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < FRAME_HEADER:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        part += data[at + FRAME_HEADER : at + FRAME_HEADER + length]
        at += FRAME_HEADER + length
        if kind in (FULL, LAST):
            yield part
            part = b""


def add(values: dict[str, Any], items: Any) -> dict[str, Any]:
    for item in items:
        keys = list(item.nested_key) or [item.key]
        inner = values
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = json.loads(item.value_json)
    return values


@dataclass
class Trained:
    """A fit from Python: its parts, and the folder it wrote into."""

    module: TextClassifier
    data: TextDataModule
    trainer: L.Trainer
    folder: Path

    @property
    def best(self) -> Path:
        return self.folder / "checkpoints" / "best.ckpt"


LABELS = {
    "binary": ["good", "bad"],
    "multiclass": ["good", "bad", "odd"],
    "multilabel": ["good", "good|odd", "bad", ""],
    "regression": ["0.5", "1.5", "2.5", "4.0"],
}


@pytest.fixture
def write_task(tmp_path: Path) -> Callable[..., Path]:
    """Return a function: a task kind -> a csv of 48 rows with text, other, label and weight."""

    def write(kind: str, rows: int = 48) -> Path:
        labels = LABELS[kind]
        file = tmp_path / f"{kind}.csv"
        with file.open("w", newline="") as opened:
            out = csv.writer(opened)
            out.writerow(["text", "other", "label", "weight"])
            for row in range(rows):
                word = ("great", "worst", "odd", "slow")[row % len(labels)]
                text = f"film {row} is {word} {'very ' * (row % 3)}".strip()
                out.writerow([text, f"about film {row}", labels[row % len(labels)], row % 2])
        return file

    return write


@pytest.fixture
def train(
    tmp_path: Path, tiny_backbone: Callable[[str], Path], write_task: Callable[..., Path]
) -> Callable[..., Trained]:
    """Return a function that fits a tiny BERT on the rows of a task kind, as a script would."""

    def fit(
        kind: str = "binary",
        *,
        file: Path | None = None,
        data: Mapping[str, Any] = MappingProxyType({}),
        model: Mapping[str, Any] = MappingProxyType({}),
        trainer: Mapping[str, Any] = MappingProxyType({}),
        callbacks: Sequence[L.Callback] = (),
        of: type[TextClassifier] = TextClassifier,
        folder: str = "run",
        ckpt_path: Path | None = None,
    ) -> Trained:
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        L.seed_everything(1, verbose=False)
        backbone = str(tiny_backbone("bert"))
        settings = {
            "tokenizer": backbone,
            "max_length": 32,
            "batch_size": 8,
            "cache_dir": str(tmp_path / "cache"),
            "label_separator": "|" if kind == "multilabel" else None,
            "val_share": 0.25,
        }
        module_of_data = TextDataModule(str(file or write_task(kind)), **(settings | dict(data)))
        module = of(backbone, module_of_data.label_set, **({"lr": 0.01} | dict(model)))
        run = tmp_path / folder
        default = {
            "max_epochs": 2,
            "accelerator": "cpu",
            "default_root_dir": str(run),
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "plugins": [WholeFileCheckpointIO()],
        }
        chosen = default_callbacks(module, callbacks, progress=False, rates=False)
        made = L.Trainer(callbacks=chosen, **(default | dict(trainer)))
        made.fit(module, datamodule=module_of_data, ckpt_path=ckpt_path, weights_only=True)
        return Trained(module, module_of_data, made, run)

    return fit

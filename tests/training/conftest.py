"""For the tests that train: a small data set, the words of a tiny fit, W&B without an account."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.proto.wandb_internal_pb2 import ArtifactRecord, Record

BLOCK, FILE_HEADER, FRAME_HEADER = 32768, 7, 7  # bytes of LevelDB's log format, as W&B has it
FULL, LAST = 1, 4
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

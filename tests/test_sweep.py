"""The shipped sweep: expanded as W&B's agent does, its command trains and logs the metric."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

SWEEP = Path(__file__).parents[1] / "configs" / "sweeps" / "wandb.yaml"


@pytest.fixture
def sweep() -> dict[str, Any]:
    return yaml.safe_load(SWEEP.read_text(encoding="utf-8"))


def chosen(parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Choose a value for each parameter, as the sweep's server sends them to an agent."""
    return {
        name: {"value": values["values"][-1] if "values" in values else values["min"]}
        for name, values in parameters.items()
    }


def expanded(sweep: dict[str, Any]) -> list[str]:
    """Expand the command as `wandb agent` does, with this interpreter."""
    macros = create_sweep_command_args({"args": chosen(sweep["parameters"])})
    macros |= {"interpreter": [sys.executable], "program": [sweep["program"]], "env": []}
    words: list[str] = []
    for word in create_sweep_command(list(sweep["command"])):
        is_macro = word.startswith("${") and word.endswith("}")
        words += macros[word[2:-1]] if is_macro else [word]
    return words


def test_the_command_names_every_parameter(sweep):
    words = expanded(sweep)
    assert words[1:4] == ["-m", "lightning_tune", "fit"]
    assert {word.partition("=")[0] for word in words if word.startswith("--")} == {
        "--config",
        *(f"--{name}" for name in sweep["parameters"]),
    }


def test_the_command_trains_and_records_the_metric_that_the_sweep_compares(
    sweep, tmp_path, tiny_backbone
):
    with (tmp_path / "train.csv").open("w", newline="") as file:
        rows = [(f"text {row} is {label}", label) for row in range(20) for label in ("good", "bad")]
        csv.writer(file).writerows([("text", "label"), *rows])
    tiny = [
        "--data.train=train.csv",
        "--data.max_length=16",
        f"--model.backbone={tiny_backbone('bert')}",
        "--trainer.max_epochs=1",
        "--trainer.accelerator=cpu",
    ]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    here = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME")} | {"WANDB_MODE": "offline"}
    done = subprocess.run(
        [*expanded(sweep), *tiny],
        cwd=tmp_path,
        env=inherited | here | {"WANDB_RUN_ID": "trial7", "WANDB_SWEEP_ID": "sweep1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"]["lr"] == sweep["parameters"]["model.lr"]["min"]
    assert config["data"]["init_args"]["batch_size"] == 32
    assert config["model"]["init_args"]["loss"]["label_smoothing"] == 0.1
    (record,) = run.rglob("*.wandb")
    assert record.name == "run-trial7.wandb"
    assert sweep["metric"]["name"].encode() in record.read_bytes()

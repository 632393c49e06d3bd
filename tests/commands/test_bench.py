"""`bench` from the command line: what it measures, shows, keeps and refuses."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from lightning_tune.cli import main
from lightning_tune.commands import calibrating
from lightning_tune.training import calibration, calibration_store
from lightning_tune.training.calibration import Effort, Machine, Rate

ROOT = Path(__file__).parents[2]
TINY = Effort((64,), 2**16, 0.001)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(calibration, "FULL_ON_CPU", TINY)
    return tmp_path / "lightning_tune" / "calibration"


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_measures_this_machine_shows_and_keeps_it(tmp_path):
    words = ["-m", "lightning_tune", "bench", "--calibrate", "--seconds", "0.001"]
    done = run(*words, XDG_CACHE_HOME=str(tmp_path), OMP_NUM_THREADS="2")
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = (tmp_path / "lightning_tune" / "calibration").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text())
    assert (kept["machine"]["threads"], kept["machine"]["torch"]) == (2, torch.__version__)
    figures = {(rate["kind"], rate["threads"]): rate["a_second"] for rate in kept["rates"]}
    assert {count for _, count in figures} == {1, 2}
    assert {"fp32", "bf16", "copy"} <= {kind for kind, _ in figures}
    assert all(value > 0 for value in figures.values())
    assert kept["machine"]["device"] in done.stdout
    assert "1 thread" in done.stdout
    assert "2 threads" in done.stdout
    assert "bf16 matrix product" in done.stdout
    assert f"kept in          {file}" in done.stdout


def test_a_later_run_takes_what_it_kept(cache, monkeypatch, capsys):
    monkeypatch.setattr(calibration_store, "_measured", {})
    assert main(["bench", "--calibrate"]) == 0
    capsys.readouterr()

    def refuse(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(calibration_store, "measure", refuse)
    found = calibration_store.peak(torch.device("cpu"), "bf16")
    (file,) = cache.iterdir()
    kept = [rate for rate in json.loads(file.read_text())["rates"] if rate["kind"] == "bf16"]
    assert found.a_second == kept[-1]["a_second"]


def test_help_comes_without_torch():
    done = run("-X", "importtime", "-m", "lightning_tune", "bench", "--help")
    timed = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in timed}
    assert done.returncode == 0
    assert "--calibrate" in done.stdout
    assert "jsonargparse" in imported
    assert not imported & {"torch", "lightning", "transformers"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "bench measures one thing: run `python -m lightning_tune bench --bundle FOLDER` for"),
        (["--calibrate=false"], "or `python -m lightning_tune bench --calibrate` for this machine"),
        (["--calibrate", "--bundle=b"], "bench measures one thing"),
        (["--calibrate", "--against=b"], "against='b' needs --bundle, which is compared with it."),
        (["--bundle=nowhere"], "nowhere is not a folder; name one that `export` wrote."),
        (["--calibrate", "--seconds=0"], "seconds=0.0 is outside (0, 60]"),
        (["--calibrate", "--seconds=61"], "seconds=61.0 is outside (0, 60]"),
        (["--calibrate", "--seconds=long"], "seconds='long'"),
        (["--calibrat"], "Did you mean '--calibrate'?"),
    ],
)
def test_wrong_words_are_one_line(words, message, cache, capsys):
    assert main(["bench", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not cache.exists()


def test_a_folder_that_cannot_be_written_is_one_line(cache, capsys):
    cache.parent.mkdir()
    cache.touch()
    assert main(["bench", "--calibrate"]) == 2
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    assert line.startswith("error: ")
    assert "fp32 matrix product" in shown.out


def shown(machine: Machine, *rates: Rate) -> list[list[str]]:
    console = Console(width=80, record=True, highlight=False)
    with console.capture() as caught:
        console.print(calibrating.table(machine, rates))
    return [line.split("  ") for line in caught.get().splitlines()]


def test_the_table_has_a_line_a_kind_and_a_column_a_number_of_threads():
    machine = Machine("Xeon", 8, "2.13.0", "highest")
    rates = [Rate("fp32", 1, 1.87e11), Rate("fp32", 8, 1.5e12, steady=False)]
    rates += [Rate("copy", 1, 1.3e10), Rate("copy", 8, 2.5e10)]
    lines = ["|".join(part.strip() for part in line if part) for line in shown(machine, *rates)]
    assert "fp32 matrix product|187 GFLOP/s|1.5 TFLOP/s *" in lines
    assert "int8 matrix product|no kernel|no kernel" in lines
    assert "memory copy|13 GB/s|25 GB/s" in lines
    assert not any(line.startswith("fp16") for line in lines)


def test_a_gpu_has_one_column():
    machine = Machine("H100", 0, "2.13.0", "highest")
    lines = [" ".join(line) for line in shown(machine, Rate("fp16", 0, 7e14))]
    assert any("GPU" in line for line in lines)
    assert any("fp16" in line and "700 TFLOP/s" in line for line in lines)


def test_a_busy_machine_is_told(cache, monkeypatch, capsys):
    rates = [Rate("fp32", 1, 1e11, steady=False)]
    monkeypatch.setattr(calibrating, "calibrate", lambda device, effort: rates)
    assert main(["bench", "--calibrate"]) == 0
    assert "other processes took the processor" in capsys.readouterr().out
    monkeypatch.setattr(calibrating, "calibrate", lambda *_: [Rate("fp32", 1, 1e11)])
    assert main(["bench", "--calibrate"]) == 0
    assert "other processes" not in capsys.readouterr().out


def test_every_gpu_is_measured(cache, monkeypatch, capsys):
    measured = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"H100 {device.index}")

    def measure(device, effort):
        measured.append((str(device), effort.seconds))
        return [Rate("fp16", 0 if device.type == "cuda" else 1, 1e12)]

    monkeypatch.setattr(calibrating, "calibrate", measure)
    assert main(["bench", "--calibrate", "--seconds=3"]) == 0
    assert measured == [("cpu", 3.0), ("cuda:0", 3.0), ("cuda:1", 3.0)]
    assert capsys.readouterr().out.count("kept in") == 3
    assert len(list(cache.iterdir())) == 3


def run_bundles(*words: str) -> subprocess.CompletedProcess[str]:
    return run("-X", "importtime", "-m", "lightning_tune", "bench", "--threads=1", *words)


def test_two_bundles_are_compared_without_pytorch(bundle):
    done = run_bundles("--bundle", bundle, "--against", bundle)
    assert done.returncode == 0, done.stderr[-2000:]
    first, title, one, other, ratio = done.stdout.splitlines()
    assert first == "360 texts of mixed lengths, 1 thread, in turns"
    assert " ".join(title.split()) == "p50 of 1 text p95 of 1 text texts a second"
    assert one.startswith(f"{bundle}  ")
    assert other.startswith(f"{bundle} again")
    assert [value.endswith("x") for value in ratio.split()] == [False, True, True, True]
    timed = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in timed}
    assert not imported & {"torch", "lightning", "transformers", "rich"}


def test_a_bundle_alone_has_no_ratio_where_it_has_one_model(bundle):
    done = run_bundles("--bundle", bundle)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 3

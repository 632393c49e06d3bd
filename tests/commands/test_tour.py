"""`tour` from the command line: the whole chain on a tiny model, what it refuses, how it stops."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lightning_tune.cli import main
from lightning_tune.commands.tour import check_encoder
from lightning_tune.errors import ConfigError

pytestmark = pytest.mark.timeout(1500)  # five commands in processes of their own
ROOT = Path(__file__).parents[2]
TINY_EXPORT = (
    # A model that learnt nothing has no margins: what int8 may cost is not the question here.
    "--recipe.budgets.points=50 --recipe.budgets.flips=1 --recipe.measure.rounds=1 "
    "--recipe.quantize.mixed=false --recipe.quantize.smooth=false"
)


def tiny_fit(backbone: Path) -> str:
    return (
        f"--model.backbone={backbone} --data.max_length=32 --trainer.max_epochs=1 "
        "--trainer.accelerator=cpu --trainer.precision=32-true"
    )


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "export")]),
    }


@pytest.fixture(scope="module")
def toured(tmp_path_factory, tiny_backbone) -> tuple[Path, str]:
    """An empty folder after the tour, and what was printed."""
    folder = tmp_path_factory.mktemp("toured")
    words = ["tour", f"--fit={tiny_fit(tiny_backbone('bert'))}", f"--export={TINY_EXPORT}"]
    done = subprocess.run(
        [sys.executable, "-m", "lightning_tune", *words],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_the_tour_leaves_what_each_stage_made_and_one_page(toured):
    folder, _ = toured
    left = {path.name for path in (folder / "tour").iterdir()}
    assert left == {
        *("raw.csv", "data", "runs", "bundle", "new.csv", "predictions.csv", "tour.html", "logs"),
    }
    logs = {path.stem for path in (folder / "tour" / "logs").iterdir()}
    assert logs == {"prepare", "fit", "test", "export", "score"}


def test_the_terminal_shows_commands_that_do_each_stage_by_themselves(toured):
    folder, printed = toured
    lines = re.findall(r"^  python -m lightning_tune (.*)$", printed, flags=re.M)
    assert [line.split()[0] for line in lines] == ["prepare", "fit", "test", "export", "score"]
    again = lines[0].replace("--output tour/data", "--output again").split()
    done = subprocess.run(
        [sys.executable, "-m", "lightning_tune", *again],
        cwd=folder, env=environment(folder), capture_output=True, timeout=600, check=True,
    )  # fmt: skip
    assert done.returncode == 0
    for name in ("train.parquet", "val.parquet", "dropped.parquet", "report.json"):
        assert (folder / "again" / name).read_bytes() == (folder / "tour/data" / name).read_bytes()


def test_the_figures_are_those_of_the_stages_own_records(toured):
    folder, printed = toured
    tour = folder / "tour"
    page = (tour / "tour.html").read_text(encoding="utf-8")
    (report,) = tour.glob("runs/*/report.json")
    accuracy = json.loads(report.read_text())["metrics"]["accuracy"]
    assert f"{accuracy:.3f} (" in printed
    assert f'<span class="value">{accuracy:.3f}</span>' in page
    bundle = json.loads((tour / "bundle" / "report.json").read_text())
    assert f"  {bundle['winner']}: " in printed
    rows = json.loads((tour / "data" / "report.json").read_text())["rows"]
    assert f"{rows['kept']:,} of {rows['read']:,} rows kept: train {rows['train']:,}" in printed


def test_prepare_finds_what_was_planted(toured):
    folder, printed = toured
    found, planted = map(int, re.findall(r"(\d+) of (\d+) planted faults found", printed)[0])
    assert planted == 420  # 460 without the 40 changed labels
    assert found >= 415
    train = pq.read_table(folder / "tour" / "data" / "train.parquet")["text"].to_pylist()
    assert not [text for text in train if "@example." in text or "7946 0" in text]


def test_links_of_the_page_lead_to_files_and_nothing_tells_of_the_machine(toured):
    folder, _ = toured
    page = (folder / "tour" / "tour.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"#]+)"', page)
    assert {"data/report.md", "bundle/report.html", "predictions.csv"} <= set(links)
    assert [link for link in links if not (folder / "tour" / link).is_file()] == []
    shown = re.sub(r"--model\.backbone=\S+", "", page)  # which the test itself named
    assert str(folder) not in shown
    assert str(Path.home()) not in shown
    assert sys.prefix not in shown


def error(capsys, *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["tour", *words])
    (line,) = capsys.readouterr().err.strip().splitlines()
    return code, line


def test_a_folder_that_is_not_empty_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tour").mkdir()
    (tmp_path / "tour" / "mine.txt").write_text("mine")
    assert error(capsys) == (
        2,
        "error: output='tour' exists and is not empty; name a new folder, or remove it.",
    )


def test_an_encoder_that_is_not_there_is_refused_before_anything_is_written(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    code, line = error(capsys, "--fit=--model.backbone=./nowhere")
    assert code == 2
    assert line == "error: backbone='./nowhere' is not a folder; name one that exists."
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_words_are_those_of_fit(monkeypatch):
    monkeypatch.setattr("lightning_tune.models.backbones.WHEELS", {})
    with pytest.raises(
        ConfigError, match=r"^backbone='sentence-transformers/all-MiniLM-L6-v2' was "
    ):
        check_encoder([])


def test_a_stage_that_fails_ends_the_tour_with_its_line_and_its_code(
    tmp_path, monkeypatch, capfd, tiny_backbone
):
    monkeypatch.chdir(tmp_path)
    words = f"--model.backbone={tiny_backbone('bert')} --model.lrr=1"
    assert main(["tour", f"--fit={words}"]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("error: --model.lrr: 'model.lrr' is not a setting. Did you mean 'lr'?")
    assert line.endswith(f"(stage fit; {Path('tour/logs/fit.txt')} has all it printed)")
    assert not (tmp_path / "tour" / "tour.html").exists()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_stage_and_the_tour(tmp_path, tiny_backbone, signum, code):
    words = ["tour", f"--fit={tiny_fit(tiny_backbone('bert'))} --trainer.max_epochs=1000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_tune", *words],
        cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    log = tmp_path / "tour" / "logs" / "fit.txt"
    for _ in range(3000):
        if process.poll() is not None or (log.exists() and "epoch 1" in log.read_text()):
            break
        time.sleep(0.1)
    process.send_signal(signum)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code
    assert said.strip().splitlines()[-1].startswith(f"stopped: {signum.name} came in fit;")
    (checkpoint,) = tmp_path.glob("tour/runs/*/checkpoints/last.ckpt")  # which fit saves
    assert checkpoint.stat().st_size
    assert not (tmp_path / "tour" / "tour.html").exists()

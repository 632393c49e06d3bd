"""`merge` from the command line: what it writes answers alike, and alone; what it refuses."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
import torch

from lightning_tune.cli import main
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint
from lightning_tune.training.inference import load

TEXTS = ["the film is great", "the film is worst 3", "odd"]


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with (tmp_path / "train.csv").open("w", newline="") as file:
        rows = [(f"film {row} is {('great', 'worst')[row % 2]}", row % 2) for row in range(40)]
        csv.writer(file).writerows([("text", "label"), *rows])
    return tmp_path


@pytest.fixture
def fit(work, tiny_backbone, capsys):
    """Return a function: words -> best.ckpt of a run on a backbone that is then removed."""

    def run(*words: str) -> Path:
        backbone = shutil.copytree(tiny_backbone("bert"), work / "backbone", dirs_exist_ok=True)
        args = ["fit", "--data.train=train.csv", "--data.max_length=32", "--model.lr=0.01"]
        args += [f"--model.backbone={backbone}", "--trainer.max_epochs=1", *words]
        assert main([*args, "--trainer.accelerator=cpu", "--trainer.precision=32-true"]) == 0
        capsys.readouterr()
        (found,) = (work / "runs").iterdir()
        return found / "checkpoints" / "best.ckpt"

    return run


def error(capsys, *words: str) -> str:
    assert main(["merge", *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize("words", [["LoRA"], ["DoRA"], ["IA3"], ["BitFit"], ["LastLayers"]])
def test_what_it_writes_answers_the_same_and_needs_no_backbone(words, fit, work, capsys):
    layers = ["--model.tuning.layers=1"] if words == ["LastLayers"] else []
    best = fit(f"--model.tuning={words[0]}", *layers)
    expected = load(best).scores(TEXTS)
    assert main(["merge", "--ckpt_path=best", "--output=out/merged.ckpt"]) == 0
    out = capsys.readouterr().out
    assert float(re.search(r"logits differ by (\S+) of the largest", out)[1]) < 1e-5
    assert re.search(r"out/merged\.ckpt  \d+\.\d MB, from .*best\.ckpt\n$", out)
    shutil.rmtree(work / "backbone")
    found = load("out/merged.ckpt").scores(TEXTS)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert best.stat().st_size < (work / "out" / "merged.ckpt").stat().st_size * 3
    assert main(["test", "--ckpt_path=out/merged.ckpt", "--data.test=train.csv"]) == 0


def test_a_merged_checkpoint_starts_new_runs_and_resumes_none(fit, work, capsys):
    fit("--model.tuning=LoRA")
    assert main(["merge", "--ckpt_path=best", "--output=merged.ckpt"]) == 0
    shutil.rmtree(work / "backbone")
    words = ["--data.train=train.csv", "--data.max_length=32", "--trainer.max_epochs=1"]
    words += ["--trainer.accelerator=cpu", "--trainer.default_root_dir=second"]
    assert main(["fit", "--model.backbone=merged.ckpt", *words]) == 0
    capsys.readouterr()
    assert main(["fit", "--ckpt_path=merged.ckpt", "--trainer.max_epochs=5", *words]) == 2
    assert "start a new run with it as model.backbone." in capsys.readouterr().err


@pytest.mark.parametrize("method", ["Adapters", "Prefix"])
def test_what_cannot_be_merged_is_one_line(method, fit, capsys):
    best = fit(f"--model.tuning={method}")
    line = error(capsys, f"--ckpt_path={best}", "--output=merged.ckpt")
    assert line.startswith(f"error: {method} cannot be merged: what it adds is no change of")
    assert not Path("merged.ckpt").exists()


def test_a_whole_checkpoint_is_one_line(fit, capsys):
    best = fit()
    line = error(capsys, f"--ckpt_path={best}", "--output=merged.ckpt")
    assert "holds all weights already" in line


def test_a_backbone_that_was_moved_is_named(fit, work, capsys):
    best = fit("--model.tuning=LoRA")
    (work / "backbone").rename(work / "moved")
    assert "backbone" in error(capsys, f"--ckpt_path={best}", "--output=merged.ckpt")
    words = [f"--ckpt_path={best}", "--output=merged.ckpt", "--backbone=moved"]
    assert main(["merge", *words]) == 0
    assert PACKAGE_KEY in read_checkpoint("merged.ckpt")
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ckpt_path=no.ckpt", "--output=x.ckpt"], "checkpoint 'no.ckpt' does not exist"),
        (["--ckpt_path=no.ckpt", "--output=x.pt"], "output='x.pt' is no checkpoint's name"),
        (["--ckpt_path=best", "--output=x.ckpt"], "no run below 'runs' has a whole"),
        (["--output=x.ckpt"], "ckpt_path is missing"),
        (["--ckpt_path=a.ckpt", "--outptu=x.ckpt"], "Did you mean '--output'?"),
    ],
)
def test_wrong_words_are_one_line(words, message, work, capsys):
    assert message in error(capsys, *words)


def test_the_checkpoint_itself_is_not_written_over(fit, capsys):
    best = fit("--model.tuning=LoRA")
    before = best.read_bytes()
    line = error(capsys, f"--ckpt_path={best}", f"--output={best}")
    assert "is the checkpoint itself; name another file." in line
    assert best.read_bytes() == before


def test_a_failed_write_leaves_what_was_there(fit, work, capsys, monkeypatch):
    best = fit("--model.tuning=LoRA")
    (work / "merged.ckpt").write_text("before")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    assert main(["merge", f"--ckpt_path={best}", "--output=merged.ckpt"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert (work / "merged.ckpt").read_text() == "before"

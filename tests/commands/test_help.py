"""The help of the commands that train: every setting, found from signatures and docstrings."""

import inspect

import pytest
from lightning.pytorch import Trainer

from lightning_tune.cli import main
from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.training.module import TextClassifier


@pytest.fixture(scope="module")
def shown():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        yield patch


def _help(command, capsys):
    assert main([command, "--help"]) == 0
    return capsys.readouterr().out


def test_every_setting_is_listed_with_a_meaning(shown, capsys):
    lines = _help("fit", capsys).splitlines()
    for prefix, kind in (("data", TextDataModule), ("model", TextClassifier), ("trainer", Trainer)):
        for name in inspect.signature(kind).parameters:
            if name not in ("architecture", "labels"):
                found = [
                    line
                    for line in lines
                    if line.split()[:1] and line.split()[0].startswith(f"--{prefix}.{name}")
                ]
                assert found, name
                assert len(found[0].split()) > 2, found[0]


def test_defaults_are_those_of_the_run(shown, capsys):
    shown_help = _help("fit", capsys)
    assert any(
        line.split()[:2] == ["--trainer.default_root_dir", "runs"]
        for line in shown_help.splitlines()
    )
    assert "required" in next(
        line for line in shown_help.splitlines() if line.startswith("--model.backbone")
    )


def test_only_predict_writes_where_it_is_told(shown, capsys):
    assert "--output" in _help("predict", capsys)
    assert "--output" not in _help("test", capsys)


def test_shipped_configs_are_named_and_sweeps_are_not(shown, capsys):
    last = _help("fit", capsys).splitlines()[-1]
    assert "quickstart" in last
    assert "sweeps" not in last

"""An export on its checkpoint's W&B run, offline; a tracker that fails fails nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import wandb

from lightning_tune.cli import main
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint
from lightning_tune.training.loggers.wandb import WandbRun

WORDS = ["--recipe=fp32", "--recipe.measure.rounds=1", "--recipe.resamples=100"]


@pytest.fixture
def tracked(checkpoint, tmp_path, monkeypatch) -> Path:
    """A checkpoint that was logged to an offline run of W&B."""
    wandb.teardown()
    monkeypatch.setattr("wandb.run", None)
    for name in ("HOME", "XDG_CACHE_HOME", "WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    for name in ("API_KEY", "BASE_URL", "MODE", "DIR", "CONFIG_DIR", "IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    yield checkpoint("binary", "--config=wandb")
    wandb.teardown()


def test_the_run_gets_table_figures_and_bundle(tracked, tmp_path, capsys):
    where = read_checkpoint(tracked)[PACKAGE_KEY]["tracked"]
    words = [f"--checkpoint={tracked}", f"--output={tmp_path / 'bundle'}", *WORDS]
    assert main(["export", *words]) == 0
    assert "W&B recorded offline" in capsys.readouterr().out
    wandb.teardown()
    folders = sorted((tracked.parents[1] / "wandb").glob(f"offline-run-*-{where['id']}"))
    assert len(folders) == 2  # the fit's, and what was added to it
    media = [file.name for file in folders[-1].rglob("media/**/*") if file.is_file()]
    wanted = ("candidates", "quality_against_time", "confusion_matrix_exported", "reliability")
    assert all(any(name.startswith(one) for name in media) for one in wanted)
    (record,) = folders[-1].glob("*.wandb")
    held = record.read_bytes()
    assert f"bundle-{where['id']}".encode() in held
    assert b"onnx/model.onnx" in held


def test_a_tracker_that_fails_fails_nothing(tracked, tmp_path, monkeypatch, caplog):
    class Broken:
        disabled = False

        def __getattr__(self, name):
            raise RuntimeError("no space")

    monkeypatch.setattr(WandbRun, "experiment", Broken())
    words = [f"--checkpoint={tracked}", f"--output={tmp_path / 'bundle'}", *WORDS]
    assert main(["export", *words]) == 0
    assert (tmp_path / "bundle" / "SHA256SUMS").is_file()
    assert (
        "W&B did not take the export (RuntimeError: no space); the bundle is whole." in caplog.text
    )


def test_nothing_is_recorded_where_it_is_not_wanted(tracked, tmp_path, monkeypatch):
    monkeypatch.setattr(WandbRun, "experiment", property(lambda self: pytest.fail("recorded")))
    words = [f"--checkpoint={tracked}", f"--output={tmp_path / 'bundle'}", *WORDS]
    assert main(["export", *words, "--track=false"]) == 0

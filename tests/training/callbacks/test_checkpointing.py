"""Checkpoints appear whole or not at all; a full disk leaves the previous one as it was."""

from __future__ import annotations

import errno
import io
import stat
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_tune.cli import main
from lightning_tune.errors import TuneError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.training.callbacks import checkpointing
from lightning_tune.training.callbacks.checkpointing import (
    BestCheckpoint,
    WholeFileCheckpointIO,
)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_checkpoint_is_its_owners_alone(tmp_path):
    WholeFileCheckpointIO().save_checkpoint({"a": torch.ones(3)}, tmp_path / "deep" / "a.ckpt")
    file = tmp_path / "deep" / "a.ckpt"
    assert torch.equal(torch.load(file, weights_only=True)["a"], torch.ones(3))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_checkpoint_is_written_beside_its_target_and_renamed(tmp_path, monkeypatch):
    seen = []
    save = torch.save

    def note(value, file):
        seen.append(Path(file.name))
        assert torch.load(tmp_path / "a.ckpt")["a"] == 1
        save(value, file)

    WholeFileCheckpointIO().save_checkpoint({"a": 1}, tmp_path / "a.ckpt")
    monkeypatch.setattr(torch, "save", note)
    WholeFileCheckpointIO().save_checkpoint({"a": 2}, tmp_path / "a.ckpt")
    assert seen[0].parent == tmp_path
    assert seen[0].name != "a.ckpt"
    assert torch.load(tmp_path / "a.ckpt")["a"] == 2
    assert names(tmp_path) == ["a.ckpt"]


def as_the_system_says(value, file):
    file.write(b"half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


def as_torch_hides_it(value, file):
    """torch's own writer: the system's error is only the context of its complaint."""
    try:
        as_the_system_says(value, file)
    finally:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")


@pytest.mark.parametrize("fail", [as_the_system_says, as_torch_hides_it])
def test_a_write_that_fails_leaves_the_previous_file(tmp_path, monkeypatch, fail):
    WholeFileCheckpointIO().save_checkpoint({"a": 1}, tmp_path / "a.ckpt")
    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(TuneError, match=r"a\.ckpt cannot be written: No space left on device"):
        WholeFileCheckpointIO().save_checkpoint({"a": 2}, tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt")["a"] == 1
    assert names(tmp_path) == ["a.ckpt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_a_full_device_is_an_error_of_the_system():
    with Path("/dev/full").open("wb") as device:
        with pytest.raises(OSError, match="No space left on device"):
            checkpointing._save({"a": torch.zeros(1_000_000)}, device)
        device.raw.close()  # what is still in the buffer cannot be written either


def test_an_error_of_torch_alone_stays_what_it_is(monkeypatch):
    def fail(value, file):
        raise RuntimeError("odd")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError, match="odd"):
        checkpointing._save({}, io.BytesIO())


def test_a_remote_target_is_lightnings_own_way():
    WholeFileCheckpointIO().save_checkpoint({"a": 1}, "memory://run/a.ckpt")
    import fsspec

    with fsspec.open("memory://run/a.ckpt") as file:
        assert torch.load(file)["a"] == 1


def write_rows(folder: Path) -> None:
    rows = [f"film {n} is {('great', 'poor')[n % 2]},{('good', 'bad')[n % 2]}" for n in range(48)]
    (folder / "train.csv").write_text("\n".join(["text,label", *rows, ""]))


@pytest.mark.parametrize("fail", [as_the_system_says, as_torch_hides_it])
def test_a_full_disk_ends_a_fit_with_one_line_and_the_previous_checkpoint(
    tmp_path, monkeypatch, tiny_backbone, capsys, fail
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_rows(tmp_path)
    words = ["fit", "--data.train=train.csv", "--data.max_length=32", "--trainer.max_epochs=1"]
    words += [f"--model.backbone={tiny_backbone('bert')}", "--trainer.accelerator=cpu"]
    assert main(words) == 0
    (run,) = Path("runs").iterdir()
    before = {file.name: file.read_bytes() for file in (run / "checkpoints").iterdir()}
    capsys.readouterr()

    monkeypatch.setattr(torch, "save", fail)
    assert main(["fit", "--ckpt_path=last", "--trainer.max_epochs=2"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert message.startswith("error: ")
    assert "ckpt cannot be written: No space left on device; make room" in message
    after = {file.name: file.read_bytes() for file in (run / "checkpoints").iterdir()}
    assert after == before
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["epoch"] == 0


def test_best_and_last_are_the_only_files(train):
    trained = train(trainer={"max_epochs": 3})
    assert names(trained.folder / "checkpoints") == ["best.ckpt", "last.ckpt"]


def test_last_is_written_after_every_epoch(train):
    trained = train(trainer={"max_epochs": 3})
    assert read_checkpoint(trained.folder / "checkpoints" / "last.ckpt")["epoch"] == 2


def test_a_run_that_was_moved_is_continued_where_it_lies_now(train):
    first = train(folder="before", trainer={"max_epochs": 1})
    first.folder.rename(first.folder.with_name("after"))
    last = first.folder.with_name("after") / "checkpoints" / "last.ckpt"
    second = train(folder="after", trainer={"max_epochs": 2}, ckpt_path=last)
    assert not first.folder.exists()
    kept = next(c for c in second.trainer.callbacks if isinstance(c, BestCheckpoint))
    assert Path(kept.best_model_path) == second.best
    assert second.best.is_file()


def test_checkpoints_can_lie_elsewhere(train, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    own = BestCheckpoint("val/accuracy", "max", dirpath=str(elsewhere))
    trained = train(callbacks=[own])
    assert (elsewhere / "best.ckpt").is_file()
    assert not trained.best.exists()
    assert names(trained.folder / "checkpoints") == ["last.ckpt"]


def test_a_checkpoint_callback_of_the_users_own_takes_the_place_of_best(train, tmp_path):
    own = ModelCheckpoint(dirpath=tmp_path / "mine", filename="mine", monitor="val/loss")
    trained = train(callbacks=[own])
    assert names(tmp_path / "mine") == ["mine.ckpt"]
    assert names(trained.folder / "checkpoints") == ["last.ckpt"]


def test_a_dry_run_writes_and_loads_nothing(train):
    trained = train(trainer={"fast_dev_run": True})
    assert not (trained.folder / "checkpoints").exists()

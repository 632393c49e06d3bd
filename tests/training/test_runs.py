"""Folders of runs: each its own, and the newest whole checkpoint below them."""

from __future__ import annotations

import os
import re
import stat
import time

import pytest
import torch

from lightning_tune.errors import CheckpointError
from lightning_tune.training.runs import discard_empty, new_run, newest_checkpoint, run_of


def test_a_run_has_a_folder_of_its_own_for_its_owner_alone(tmp_path):
    run = new_run(str(tmp_path / "deep" / "runs"), "sst2")
    assert re.fullmatch(r"sst2-\d{8}-\d{6}", run.name)
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert run.parent == tmp_path / "deep" / "runs"


def test_runs_of_one_second_do_not_meet(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda _: "20260101-000000")
    names = [new_run(str(tmp_path), "a").name for _ in range(3)]
    assert names == ["a-20260101-000000", "a-20260101-000000-2", "a-20260101-000000-3"]


def test_a_second_without_a_free_name_is_an_error(tmp_path, monkeypatch):
    def taken(self, *_, exist_ok=False, **__):
        if not exist_ok:
            raise FileExistsError(17, "File exists", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", taken)
    with pytest.raises(FileExistsError, match="too many runs in one second"):
        new_run(str(tmp_path), "a")


def test_a_root_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(FileExistsError):
        new_run(str(tmp_path / "runs"), "a")


@pytest.mark.parametrize(
    ("checkpoint", "run"),
    [("runs/a/checkpoints/best.ckpt", "runs/a"), ("elsewhere/best.ckpt", None), ("b.ckpt", None)],
)
def test_a_checkpoint_knows_its_run(checkpoint, run):
    found = run_of(checkpoint)
    assert (found and found.as_posix()) == run


def write(root, run, age, name="last.ckpt"):
    folder = root / run / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"run": run}, folder / name)
    os.utime(folder / name, (1e9 - age, 1e9 - age))
    return folder / name


def test_the_newest_checkpoint_is_the_one_written_last(tmp_path):
    write(tmp_path, "b-first", age=30)
    newest = write(tmp_path, "a-second", age=10)
    write(tmp_path, "c-best-only", age=0, name="best.ckpt")
    write(tmp_path / "deeper", "d", age=0)
    assert newest_checkpoint(str(tmp_path)) == newest


def test_a_newest_checkpoint_cut_short_gives_way_to_the_one_before(tmp_path, caplog):
    older = write(tmp_path, "a", age=30)
    newer = write(tmp_path, "b", age=10)
    newer.write_bytes(newer.read_bytes()[:100])
    assert newest_checkpoint(str(tmp_path)) == older
    assert f"{newer} is damaged or cut short" in caplog.text


def test_no_checkpoint_at_all_is_said_with_the_folder(tmp_path):
    with pytest.raises(CheckpointError, match=r"no run below .* has a whole checkpoints") as caught:
        newest_checkpoint(str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_stayed_empty_is_removed_and_one_with_files_is_not(tmp_path):
    empty, used = tmp_path / "empty", tmp_path / "used"
    for folder in (empty, used):
        folder.mkdir()
    (used / "config.yaml").touch()
    for folder in (empty, used, tmp_path / "missing"):
        discard_empty(folder)
    assert list(tmp_path.iterdir()) == [used]


def test_the_newest_best_checkpoint_can_be_asked_for(tmp_path):
    write(tmp_path, "a", age=0)
    best = write(tmp_path, "a", age=30, name="best.ckpt")
    assert newest_checkpoint(str(tmp_path), "best") == best
    with pytest.raises(CheckpointError, match=r"ckpt_path=best: no run below .*/best\.ckpt"):
        newest_checkpoint(str(tmp_path / "a"), "best")

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.tables.folders import appearing, check_output, remove_leftovers


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_once_it_is_filled(tmp_path):
    output = tmp_path / "new" / "out"
    with appearing(output, private=True) as folder:
        (folder / "a.txt").write_text("a")
        assert not output.exists()
        assert folder.parent == output.parent
    assert names(output) == ["a.txt"]
    assert names(output.parent) == ["out"]
    assert output.stat().st_mode & 0o777 == 0o700


def test_an_empty_folder_is_filled(tmp_path):
    with appearing(tmp_path / "out") as folder:
        (tmp_path / "out").mkdir()
        (folder / "a.txt").write_text("a")
    assert names(tmp_path / "out") == ["a.txt"]


def fill(output: Path, *, fails: bool = False) -> None:
    with appearing(output) as folder:
        (folder / "a.txt").write_text("a")
        if fails:
            raise KeyError
        output.mkdir()
        (output / "mine.txt").write_text("mine")


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        fill(tmp_path / "out", fails=True)
    assert names(tmp_path) == []


def test_what_came_there_meanwhile_is_kept(tmp_path):
    with pytest.raises(ConfigError, match="exists and is not empty"):
        fill(tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["mine.txt"]


def test_a_place_that_is_taken_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is a file; name a new folder"):
        check_output(tmp_path / "file")
    with pytest.raises(ConfigError, match="is no folder; name another place"):
        check_output(tmp_path / "file" / "out")
    check_output(tmp_path / "new")


FILLING = """
import sys, time
from pathlib import Path
from lightning_tune.tables.folders import appearing
with appearing(Path(sys.argv[1])) as folder:
    (folder / "half.txt").write_text("half")
    print("filling", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def filling(tmp_path) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun to fill a folder called out."""
    words = [sys.executable, "-c", FILLING, str(tmp_path / "out")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "filling\n"
        yield process
        process.kill()


def test_what_a_killed_process_left_goes_with_the_next(tmp_path, filling):
    filling.send_signal(signal.SIGKILL)
    filling.wait()
    (left,) = names(tmp_path)
    assert names(tmp_path / left) == ["half.txt"]
    for other in (".other.0a1b2c3d.tmp", ".out.notes.tmp"):
        (tmp_path / other).mkdir()
    (tmp_path / ".out.0a1b2c3d.tmp").write_text("a file is none of ours")
    with appearing(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("a")
    assert names(tmp_path) == [".other.0a1b2c3d.tmp", ".out.0a1b2c3d.tmp", ".out.notes.tmp", "out"]
    assert names(tmp_path / "out") == ["a.txt"]


def test_what_a_living_process_fills_is_left_alone(tmp_path, filling):
    (held,) = names(tmp_path)
    remove_leftovers(tmp_path / "out")
    with pytest.raises(KeyError):
        fill(tmp_path / "out", fails=True)
    assert names(tmp_path) == [held]
    assert names(tmp_path / held) == ["half.txt"]


def test_without_locks_nothing_is_taken_for_a_leftover(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    (tmp_path / ".out.0a1b2c3d.tmp").mkdir()
    with appearing(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("a")
    assert names(tmp_path) == [".out.0a1b2c3d.tmp", "out"]

from __future__ import annotations

from pathlib import Path

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.tables.folders import appearing, check_output


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

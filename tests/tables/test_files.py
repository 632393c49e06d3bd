from __future__ import annotations

import gzip
import hashlib
import os
import sys
from pathlib import Path

import fsspec
import pytest

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.tables import Fields, TableFormat, digest, expand, read_rows

CSV = b"text,label\na,x\nb,y\n"


@pytest.fixture
def memory() -> fsspec.AbstractFileSystem:
    system = fsspec.filesystem("memory")
    for name in ("b.csv", "a.csv"):
        system.pipe(f"/shop/{name}", CSV)
    return system


def test_a_glob_is_sorted_and_takes_files_only(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "deep/er/c.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(CSV)
    (tmp_path / "folder.csv").mkdir()
    assert expand(str(tmp_path / "*.csv")) == [str(tmp_path / name) for name in ("a.csv", "b.csv")]
    assert len(expand(str(tmp_path / "**" / "*.csv"))) == 3


def test_a_list_keeps_its_order_and_may_hold_globs(tmp_path: Path) -> None:
    for name in ("b.csv", "a1.csv", "a2.csv"):
        (tmp_path / name).write_bytes(CSV)
    wanted = [str(tmp_path / "b.csv"), str(tmp_path / "a?.csv")]
    assert [Path(file).name for file in expand(wanted)] == ["b.csv", "a1.csv", "a2.csv"]
    with pytest.raises(ConfigError, match="the list of data files is empty"):
        expand([])


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.csv").write_bytes(CSV)
    assert expand("~/a.csv") == [str(tmp_path / "a.csv")]


def test_urls_are_read_through_fsspec(memory: fsspec.AbstractFileSystem) -> None:
    assert expand("memory://shop/a.csv") == ["memory://shop/a.csv"]
    files = expand("memory://shop/*.csv")
    assert files == ["memory:///shop/a.csv", "memory:///shop/b.csv"]
    (batch,) = read_rows(files[0], Fields(), format=TableFormat())
    assert batch.texts == ["a", "b"]
    assert digest(files[0]) == hashlib.sha256(CSV).hexdigest()
    with pytest.raises(DataError, match="no file matches"):
        expand("memory://shop/*.tsv")


def test_a_protocol_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ConfigError, match=r"^s3://b/a\.csv: its protocol needs a package .* s3fs"):
        expand("s3://b/a.csv")


def test_a_digest_is_of_the_unpacked_content(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV))
    assert digest(str(tmp_path / "a.csv.gz")) == hashlib.sha256(CSV).hexdigest()


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv does not exist"):
        digest(str(tmp_path / "a.csv"))
    with pytest.raises(DataError, match=r"cannot be read: Is a directory"):
        digest(str(tmp_path))


def test_a_pipe_is_refused_as_its_first_rows_would_be_lost(tmp_path: Path) -> None:
    """The header is read first, then all rows from the start, which a pipe has not any more."""
    os.mkfifo(tmp_path / "rows.csv")
    with pytest.raises(
        DataError, match=r"rows.csv is a pipe or a device, and a table is read more"
    ):
        expand(str(tmp_path / "rows.csv"))

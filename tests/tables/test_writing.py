from __future__ import annotations

import csv
import errno
import json
import os
import stat
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.tables import (
    Fields,
    TableFormat,
    read_rows,
    replace_file,
    write_rows,
)
from lightning_tune.tables.writers import WRITERS

COLUMNS = {
    "text": ['a "b", c', "two\nlines", "NA", "lone \ud800"],
    "score": np.array([0.1, 0.98, 1.0, 2.5e-8], dtype=np.float32),
    "answer": ["x", None, "y", ""],
    "probabilities": np.array([[0.25, 0.75]] * 4, dtype=np.float32),
    "count": np.arange(4),
}


def test_parquet_keeps_types_and_values(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", COLUMNS)
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column("text").to_pylist() == ['a "b", c', "two\nlines", "NA", "lone \ufffd"]
    assert [str(kind) for kind in table.schema.types[1:3]] == ["float", "string"]
    assert table.column("answer").to_pylist() == ["x", None, "y", ""]
    assert table.column("probabilities").to_pylist() == [[0.25, 0.75]] * 4


def test_csv_reads_back_with_the_csv_module(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", COLUMNS)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert [row["text"] for row in rows] == ['a "b", c', "two\nlines", "NA", "lone \ufffd"]
    assert [row["score"] for row in rows] == ["0.1", "0.98", "1.0", "2.5e-08"]
    assert [row["answer"] for row in rows] == ["x", "", "y", ""]
    assert json.loads(rows[0]["probabilities"]) == [0.25, 0.75]
    assert rows[3]["count"] == "3"


@pytest.mark.parametrize("extension", ["csv", "jsonl", "parquet"])
def test_what_is_written_is_read_back(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{extension}"
    texts = ["\r", "a\rb", "x\u2028y", ' "', ",", "\r\n.", "\ufeff", "0"]
    keep = [text for text in texts if text.strip()]
    write_rows(path, {"text": keep})
    fields = Fields(label=None)
    (batch,) = read_rows(str(path), fields, format=TableFormat())
    assert batch.texts == keep


def test_an_empty_cell_alone_in_its_line_is_no_blank_line(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", {"a": ["", "b", ""]})
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["a"], [""], ["b"], [""]]


def test_jsonl_is_one_object_a_line(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", {**COLUMNS, "names": [("é",), (), ("b", "c"), ()]})
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    assert rows[1] == {
        "text": "two\nlines",
        "score": 0.98,
        "answer": None,
        "probabilities": [0.25, 0.75],
        "count": 1,
        "names": [],
    }
    assert rows[0]["names"] == ["é"]


def test_tsv_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.tsv", {"text": ['"a"', "b"], "n": [1, 2]})
    assert (tmp_path / "a.tsv").read_text() == 'text\tn\n"a"\t1\nb\t2\n'
    with pytest.raises(DataError, match=r"'text' of row 2 holds a tab or a line end"):
        write_rows(tmp_path / "a.tsv", {"text": ["new", "a\tb"]})
    assert (tmp_path / "a.tsv").read_text() == 'text\tn\n"a"\t1\nb\t2\n'
    assert [file.name for file in tmp_path.iterdir()] == ["a.tsv"]


def test_another_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'\.parket'; .* Did you mean '\.parquet'\?"):
        write_rows(tmp_path / "a.parket", COLUMNS)


def test_columns_of_unequal_length_are_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="columns differ in length"):
        write_rows(tmp_path / "a.csv", {"a": [1], "b": []})


@pytest.mark.parametrize("private", [True, False])
def test_only_the_owner_reads_a_private_file(private: bool, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with replace_file(tmp_path / "new" / "a", private=private) as temporary:
            assert temporary.parent == tmp_path / "new"
            temporary.write_text("x")
    finally:
        os.umask(before)
    mode = stat.S_IMODE((tmp_path / "new" / "a").stat().st_mode)
    assert mode == (0o600 if private else 0o644)


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replace_file(path) as temporary:
        temporary.write_text(f"{1 / 0}")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_content_is_on_the_disk_before_its_name_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    real_sync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: (steps.append(("sync", stat.S_ISDIR(os.fstat(fd).st_mode))), real_sync(fd)),
    )
    monkeypatch.setattr(
        Path,
        "replace",
        lambda self, to: (steps.append(("replace", to.name)), real_replace(self, to))[1],
    )
    with replace_file(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert steps == [("sync", False), ("replace", "a"), ("sync", True)]


def test_a_full_disk_is_one_line_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setitem(WRITERS, ".csv", full)
    with pytest.raises(ConfigError) as caught:
        write_rows(tmp_path / "a.csv", COLUMNS)
    assert str(caught.value) == (
        f"{tmp_path}/a.csv cannot be written: No space left on device; make room, or name another "
        "place."
    )
    assert (tmp_path / "a.csv").read_text() == "old"


def test_a_folder_that_is_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"file/a\.csv cannot be written: (Not a directory|File exists)"
    ):
        write_rows(tmp_path / "file" / "a.csv", COLUMNS)


def test_an_error_that_is_not_about_writing_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replace_file(tmp_path / "a"):
        (tmp_path / "input").read_text()

"""The line of a long command: drawn on a terminal, nowhere else."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from lightning_tune.serving import progress
from lightning_tune.serving.progress import Progress, lines_of, picture


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS", 0.0)
    (tmp_path / "a.csv").write_text("text\n" + "x\n" * 59)
    pq.write_table(pa.table({"text": ["x"] * 40}), tmp_path / "b.parquet")
    sources = [str(tmp_path / "a.csv"), str(tmp_path / "b.parquet")]
    terminal = Terminal()
    bar = Progress(sources, terminal)
    bar.show(sources[1], 15, 74)
    assert "\r[======================        ] 75 %  74 rows  " in terminal.getvalue()
    bar.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_file_of_a_log_sees_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS", 0.0)
    log = io.StringIO()
    bar = Progress([str(tmp_path / "absent.csv")], log)
    bar.show("absent.csv", 1, 1)
    bar.clear()
    assert log.getvalue() == ""


def test_an_unknown_end_shows_rows_alone(tmp_path):
    for name in ("absent.csv", "broken.parquet", "a.csv.gz", "s3://bucket/a.csv"):
        assert lines_of(name if "://" in name else str(tmp_path / name)) is None
    assert picture(10, None, 1000, 2.0) == "1,000 rows  500 rows/s"


def test_more_lines_than_were_counted_are_all_of_them():
    assert picture(12, 10, 12, 1.0).startswith("[==============================] 100 %")

from __future__ import annotations

import gzip
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.collect.columns import Columns
from lightning_tune.prepare.collect.inputs import Input, Reading, open_inputs
from lightning_tune.prepare.collect.reading import read_chunks
from lightning_tune.prepare.rows import joined
from lightning_tune.tables import TableFormat

PLAIN = Reading()
TEXTS = ["good film", "bad film", "fine"]
LABELS = ["pos", "neg", "pos"]


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(*inputs: Input, reading: Reading = PLAIN, split: str = "train") -> pa.Table:
    opened = open_inputs(inputs, reading, split)
    return joined([outcome.table for one in opened for outcome in read_chunks(one, reading)])


def seen(table: pa.Table, *names: str) -> list[tuple]:
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


EXPECTED = list(zip(TEXTS, LABELS, strict=True))


def test_each_kind_of_file_gives_the_same_rows(work):
    lines = "".join(f"{text},{label}\n" for text, label in EXPECTED)
    Path("a.csv").write_text(f"text,label\n{lines}")
    Path("a.tsv").write_text(f"text\tlabel\n{lines}".replace(",", "\t"))
    Path("a.csv.gz").write_bytes(gzip.compress(f"text,label\n{lines}".encode()))
    objects = [json.dumps({"text": text, "label": label}) for text, label in EXPECTED]
    Path("a.jsonl").write_text("\n".join(objects))
    pq.write_table(pa.table({"text": TEXTS, "label": LABELS}), "a.parquet")
    with fsspec.open("memory://raw/a.csv", "w") as file:
        file.write(f"text,label\n{lines}")
    for name in ("a.csv", "a.tsv", "a.csv.gz", "a.jsonl", "a.parquet", "memory://raw/a.csv"):
        table = read(Input(name))
        assert seen(table, "text", "label") == EXPECTED
        assert set(table["source"].to_pylist()) == {name}
    assert read(Input("a.csv"))["line"].to_pylist() == [2, 3, 4]


def test_several_inputs_keep_their_origin_and_have_columns_of_their_own():
    Path("a.csv").write_text("body,kind\nx,1\n")
    Path("b.csv").write_text("y|2\n")
    inputs = [
        Input("a.csv", text="body", label="kind"),
        Input("b.csv", columns=("text", "label"), format=TableFormat(delimiter="|")),
    ]
    assert seen(read(*inputs), "text", "label", "source", "line") == [
        ("x", "1", "a.csv", 2),
        ("y", "2", "b.csv", 1),
    ]


def test_files_of_a_glob_are_told_apart():
    for name in ("b", "a"):
        Path(f"{name}.csv").write_text(f"text,label\n{name},x\n")
    assert seen(read(Input("*.csv")), "text", "source", "line") == [
        ("a", "a.csv", 2),
        ("b", "b.csv", 2),
    ]
    with pytest.raises(ConfigError, match=r"input='a.csv' is named twice"):
        read(Input("*.csv"), Input("a.csv"))


def test_a_folder_of_text_files_by_class():
    for name, text in (
        ("pos/2.txt", "fine"),
        ("neg/1.txt", "bad"),
        ("pos/sub/1.txt", "good"),
        (".git/x.txt", "no"),
        ("pos/notes.md", "no"),
    ):
        path = Path("films") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    table = read(Input("films"))
    assert seen(table, "text", "label", "line") == [
        ("bad", "neg", 1),
        ("fine", "pos", 2),
        ("good", "pos", 3),
    ]
    (Path("films") / "pos" / "2.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(
        DataError, match=r"films:2: 2.txt: byte 0 is not utf-8-sig; correct the row"
    ):
        read(Input("films"))


def test_a_file_name_that_may_tell_a_person_is_not_shown():
    for name in ("pos/1.txt", "neg/ann@example.org.txt"):
        path = Path("films") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"films:1: the file: byte 0 is not utf-8-sig; correct"):
        read(Input("films"))


def test_an_empty_folder_is_explained():
    Path("nothing").mkdir()
    with pytest.raises(DataError, match="nothing is a folder without text files by class"):
        read(Input("nothing"))


def database(path: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table tickets (body text, kind integer, made text)")
    rows = [("x", 1, "2024-01-02"), (None, 2, "2024-01-03"), ("z", 1, None)]
    connection.executemany("insert into tickets values (?, ?, ?)", rows)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_a_query_of_a_database(scheme):
    if scheme != "sqlite":
        pytest.importorskip("sqlalchemy", reason="needs the extra sql")
    database("tickets.db")
    url = f"{scheme}:///tickets.db"
    query = "select body as text, kind as label, made from tickets order by made desc"
    table = read(Input(url, query), reading=Reading(Columns(time="made")))
    assert seen(table, "text", "label", "line") == [(None, "2", 1), ("x", "1", 2), ("z", "1", 3)]
    assert table["time"].to_pylist()[1] == datetime(2024, 1, 2, tzinfo=UTC)
    with pytest.raises(DataError, match=r"tickets.db: the query failed: .*no such column"):
        read(Input(url, "select notes from tickets"))
    with pytest.raises(DataError, match=r"the query failed|answers with no columns"):
        read(Input(url, "delete from tickets"))


def test_sqlite_is_opened_to_read_alone():
    database("tickets.db")
    before = Path("tickets.db").read_bytes()
    with pytest.raises(DataError, match="readonly database"):
        read(
            Input(
                "sqlite:///tickets.db",
                "insert into tickets values ('a', 1, 'b') returning body as text, kind as label",
            )
        )
    assert Path("tickets.db").read_bytes() == before


@pytest.mark.parametrize("query", ["attach 'new.db' as new", "vacuum into 'new.db'"])
def test_a_query_of_sqlite_makes_no_other_file(query):
    database("tickets.db")
    with pytest.raises(DataError, match="the query failed: too many attached databases"):
        read(Input("sqlite:///tickets.db", query))
    assert not Path("new.db").exists()


@pytest.mark.parametrize("query", ["drop table tickets", "create table more (x)"])
def test_sqlite_by_sqlalchemy_is_read_alone_too(query):
    pytest.importorskip("sqlalchemy", reason="needs the extra sql")
    database("tickets.db")
    before = Path("tickets.db").read_bytes()
    with pytest.raises(DataError, match="readonly database"):
        read(Input("sqlite+pysqlite:///tickets.db", query))
    assert Path("tickets.db").read_bytes() == before


def test_a_port_that_is_no_number_is_one_line():
    pytest.importorskip("sqlalchemy", reason="needs the extra sql")
    with pytest.raises(ConfigError, match=r"//me:\*\*\*@host:port/db: its port is no number"):
        read(Input("postgresql://me:secret@host:port/db", "select 1"))


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        (Input("sqlite:///x.db"), ConfigError, "is a database; give --query"),
        (Input("sqlite:///x.db", "select 1"), DataError, "x.db does not exist"),
        (
            Input("a.csv", "select 1"),
            ConfigError,
            "input='a.csv' is no database; leave out --query",
        ),
        (Input("gone.csv"), DataError, "gone.csv does not exist"),
        (Input("postgresql://me:secret@host/db"), ConfigError, r"'postgresql://me:\*\*\*@host/db'"),
    ],
)
def test_what_cannot_be_opened_is_one_line(wanted, error, message):
    with pytest.raises(error, match=message):
        read(wanted)


def test_builtin_data_and_its_splits_have_names_of_their_own():
    train = read(Input("builtin:support"))
    val = read(Input("builtin:support"), split="val")
    assert train.num_rows > val.num_rows > 0
    assert set(train["source"].to_pylist()) == {"builtin:support"}
    assert set(val["source"].to_pylist()) == {"builtin:support (val)"}
    assert set(val["split"].to_pylist()) == {"val"}


def test_own_test_data_need_no_group():
    Path("a.csv").write_text("text,label,who\nx,1,ann\n")
    Path("t.csv").write_text("text,label\ny,1\n")
    reading = Reading(Columns(group="who"))
    assert read(Input("a.csv"), reading=reading)["group"].to_pylist() == ["ann"]
    assert "group" not in read(Input("t.csv"), reading=reading, split="test").column_names
    with pytest.raises(DataError, match=r"t.csv has no column 'who' \(--group\)"):
        read(Input("t.csv"), reading=reading)


def test_the_names_of_columns_that_may_be_texts_are_not_shown():
    Path("a.csv").write_text("call me at 555 0123 4567,ann@example.org\nx,y\n")
    with pytest.raises(DataError) as caught:
        read(Input("a.csv"))
    assert str(caught.value) == (
        "a.csv has no column 'text' (--text); its 2 columns have no names. Name one of them, or "
        "give --columns where there is no header line."
    )
    Path("b.csv").write_text("message,intent\nx,y\n")
    with pytest.raises(DataError, match=r"it has 'message', 'intent'\. Did"):
        read(Input("b.csv"))
    with pytest.raises(DataError, match=r"Did you mean 'message'\?"):
        read(Input("b.csv"), reading=Reading(Columns("mesage", label="intent")))

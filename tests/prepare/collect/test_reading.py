from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_tune.errors import DataError
from lightning_tune.prepare.collect.columns import Columns
from lightning_tune.prepare.collect.inputs import Input, Reading, open_inputs
from lightning_tune.prepare.collect.reading import read_chunks
from lightning_tune.prepare.collect.values import without_values
from lightning_tune.prepare.rows import Outcome, joined


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(content: str | bytes, name: str = "a.csv", **settings) -> Outcome:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    columns = Columns(**settings.pop("columns", {}))
    reading = Reading(columns, **settings)
    (opened,) = open_inputs([Input(name)], reading, "train")
    outcomes = list(read_chunks(opened, reading))
    return Outcome(joined([o.table for o in outcomes]), joined([o.dropped for o in outcomes]))


def test_missing_texts_and_labels_are_kept_for_cleaning_to_count():
    table = read("text,label\n,x\n  ,y\nz,\n").table
    assert table["text"].to_pylist() == ["", "  ", "z"]
    assert table["label"].to_pylist() == ["x", "y", None]
    table = read('{"text": null, "label": "x"}\n{"label": "y"}\n', "a.jsonl").table
    assert table["text"].to_pylist() == [None, None]


BAD = [
    (
        b"text,label\nx,1\na,b,secret@example.org\n",
        3,
        "3 fields, the last …, where the header names 2",
    ),
    (
        b'text,label\n"open secret,1\n',
        2,
        "broken quotes: the quote that opens field 1 is never closed",
    ),
    (
        b"text,label\ncaf\xe9,1\n",
        2,
        "the byte 0xe9 at character 4 is not utf-8 (--format.encoding)",
    ),
    (b"text,label\na\0b,1\n", 2, "a NUL at character 2; no text holds one"),
]


@pytest.mark.parametrize(("content", "line", "reason"), BAD)
def test_rows_that_cannot_be_read_stop_with_line_and_no_value_or_are_dropped(content, line, reason):
    with pytest.raises(DataError) as caught:
        read(content)
    assert str(caught.value).startswith(f"a.csv:{line}: {reason}; correct the row, or set")
    assert "secret" not in str(caught.value)
    outcome = read(content, on_bad_rows="skip")
    assert outcome.dropped.to_pylist() == [
        {"source": "a.csv", "line": line, "step": "collect", "reason": reason}
    ]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ('{"text": 4711, "label": "x"}', "the text is a number, not a string"),
        (
            '{"text": "b", "label": 1}',
            "mixed label types: the label 1 is a number, the one of line 1 is a string",
        ),
        (
            '{"text": "b", "label": {"a": 1}}',
            "is an object, not a name, a number or a list of names",
        ),
        ("4711", "no JSON object;"),
        ("[1", "no valid JSON"),
    ],
)
def test_what_is_no_text_or_label_is_refused(second, reason):
    with pytest.raises(DataError, match=f"a.jsonl:2: .*{reason}"):
        read('{"text": "a", "label": "x"}\n' + second + "\n", "a.jsonl")


def test_weights_groups_and_times():
    content = "text,label,w,g,t\na,x,0.5,ann,2024-01-02T10:00:00+02:00\nb,y,2,,\n"
    columns = {"weight": "w", "group": "g", "time": "t"}
    table = read(content, columns=columns).table
    assert table["weight"].to_pylist() == [0.5, 2.0]
    assert table["group"].to_pylist() == ["ann", None]
    assert [None if t is None else t.isoformat() for t in table["time"].to_pylist()] == [
        "2024-01-02T08:00:00+00:00",
        None,
    ]
    assert (
        read("text,label,t\na,x,17\nb,y,3\n", columns={"time": "t"}).table["time"].type
        == pa.int64()
    )


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("soon", "the t is neither a whole number nor a date in ISO 8601"),
        ("17", "the t is a number, the one of line 2 is a date"),
    ],
)
def test_times_that_are_none_are_refused(cell, reason):
    with pytest.raises(DataError, match=f"a.csv:3: {reason}"):
        read(f"text,label,t\na,x,2024-01-02\nb,y,{cell}\n", columns={"time": "t"})


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (str(2**63), "a whole number beyond 64 bits"),
        ("1e300", "a whole number beyond 64 bits"),
        ('"0001-01-01T00:00:00+14:00"', "outside the years 1 to 9999 in UTC"),
        ('"9999-12-31T23:00:00-12:00"', "outside the years 1 to 9999 in UTC"),
    ],
)
def test_times_that_cannot_be_counted_with_are_refused(time, reason):
    with pytest.raises(DataError, match=f"a.jsonl:1: the t is {reason}"):
        read(f'{{"text": "a", "label": "x", "t": {time}}}\n', "a.jsonl", columns={"time": "t"})
    row = f'{{"text": "a", "label": "x", "t": {-(2**63)}}}\n'
    table = read(row, "a.jsonl", columns={"time": "t"}).table
    assert table["time"].to_pylist() == [-(2**63)]


def test_a_group_that_is_not_a_number_is_missing():
    pq.write_table(pa.table({"text": ["a"], "label": ["x"], "g": [float("nan")]}), "a.parquet")
    table = read(Path("a.parquet").read_bytes(), "a.parquet", columns={"group": "g"}).table
    assert table["group"].to_pylist() == [None]


def test_several_labels_come_as_lists_or_with_a_separator():
    table = read("text,label\na,x|y|x\nb,\n", label_separator="|").table
    assert table["label"].to_pylist() == [["x", "y"], []]
    table = read('{"text": "a", "label": ["x"]}\n{"text": "b", "label": []}\n', "a.jsonl").table
    assert table["label"].to_pylist() == [["x"], []]


def test_lone_surrogates_do_not_stop_anything():
    table = read('{"text": "a \\ud83d", "label": "x"}\n', "a.jsonl").table
    assert table["text"].to_pylist() == ["a \ufffd"]


def test_a_file_without_rows_is_refused():
    with pytest.raises(DataError, match=r"a.csv has no rows"):
        read("text,label\n")


@pytest.mark.parametrize(
    "reason",
    [
        "3 fields, the last 'ann@x.org', where the header names 2",
        '3 fields, the last "o\'neil", where the header names 2',
        "broken quotes: 'secret it is... and secret more...' follows the closing quote of field 1",
        "broken quotes: field 1 'a secret \\' secret' holds a quote and is not quoted",
        "broken quotes: field 1 'a very long secret of somebo... holds a quote and is not quoted",
    ],
)
def test_no_reason_shows_a_value(reason):
    told = without_values(reason)
    assert "secret" not in told
    assert "ann" not in told
    assert "neil" not in told

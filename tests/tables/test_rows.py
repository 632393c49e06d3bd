from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from lightning_tune.errors import DataError
from lightning_tune.tables import (
    BadRow,
    Fields,
    RowBatch,
    TableFormat,
    read_header,
    read_rows,
    write_rows,
)

SHARED = Path(__file__).parents[3] / "shared" / "data"


def read(path: Path, fields: Fields | None = None, **options) -> list[RowBatch]:
    return list(read_rows(str(path), fields or Fields(), format=TableFormat(), **options))


@pytest.mark.parametrize("extension", ["csv", "tsv", "jsonl", "parquet"])
def test_batches_hold_at_most_4096_rows_and_every_row_once(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{extension}"
    texts = [f"text {i}" for i in range(10_000)]
    labels = [str(i % 3) for i in range(10_000)]
    write_rows(path, {"label": labels, "text": texts, "other": texts, "weight": [0.5] * 10_000})
    fields = Fields(text_pair="other", weight="weight")
    batches = read(path, fields)
    assert max(len(batch.lines) for batch in batches) <= 4096
    assert [text for batch in batches for text in batch.texts] == texts
    assert [text for batch in batches for text in batch.pairs or ()] == texts
    assert [label for batch in batches for label in batch.labels or ()] == labels
    assert {weight for batch in batches for weight in batch.weights or ()} == {0.5}
    first = {"csv": 2, "tsv": 2, "jsonl": 1, "parquet": 1}[extension]
    assert [line for batch in batches for line in batch.lines] == list(range(first, first + 10_000))
    assert {batch.errors is None for batch in batches} == {True}


@pytest.mark.parametrize("extension", ["csv", "jsonl", "parquet"])
def test_memory_does_not_grow_with_the_file(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{extension}"
    write_rows(path, {"text": ["word " * 20] * 120_000, "label": ["a"] * 120_000})
    read_header(str(path), TableFormat())  # imports what it needs
    tracemalloc.start()
    rows = sum(len(batch.lines) for batch in read_rows(str(path), Fields(), format=TableFormat()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 120_000
    assert peak < 6_000_000  # the texts alone are 12 MB


def test_the_same_column_may_be_text_and_pair(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,x\n")
    (batch,) = read(path, Fields(text_pair="text"))
    assert (batch.texts, batch.pairs) == (["a"], ["a"])


def test_a_kept_bad_row_has_no_text_pair_or_weight_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,other,label,weight\na,b,x,2\nc,d,x,-2\n,f,y,3\n")
    bad: list[BadRow] = []
    (batch,) = read(path, Fields(text_pair="other", weight="weight"), on_bad_rows="keep", bad=bad)
    assert (batch.texts, batch.pairs) == (["a", "", ""], ["b", "", ""])
    assert batch.weights == [2.0, 1.0, 3.0]
    assert batch.errors == [
        None,
        "the weight '-2' is not a finite number of at least 0",
        "the text is empty",
    ]
    assert [(row.line, row.reason) for row in bad] == [(3, batch.errors[1]), (4, batch.errors[2])]


def test_without_labels_wanted_their_column_and_that_of_weights_may_be_absent(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b", "x": 1}\n')
    (batch,) = read(path, Fields(weight="weight"), label_required=False)
    assert (batch.labels, batch.weights) == (None, None)
    path.write_text('{"text": "a"}\n{"text": "b", "label": "x", "weight": 3}\n')
    (batch,) = read(path, Fields(weight="weight"), label_required=False)
    assert (batch.labels, batch.weights) == (["", "x"], [1.0, 3.0])


def test_an_empty_label_is_an_answer_where_the_fields_say_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,x|y\nb,\n")
    (batch,) = read(path, Fields(label_may_be_empty=True))
    assert batch.labels == ["x|y", ""]


def test_header_is_the_names_of_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbf"a,b",c\n1,2\n')
    assert read_header(str(path), TableFormat()) == ["a,b", "c"]
    assert read_header(str(path), TableFormat(), ["x", "y"]) == ["x", "y"]
    assert read_header(str(path), TableFormat(kind="tsv")) == ['"a,b",c']


def test_a_long_list_of_columns_is_cut_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(",".join(f"c{i}" for i in range(30)) + "\n")
    with pytest.raises(DataError, match=r"'c11' and 18 more\."):
        read(path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data")
@pytest.mark.parametrize(
    ("file", "fields", "rows", "bad_rows"),
    [
        ("banking77/train.csv", Fields(label="category"), 10_003, 0),
        ("sst2_sentence/train.tsv", Fields(columns=("text", "label")), 6_920, 0),
        ("glue/MRPC/train.tsv", Fields("#1 String", "#2 String", "Quality"), 3_667, 0),
        ("glue/STS-B/train.tsv", Fields("sentence1", "sentence2", "score"), 5_749, 0),
        (
            "glue/STS-B/sts-test_original.tsv",
            Fields("a", "b", "score", columns=("1", "2", "3", "4", "score", "a", "b")),
            1_095,
            284,
        ),
        ("goemotions/train.tsv", Fields(columns=("text", "label", "id")), 43_410, 0),
    ],
)
def test_real_files_have_the_rows_that_their_notes_state(
    file: str, fields: Fields, rows: int, bad_rows: int
) -> None:
    bad: list[BadRow] = []
    batches = read(SHARED / file, fields, on_bad_rows="skip", bad=bad)
    assert sum(len(batch.lines) for batch in batches) == rows
    assert len(bad) == bad_rows

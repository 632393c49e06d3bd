from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_tune.tables import BadRow, Fields, TableFormat, blocks, delimited, read_rows
from lightning_tune.tables.delimited import DelimitedTable


def rows_of(table: DelimitedTable) -> list[tuple[str, ...]]:
    columns: dict[str, list[str]] = {name: [] for name in table.names}
    for records in table.records(table.names):
        assert not records.faults
        for name, values in records.columns.items():
            columns[name] += values
    return list(zip(*columns.values(), strict=True))


def lines_of(table: DelimitedTable) -> list[int]:
    return [line for records in table.records([]) for line in records.lines]


def random_rows(seed: int) -> Iterator[list[str]]:
    generator = random.Random(seed)
    for _ in range(60):
        yield [
            "".join(generator.choices('ab,"\n\r\t é\u2028', k=generator.randrange(9)))
            for _ in "abc"
        ]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("block", [1, 7, 64, 1 << 19])
def test_csv_reads_what_the_csv_module_wrote(
    seed: int, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_CHARACTERS", block)
    rows = list(random_rows(seed))
    written = io.StringIO(newline="")
    end = "\n" if seed % 2 else "\r\n"
    quoting = csv.QUOTE_MINIMAL if seed % 3 else csv.QUOTE_ALL
    writer = csv.writer(written, lineterminator=end, quoting=quoting)
    starts = []
    writer.writerow("abc")
    for row in rows:
        starts.append(written.getvalue().count("\n") + 1)
        writer.writerow(row if end == "\r\n" else [field.replace("\r", "") for field in row])
    path = tmp_path / "a.csv"
    path.write_bytes(written.getvalue().encode())

    table = DelimitedTable(str(path), delimiter=",", quoted=True, encoding="utf-8", columns=None)
    if end == "\n":  # the csv module would not quote it
        rows = [[field.replace("\r", "") for field in row] for row in rows]
    assert rows_of(table) == [tuple(row) for row in rows]
    assert lines_of(table) == starts


@pytest.mark.parametrize("block", [1, 5, 1 << 19])
def test_tsv_reads_lines_and_tabs_and_nothing_else(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_CHARACTERS", block)
    path = tmp_path / "a.tsv"
    path.write_bytes('1\t"x\n\t\r\r\n"2"\t\'\u2028\n'.encode())
    table = DelimitedTable(
        str(path), delimiter="\t", quoted=False, encoding="utf-8", columns=["a", "b"]
    )
    assert rows_of(table) == [("1", '"x'), ("", "\r"), ('"2"', "'\u2028")]
    assert lines_of(table) == [1, 2, 3]


@pytest.mark.parametrize("block", [1, 1 << 19])
def test_reading_goes_on_after_broken_quotes_on_the_next_line(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_CHARACTERS", block)
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"a"b,x\n"two\nlines",y\nc"d,x\n"open,x\ngood,x\n', newline="")
    bad: list[BadRow] = []
    read = [
        row
        for batch in read_rows(
            str(path), Fields(), format=TableFormat(), on_bad_rows="skip", bad=bad
        )
        for row in zip(batch.lines, batch.texts, strict=True)
    ]
    assert read == [(3, "two\nlines"), (7, "good")]
    assert [row.line for row in bad] == [2, 5, 6]


def test_a_quote_left_open_does_not_read_the_whole_file_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_CHARACTERS", 100)
    monkeypatch.setattr(delimited, "RECORD_LIMIT", 1000)
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"open,x\n' + "good,x\n" * 2000, newline="")
    held: list[int] = []
    split = delimited._split_records

    def watched(grammar, text, *rest, last):
        held.append(len(text))
        return split(grammar, text, *rest, last=last)

    monkeypatch.setattr(delimited, "_split_records", watched)
    read = read_rows(str(path), Fields(), format=TableFormat(), on_bad_rows="skip")
    assert sum(len(batch.lines) for batch in read) == 2000
    assert max(held) < 1500


def test_undecodable_bytes_spoil_only_their_record(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,label\n"a\nb\xff\nc",x\nd,x\n"e\0",x\n')
    bad: list[BadRow] = []
    (batch,) = read_rows(str(path), Fields(), format=TableFormat(), on_bad_rows="skip", bad=bad)
    assert (batch.lines, batch.texts) == ([5], ["d"])
    assert [row.line for row in bad] == [2, 6]
    path.write_bytes(b'text,label\nd,x\n"a\nb\xff",x\n')
    (batch,) = read_rows(str(path), Fields(), format=TableFormat(), on_bad_rows="skip", bad=bad)
    assert batch.lines == [2]

"""Files in, predictions out: the rows, the errors, the memory, and nothing on failure."""

from __future__ import annotations

import csv
import gzip
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.calibration import Calibration
from lightning_tune.serving.scoring import NOT_FINITE, score
from lightning_tune.tables import Fields, TableFormat

TEXTS = [
    "good film",
    "a very slow and poor film " * 30,
    'it says "no", twice',
    "two\nlines",
    "why not",
    "lone \ud800",
]


def run(made, source: Path, output: Path, **fields):
    return score(
        Bundle(made.path),
        [str(source)],
        output,
        fields=Fields(label=None, **fields),
        format=TableFormat(),
    )


def write_csv(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file).writerows(rows)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_columns_hold_what_the_bundle_answers(write_bundle, tmp_path, kind):
    made = write_bundle(kind)
    texts = [text for text in TEXTS if "\ud800" not in text]
    source = write_csv(tmp_path / "in.csv", [["text"], *[[text] for text in texts]])
    counts = run(made, source, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet").to_pydict()
    answers = Bundle(made.path)(texts)
    assert table["row"] == list(range(len(texts)))
    assert table["text"] == texts
    assert table["error"] == [None] * len(texts)
    assert (counts.rows, counts.errors, counts.truncated) == (len(texts), 0, 1)
    if kind == "regression":
        assert table["prediction"] == pytest.approx([answer.label for answer in answers])
        assert table.keys() == {"row", "text", "prediction", "error"}
        return
    for name in answers[0].probabilities:
        expected = [answer.probabilities[name] for answer in answers]
        assert table[f"p({name})"] == pytest.approx(expected, abs=1e-6)
    if kind == "multilabel":
        assert table["prediction"] == [", ".join(answer.label) for answer in answers]
    else:
        assert table["prediction"] == [answer.label for answer in answers]
        best = [max(answer.probabilities.values()) for answer in answers]
        assert table["probability"] == pytest.approx(best, abs=1e-6)


def test_predict_writes_the_same_columns(write_bundle, tmp_path):
    """As `training.callbacks.predictions` says: row, text, prediction, probability, each label."""
    source = write_csv(tmp_path / "in.csv", [["text"], ["good film"]])
    run(write_bundle(), source, tmp_path / "out.csv")
    header = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert header == "row,text,prediction,probability,p(bad),p(good),error"


def test_bad_rows_keep_their_place_and_say_why(write_bundle, tmp_path):
    source = tmp_path / "in.jsonl"
    lines = ['{"text": "good film"}', "{", '{"text": ""}', '{"text": 3}', "{}", '{"text": "no"}']
    source.write_text("\n".join(lines) + "\n")
    made = write_bundle()
    counts = run(made, source, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rows] == list(range(6))
    assert (counts.rows, counts.errors) == (6, 4)
    assert [row["error"] is None for row in rows] == [True, False, False, False, False, True]
    assert "no valid JSON" in rows[1]["error"]
    assert rows[3]["error"] == "the text 3 is a number, not a string"
    assert [rows[at]["prediction"] for at in (1, 2, 3, 4)] == [None] * 4
    expected = [answer.label for answer in Bundle(made.path)(["good film", "no"])]
    assert [rows[0]["prediction"], rows[5]["prediction"]] == expected


def test_columns_to_keep_come_along_as_they_are(write_bundle, tmp_path):
    made = write_bundle()
    rows = [["id", "text", "note"], ["007", "good film", 'a "b", c'], ["8", "bad"], ["", "", "z"]]
    source = write_csv(tmp_path / "in.csv", rows)
    output = tmp_path / "out.csv"
    fields = Fields(label=None)
    score(
        Bundle(made.path),
        [str(source)],
        output,
        fields=fields,
        format=TableFormat(),
        keep=["note", "id"],
    )
    with output.open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file))[:4] == ["row", "note", "id", "text"]
    kept = [(row["id"], row["note"]) for row in read_csv(output)]
    assert kept == [("007", 'a "b", c'), ("", ""), ("", "z")]


@pytest.mark.parametrize("name", ["row", "text", "prediction", "probability", "error"])
def test_a_column_of_the_output_cannot_be_kept(write_bundle, tmp_path, name):
    made = write_bundle()
    source = write_csv(tmp_path / "in.csv", [["text", "row", "prediction"], ["a", "b", "c"]])
    with pytest.raises(ConfigError, match="is a column of the output already"):
        score(
            Bundle(made.path),
            [str(source)],
            tmp_path / "out.csv",
            fields=Fields(label=None),
            format=TableFormat(),
            keep=[name],
        )


def test_a_file_of_nothing_but_bad_rows_is_answered(write_bundle, tmp_path):
    source = write_csv(tmp_path / "in.csv", [["text", "n"], ["", "1"], [" ", "2"]])
    counts = run(write_bundle(), source, tmp_path / "out.csv")
    assert (counts.rows, counts.errors) == (2, 2)
    assert [row["error"] for row in read_csv(tmp_path / "out.csv")] == [
        "the text is empty",
        "the text ' ' is only white space",
    ]


def test_an_answer_that_is_no_number_is_an_error(write_bundle, tmp_path, monkeypatch):
    made = write_bundle()
    bundle = Bundle(made.path)
    true_run = bundle.session.run

    class Overflowing:
        name, outputs, batch_tokens = "test", 2, 512

        def run(self, batch):
            logits = true_run(batch)
            logits[batch["attention_mask"].sum(axis=1) == 4] = np.nan
            return logits

    monkeypatch.setattr(bundle, "session", Overflowing())
    source = write_csv(tmp_path / "in.csv", [["text"], ["good"], ["good film"], ["no"]])
    counts = score(
        bundle,
        [str(source)],
        tmp_path / "out.csv",
        fields=Fields(label=None),
        format=TableFormat(),
    )
    rows = read_csv(tmp_path / "out.csv")
    assert [row["error"] for row in rows] == ["", NOT_FINITE, ""]
    assert rows[1]["prediction"] == rows[1]["p(good)"] == ""
    assert counts.errors == 1


def test_pairs_and_thresholds_travel(write_bundle, tmp_path):
    made = write_bundle("multilabel", pairs=True, calibration=Calibration(1.0, (0.0, 1.0, 0.0)))
    source = write_csv(tmp_path / "in.csv", [["text", "other"], ["good", "bad"], ["no", "yes"]])
    run(made, source, tmp_path / "out.csv", text_pair="other")
    rows = read_csv(tmp_path / "out.csv")
    assert [row["text_pair"] for row in rows] == ["bad", "yes"]
    assert [row["prediction"] for row in rows] == ["angry, rude"] * 2


def test_several_files_are_numbered_through(write_bundle, tmp_path):
    made = write_bundle()
    one = write_csv(tmp_path / "a.csv", [["text"], ["good"], ["bad"]])
    pq.write_table(pa.table({"text": ["no", "yes"]}), tmp_path / "b.parquet")
    seen = []
    score(
        Bundle(made.path),
        [str(one), str(tmp_path / "b.parquet")],
        tmp_path / "out.tsv",
        fields=Fields(label=None),
        format=TableFormat(),
        on_batch=lambda batch, rows: seen.append((Path(batch.source).name, batch.lines[-1], rows)),
    )
    lines = (tmp_path / "out.tsv").read_text().splitlines()
    assert [line.split("\t")[:2] for line in lines[1:]] == [
        ["0", "good"],
        ["1", "bad"],
        ["2", "no"],
        ["3", "yes"],
    ]
    assert seen == [("a.csv", 3, 2), ("b.parquet", 2, 4)]


def test_rows_of_many_blocks_are_those_of_one_call(write_bundle, tmp_path):
    """More rows than are read at once, of lengths that batches must sort and put back."""
    made = write_bundle()
    random = np.random.default_rng(0)
    words = np.array(["good", "bad", "film", "no", "very", "slow"])
    texts = [" ".join(random.choice(words, n)) for n in random.integers(1, 30, 9000)]
    source = write_csv(tmp_path / "in.csv", [["text"], *[[text] for text in texts]])
    run(made, source, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert table["text"] == texts
    expected = Bundle(made.path).scores(texts)
    np.testing.assert_allclose(table["p(good)"], expected[:, 1], atol=1e-6)


def test_nothing_is_written_where_the_input_breaks_off(write_bundle, tmp_path):
    source = write_csv(tmp_path / "in.csv", [["text"], *[["good film"]] * 20_000])
    packed = tmp_path / "in.csv.gz"
    packed.write_bytes(gzip.compress(source.read_bytes())[:-400])
    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(DataError, match="cannot be read"):
        run(write_bundle(), packed, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "old"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("extension", ["csv", "tsv", "jsonl", "parquet"])
def test_a_full_disk_is_one_line_and_leaves_nothing(write_bundle, tmp_path, extension):
    """The size of a file is limited to 64 KiB, which the output exceeds."""
    source = write_csv(tmp_path / "in.csv", [["text"], *[[f"film {n}"] for n in range(20_000)]])
    made = write_bundle()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, old[1]))
    try:
        with pytest.raises(ConfigError, match="cannot be written: File too large; make room"):
            run(made, source, tmp_path / f"out.{extension}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert not (tmp_path / f"out.{extension}").exists()
    assert not list(tmp_path.glob(".*"))


PEAK = """
import resource, sys
from pathlib import Path
from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.scoring import score
from lightning_tune.tables import Fields, TableFormat
bundle, source, output = sys.argv[1:]
score(Bundle(bundle), [source], Path(output), fields=Fields(label=None), format=TableFormat())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_input(write_bundle, tmp_path):
    made = write_bundle()
    peaks = []
    for rows in (10_000, 100_000):
        source = tmp_path / f"{rows}.csv"
        source.write_text("text\n" + "a good film about money\n" * rows)
        command = [sys.executable, "-c", PEAK, made.path, source, tmp_path / f"{rows}.parquet"]
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=True, timeout=120
        )
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 30_000  # KiB; all rows together would take more than 100 MB

"""`review` from the command line: suspects of a prepared folder out, the reviewed table back."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_tune.cli import main
from lightning_tune.commands.review import read_split

WORDS = {"card": ["card", "lost", "stolen", "pin"], "refund": ["refund", "money", "back", "paid"]}
FLIPPED = [3, 17, 40, 66, 91]


def messages() -> tuple[list[str], list[str]]:
    draw = np.random.default_rng(0)
    labels = ["card" if at % 2 else "refund" for at in range(120)]
    texts = [
        f"{' '.join(draw.choice(WORDS[label], 3))} number {at}" for at, label in enumerate(labels)
    ]
    return texts, labels


def manifest(folder: Path) -> dict:
    files = ("train.parquet", "test.parquet")
    return {
        "fields": {"text": "text", "label": "label"},
        "rows": {"train": 100, "test": 20},
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files},
    }


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder as prepare writes it, with five flipped labels in train."""
    monkeypatch.chdir(tmp_path)
    texts, labels = messages()
    for at in FLIPPED:
        labels[at] = "card" if labels[at] == "refund" else "refund"
    made = Path("prepared")
    made.mkdir()
    lines = pa.array(range(2, 122), pa.int64())
    sources = pa.array(["raw.csv"] * 120).dictionary_encode()
    whole = pa.table({"text": texts, "label": labels, "source": sources, "line": lines})
    pq.write_table(whole.slice(0, 100), made / "train.parquet")
    pq.write_table(whole.slice(100), made / "test.parquet")
    (made / "prepare.json").write_text(json.dumps(manifest(made)))
    return made


def read(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="") as file:
        return list(csv.DictReader(file))


def fill_in(name: str, **cells) -> None:
    rows = read(name)
    for row in rows:
        row |= cells.get("of", lambda row: {})(row)
    with Path(name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def run(*words: str) -> int:
    return main(["review", "--data=prepared", *words])


def refused(capsys, *words: str) -> str:
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("error: ")


def test_flipped_labels_are_at_the_top_of_the_table(folder, capsys):
    assert run("--output=suspects.csv") == 0
    assert capsys.readouterr().out.startswith("train: 100 rows, 2 labels, ")
    rows = read("suspects.csv")
    assert {int(row["row"].split(":")[1]) - 1 for row in rows[:5]} == set(FLIPPED)
    assert all(row["suggestion"] != row["label"] for row in rows[:5])
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_a_reviewed_table_goes_back_and_again_changes_nothing(folder, capsys):
    assert run("--output=suspects.csv", "--top=3") == 0
    first = read("suspects.csv")[0]["row"]

    def verdict(row):
        return {"drop": "x"} if row["row"] == first else {"reviewed": row["suggestion"]}

    fill_in("suspects.csv", of=verdict)
    capsys.readouterr()
    assert run("--apply=suspects.csv") == 0
    assert capsys.readouterr().out == (
        "3 verdicts: 2 labels changed, 0 confirmed, 1 rows dropped -> prepared\n"
    )
    _, right = messages()
    train = read_split(folder, "train")
    at = [line - 2 for line in train["line"].to_pylist()]
    wrong = [
        a for a, label in zip(at, train["label"].to_pylist(), strict=True) if label != right[a]
    ]
    assert (train.num_rows, len(wrong)) == (99, 2)
    (gone,) = pq.read_table(folder / "dropped.parquet").to_pylist()
    assert gone == {
        "source": "raw.csv",
        "line": int(first.split(":")[1]) + 1,
        "step": "review",
        "reason": "a reviewer dropped it",
    }
    before = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    assert run("--apply=suspects.csv") == 0
    assert "0 labels changed, 2 confirmed, 0 rows dropped, 1 dropped before" in (
        capsys.readouterr().out
    )
    assert {path.name: path.read_bytes() for path in folder.glob("*.parquet")} == before
    stated = json.loads((folder / "prepare.json").read_text())
    assert [(one["changed"], one["dropped"]) for one in stated["reviews"]] == [(2, 1), (0, 0)]
    assert stated["rows"] == {"train": 99, "test": 20}
    assert stated["files"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*.parquet"))
    }


def test_edited_copies_are_not_looked_at_and_follow_their_rows(folder, capsys):
    train = read_split(folder, "train").append_column("augmented", pa.nulls(100, pa.string()))
    copies = train.set_column(0, "text", pa.array([f"copy {at} of it" for at in range(100)]))
    copies = copies.set_column(4, "augmented", pa.array(["typo"] * 100))
    pq.write_table(pa.concat_tables([train, copies]), folder / "train.parquet")
    assert run("--output=suspects.csv", "--top=1") == 0
    assert capsys.readouterr().out.startswith("train: 100 rows, 2 labels, ")
    (row,) = read("suspects.csv")
    at = int(row["row"].split(":")[1]) - 1
    fill_in("suspects.csv", of=lambda row: {"reviewed": row["suggestion"]})
    assert run("--apply=suspects.csv") == 0
    labels = read_split(folder, "train")["label"].to_pylist()
    assert labels[at] == labels[100 + at] == row["suggestion"]


def test_what_prepare_dropped_stays_noted(folder):
    noted = {"source": ["raw.csv"], "line": [300], "step": ["clean"], "reason": ["empty"]}
    pq.write_table(pa.table(noted), folder / "dropped.parquet")
    assert run("--output=suspects.csv", "--top=1") == 0
    fill_in("suspects.csv", of=lambda row: {"drop": "x"})
    assert run("--apply=suspects.csv") == 0
    assert pq.read_table(folder / "dropped.parquet")["step"].to_pylist() == ["clean", "review"]


def test_another_split_is_looked_through(folder, capsys):
    assert run("--output=suspects.jsonl", "--split=test", "--quality.folds=3") == 0
    assert capsys.readouterr().out.startswith("test: 20 rows, 2 labels, ")


def test_a_backbone_is_tuned_once_a_fold(folder, tiny_backbone, capsys):
    words = ["--quality.mode=encoder", "--quality.folds=2", "--encoder.epochs=1"]
    words.append("--encoder.max_length=16")
    words.append(f"--encoder.backbone={tiny_backbone('bert')}")
    capsys.readouterr()  # what making the tiny backbone says
    assert run("--output=suspects.csv", "--top=5", *words) == 0
    assert len(read("suspects.csv")) <= 5
    shown = capsys.readouterr()
    assert shown.out.count("texts, answered") == 2
    assert shown.err == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give --output, or --apply."),
        (["--output=a.csv", "--apply=b.csv"], "give --output, or --apply."),
        (["--output=a.csv", "--data=."], "is no folder that prepare wrote"),
        (["--output=a.xls"], "cannot write the extension '.xls'"),
        (["--output=a.csv", "--split=val"], "prepared has no val split; it has train, test."),
        (["--output=a.csv", "--top=0"], "top=0 is below 1"),
        (["--output=a.csv", "--quality.folds=1"], "quality.folds=1 is below 2"),
        (
            ["--output=a.csv", "--quality.mode=slow"],
            "(from --quality.mode) is not one of fast, encoder.",
        ),
        (["--apply=none.csv"], "none.csv does not exist."),
        (["--apply=empty.csv"], "empty.csv holds no verdict"),
        (["--apply=other.csv"], "prepared has no val split"),
    ],
)
def test_what_is_wrong_is_one_line(folder, capsys, words, message):
    Path("empty.csv").write_text("row,reviewed\ntrain:1:0123456789abcdef,\n")
    Path("other.csv").write_text("row,reviewed\nval:1:0123456789abcdef,card\n")
    assert message in refused(capsys, *words)
    assert not Path("a.csv").exists()


@pytest.mark.parametrize("cells", [{"reviewed": "card"}, {"drop": "x"}])
def test_a_filled_in_table_is_written_over_after_it_was_applied(folder, capsys, cells):
    for _ in range(2):
        assert run("--output=suspects.csv", "--top=3") == 0
    fill_in("suspects.csv", of=lambda row: cells)
    before = Path("suspects.csv").read_bytes()
    capsys.readouterr()
    assert refused(capsys, "--output=suspects.csv") == (
        "output='suspects.csv' holds 3 answers that would be lost; take them back with --apply "
        "suspects.csv, or name another output."
    )
    assert Path("suspects.csv").read_bytes() == before
    assert run("--apply=suspects.csv") == 0
    assert run("--output=suspects.csv") == 0
    assert {row["reviewed"] + row["drop"] for row in read("suspects.csv")} == {""}


def test_no_split_is_written_over(folder, capsys):
    before = (folder / "train.parquet").read_bytes()
    told = refused(capsys, f"--output={folder / 'train.parquet'}")
    assert "is a file of the data and would be written over" in told
    assert (folder / "train.parquet").read_bytes() == before


def test_a_damaged_split_is_one_line(folder, capsys):
    (folder / "train.parquet").write_bytes(b"PAR1")
    assert "train.parquet is damaged" in refused(capsys, "--output=a.csv")

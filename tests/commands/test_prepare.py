"""`prepare` from the command line: the chain on real data, what it refuses, what it leaves."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lightning_tune.cli import main
from lightning_tune.commands.prepare import gathered
from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.prepare import writing

WORDS = """
where when never again please help money letter phone shop online monday refund paid twice order
missing broken address change account wrong happy thanks manager office waiting week today
""".split()  # noqa: SIM905
NO_SUSPECTS = "--recipe.quality=null"  # of thousands of texts they take seconds


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text(row: int) -> str:
    """A message of five words that is no near duplicate of another row's."""
    words = random.Random(row).choices(WORDS, k=5)
    return f"{' '.join(words)} {'bills' if row % 3 else 'cards'}"


def raw(name: str = "raw.csv", rows: int = 120, extra: str = "") -> str:
    lines = [f"{text(row)},{'bill' if row % 3 else 'card'}" for row in range(rows)]
    Path(name).write_text("\n".join(["message,intent", *lines]) + "\n" + extra)
    return name


def prepare(*words: str) -> int:
    return main(["prepare", "--text", "message", "--label", "intent", *words])


def error(capsys, *words: str, code: int = 2) -> str:
    capsys.readouterr()
    assert prepare(*words) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def report(folder: str) -> dict:
    return json.loads((Path(folder) / "report.json").read_text())


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def digests(folder: str) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).iterdir())
    }


def test_the_commands_of_the_readme(work, capsys, tiny_backbone):
    extra = f",bill\n{text(1)},bill\n{text(2).upper()} ,card\n<b>new</b> card,card\n"
    raw(extra=extra)
    assert prepare("--input", "raw.csv", "--output", "data/tickets") == 0
    assert left(Path("data/tickets")) == [
        "dropped.parquet",
        "prepare.json",
        "report.html",
        "report.json",
        "report.md",
        "test.parquet",
        "train.parquet",
        "val.parquet",
    ]
    told = report("data/tickets")
    assert told["rows"] | {"train": 0, "val": 0, "test": 0} == {
        "read": 124,
        "kept": 120,
        "dropped": 4,
        "for_train": 123,
        "train": 0,
        "val": 0,
        "test": 0,
    }
    assert told["duplicates"]["exact_text"] == 2
    assert told["duplicates"]["conflicting_texts"] == 1
    assert told["leaks"]["left"] == {"val_in_train": 0, "test_in_val": 0, "test_in_train": 0}
    dropped = pq.read_table("data/tickets/dropped.parquet")
    assert dropped.column_names == ["source", "line", "step", "reason"]
    assert sorted(dropped["line"].to_pylist()) == [4, 122, 123, 124]
    output = capsys.readouterr().out
    assert (
        "next             python -m lightning_tune fit -c quickstart --data.train data/tickets"
        in output
    )
    data = TextDataModule("data/tickets", tokenizer=str(tiny_backbone("bert")), max_length=16)
    data.setup()
    assert data.label_set.names == ("bill", "card")
    assert [len(data.train_data), len(data.val_data), len(data.test_data)] == [
        told["rows"][split] for split in ("train", "val", "test")
    ]


def test_only_the_owner_may_look_into_the_folder():
    raw()
    assert prepare("--input=raw.csv", "--output=out") == 0
    assert Path("out").stat().st_mode & 0o777 == 0o700


def test_the_same_input_gives_the_same_bytes_on_one_and_two_processes():
    raw(rows=400)
    for name, processes in (("a", 1), ("b", 1), ("c", 2)):
        assert prepare("--input=raw.csv", f"--output={name}/out", f"--processes={processes}") == 0
    assert digests("a/out") == digests("b/out") == digests("c/out")


def test_a_file_of_test_texts_of_the_users_own_keeps_its_rows_and_takes_them_from_train():
    raw()
    Path("test.csv").write_text(
        f"message,intent\n{text(5)},bill\n{text(6).upper()},card\nmine,card\nmine,card\n"
    )
    assert prepare("--input=raw.csv", "--test=test.csv", "--output=out") == 0
    told = report("out")
    assert told["leaks"]["found"] == {"test_in_train": 2}
    assert told["leaks"]["raw"] == {"test_in_train": 1}
    assert told["leaks"]["removed"] == 2
    assert told["rows"]["test"] == 4
    assert told["verdict"] == "WARN"
    train = set(pq.read_table("out/train.parquet")["text"].to_pylist())
    assert not train & {text(5), text(6)}
    assert [one["split"] for one in told["sources"]] == ["train", "test"]


def test_several_inputs_are_named_one_after_the_other():
    raw("a.csv", 60)
    Path("b.csv").write_text("message,intent\nanother one,card\n")
    assert prepare("--input", "a.csv", "--input=b.csv", "--output=out") == 0
    assert {one["name"]: one["read"] for one in report("out")["sources"]} == {
        "a.csv": 60,
        "b.csv": 1,
    }
    assert gathered(["--val", "[x.csv, y.csv]"]) == ['--val=["x.csv", "y.csv"]']


def test_a_recipe_maps_columns_by_source_and_a_flag_changes_it():
    raw("a.csv", 60)
    Path("b.tsv").write_text("more text\tcard\nother text\tbill\n")
    Path("mine.yaml").write_text(
        "inputs:\n- {path: a.csv, text: message, label: intent}\n"
        "- {path: b.tsv, columns: [text, label], text: text, label: label}\n"
        "split: {test_share: 0.2}\n"
    )
    assert (
        main(["prepare", "--recipe", "mine.yaml", "--output=out", "--recipe.split.val_share=0"])
        == 0
    )
    told = report("out")
    assert told["rows"]["read"] == 62
    assert "val" not in told["rows"]
    assert told["recipe"]["split"]["test_share"] == 0.2


def test_a_config_holds_the_commands_options():
    raw()
    Path("mine.yaml").write_text(
        "input: [raw.csv]\ntext: message\nlabel: intent\nrecipe: {split: {seed: 7}}\n"
    )
    assert main(["prepare", "-c", "mine.yaml", "--output=out"]) == 0
    assert report("out")["recipe"]["split"]["seed"] == 7


def test_texts_without_labels_are_prepared_too(tiny_backbone):
    Path("raw.csv").write_text("\n".join(["message", *(text(row) for row in range(60)), text(3)]))
    words = ["--input=raw.csv", "--label=null", "--text=message", "--output=out"]
    assert main(["prepare", *words]) == 0
    told = report("out")
    assert (told["task"], told["classes"], told["duplicates"]["exact_text"]) == (None, {}, 1)
    assert "label" not in pq.read_table("out/train.parquet").column_names


def test_a_class_that_only_the_future_has_is_refused(capsys):
    lines = [f"{text(row)},{'c' if row > 195 else 'ab'[row % 2]},{row}" for row in range(200)]
    Path("raw.csv").write_text("\n".join(["message,intent,made", *lines]) + "\n")
    line = error(capsys, "--input=raw.csv", "--output=t", "--time=made", "--recipe.split.by=time")
    assert "recipe.split.by=time leaves train without the class 'c', whose 4 rows go elsew" in line


def test_classes_that_differ_in_case_alone_are_noted():
    raw(extra="one more,Card\nand another,Card \n")
    assert prepare("--input=raw.csv", "--output=out") == 0
    told = report("out")
    assert "the classes 'Card' and 'card' differ in case or spacing alone." in told["notes"]
    assert told["classes"]["train"]["Card"] >= 1


def test_a_forgotten_label_separator_is_told(capsys):
    lines = [f"{text(row)},{'bill' if row % 3 else 'card'}" for row in range(120)]
    lines += [f"{text(200)},bill|card", f"{text(201)},card|bill"]
    Path("raw.csv").write_text("\n".join(["message,intent", *lines]) + "\n")
    line = error(capsys, "--input=raw.csv", "--output=out", code=3)
    hint = (
        "2 of 4 class names are others joined by '|'; where rows have several labels, give "
        "--label_separator '|'."
    )
    assert line.endswith(f"holds the report, and no splits. {hint}")
    assert hint in report("out")["notes"]
    Path("raw.csv").write_text("\n".join(["message,intent", *lines, f"{text(0)},card|bill"]))
    Path("val.csv").write_text(f"message,intent\n{text(200)},bill\n")
    line = error(capsys, "--input=raw.csv", "--val=val.csv", "--output=other")
    assert line.startswith("error: leaks would drop the only row")
    assert line.endswith(hint)


def test_texts_quoted_as_csv_are_counted_where_quotes_mean_nothing():
    quoted = [f'"{text(row)} ""said"" he"' if row < 5 else f'"{text(row)}"' for row in range(60)]
    lines = [f"{one}\t{'bill' if row % 3 else 'card'}" for row, one in enumerate(quoted)]
    Path("raw.tsv").write_text("\n".join(["message\tintent", *lines]) + "\n")
    assert prepare("--input=raw.tsv", "--output=out") == 0
    assert report("out")["notes"][0].startswith("5 texts of raw.tsv are quoted as in CSV and were")
    assert prepare("--input=raw.tsv", "--output=read", "--format.quoting=true") == 0
    assert not any("quoted" in note for note in report("read")["notes"])


def test_a_split_that_nobody_named_beside_one_of_the_users_own_is_told():
    raw()
    Path("val.csv").write_text("message,intent\nmine,card\nthine,bill\n")
    assert prepare("--input=raw.csv", "--val=val.csv", "--output=out") == 0
    rows = report("out")["rows"]["test"]
    assert (
        f"{rows} rows of the input went to test, as --val alone was named; name your own with "
        "--test, or set --recipe.split.test_share 0 for none." in report("out")["notes"]
    )
    words = ["--val=val.csv", "--recipe.split.test_share=0"]
    assert prepare("--input=raw.csv", "--output=none", *words) == 0
    assert not any("alone was named" in note for note in report("none")["notes"])


def test_a_limit_that_fails_ends_with_3_and_writes_the_report_without_splits(capsys):
    raw(extra=f"{text(5)},bill\n" * 20)
    line = error(capsys, "--input=raw.csv", "--output=out", "--recipe=strict", code=3)
    assert line.startswith(
        "error: the data misses a limit: dropped is 0.142857, its limit 0.1, duplicates"
    )
    assert left(Path("out")) == ["dropped.parquet", "report.html", "report.json", "report.md"]
    told = report("out")
    assert told["verdict"] == "FAIL"
    assert {one["name"]: one["verdict"] for one in told["checks"]}["dropped"] == "FAIL"


def test_by_group_and_by_time_name_a_column():
    lines = [
        f"{text(row)},{'ab'[row % 2]},c{row // 4},2024-01-{1 + row % 28:02}" for row in range(200)
    ]
    Path("raw.csv").write_text("\n".join(["message,intent,who,made", *lines]) + "\n")
    assert prepare("--input=raw.csv", "--output=g", "--group=who", "--recipe.split.by=group") == 0
    groups = [
        set(pq.read_table(f"g/{split}.parquet")["group"].to_pylist())
        for split in ("train", "val", "test")
    ]
    assert sum(map(len, groups)) == 50
    assert prepare("--input=raw.csv", "--output=t", "--time=made", "--recipe.split.by=time") == 0
    train, test = (
        pq.read_table(f"t/{split}.parquet")["time"].to_pylist() for split in ("train", "test")
    )
    assert max(train) < min(test)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output=out"], "no input is named; give --input FILE, or inputs in the recipe."),
        (["--input=raw.csv"], "output is missing; give --output"),
        (["--input=rwa.csv", "--output=out"], "rwa.csv does not exist. Did you mean 'raw.csv'?"),
        (
            ["--input=raw.csv", "--output=out", "--group=customer"],
            "raw.csv has no column 'customer' (--group); it has 'message', 'intent'.",
        ),
        (
            ["--input=raw.csv", "--output=out", "--recipe.split.by=group"],
            "recipe.split.by=group needs a column; name it with --group.",
        ),
        (["--input=raw.csv", "--output=out", "--recipe=strickt"], "Did you mean 'strict'?"),
        (
            ["--input=raw.csv", "--output=out", "--recipe.clean.min_characters=300"],
            "no row of train is left after clean",
        ),
        (
            ["--input=raw.csv", "--output=out", "--recipe.split.test_share=1"],
            "split.test_share=1.0 is outside [0, 1).",
        ),
        (["--input=raw.csv", "--output=full"], "output='full' exists and is not empty"),
        (["--input=raw.csv", "--output=raw.csv"], "is a file; name a new folder"),
        (["--input=raw.csv", "--outptu=out"], "Did you mean '--output'?"),
        (["--input=raw.csv", "--output=out", "--query=select 1"], "--query is for databases"),
        (
            ["--input=bad.csv", "--output=out"],
            "bad.csv:3: 3 fields, the last …, where the header names 2; correct the row, or set "
            "--on_bad_rows skip.",
        ),
        (
            ["--input=raw.csv", "--test=strange.csv", "--output=out"],
            "test has the label 'crad' that train does not have",
        ),
        (["--input=one.csv", "--output=out"], "all 2 rows have the label 'card'"),
        (["--input=raw.csv", "--output=out", "--processes=0"], "processes=0 has to be at least 1"),
        (
            ["--input=raw.csv", "--output=out", "--recipe.duplicates.conflicts=stop"],
            "1 texts stand under several labels, the first in raw.csv:2 and raw.csv:122",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(words, message, capsys):
    raw(extra=f"{text(0)},bill\n")
    Path("full").mkdir()
    (Path("full") / "notes.txt").write_text("mine")
    Path("bad.csv").write_text("message,intent\na,x\nb,y,secret\n")
    Path("strange.csv").write_text("message,intent\nmine,crad\n")
    Path("one.csv").write_text("message,intent\na,card\nb,card\n")
    before = left(Path())
    assert message in error(capsys, *words)
    assert left(Path()) == before


def test_a_config_may_name_its_input_and_a_shipped_recipe(capsys):
    raw()
    Path("mine.yaml").write_text("input: raw.csv\nrecipe: strict\n")
    assert prepare("-c", "mine.yaml", "--output=out", NO_SUSPECTS) == 0
    stated = json.loads(Path("out/prepare.json").read_text())["recipe"]
    assert stated["limits"]["leaks"] == {"warn": 0.0, "fail": 0.0}
    assert stated["quality"] is None
    assert prepare("-c=mine.yaml", "--output=two", "--recipe=mine2.yaml") == 2
    Path("mine.yaml").write_text("input: [raw.csv]\nrecipe: strickt\n")
    assert "Did you mean 'strict'?" in error(capsys, "-c", "mine.yaml", "--output=two")


def test_a_recipe_with_a_mistake_names_the_nearest_key(capsys):
    raw()
    Path("mine.yaml").write_text("clean:\n  htlm: false\n")
    line = error(capsys, "--input=raw.csv", "--output=out", "--recipe=mine.yaml")
    assert "mine.yaml: clean.htlm is not known. Did you mean 'html'?" in line


def test_a_step_that_would_empty_a_class_is_refused(capsys):
    raw(extra="one,rare\nother,rare\nOne,bill\nother,card\n")
    line = error(capsys, "--input=raw.csv", "--output=out")
    assert (
        "duplicates would drop the only 2 rows of the class 'rare'; change recipe.duplicates"
        in line
    )


def test_a_class_that_stands_in_validation_as_a_whole_is_refused_with_what_can_be_done(capsys):
    raw()
    told = error(capsys, "--input=raw.csv", "--val=./raw.csv", "--output=out")
    assert "leaks would drop the only 80 rows of the class 'bill'; take its texts out of" in told
    assert "recipe." not in told


@pytest.mark.parametrize(
    "url",
    [
        "memory://me:hunter2@host/gone.csv",
        "memory://me:hun@ter2@host/gone.csv",
        "memory://host/gone.csv?version=1&sig=hunter2",
        "nothing://me:hunter2@host/gone.csv",
        "postgresql://host/db?user=me&password=hunter2",
        "mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dhunter2",
    ],
)
def test_no_password_of_a_url_is_shown(capsys, url):
    told = error(capsys, f"--input={url}", "--output=out")
    assert "ter2" not in told
    assert "***" in told


def test_a_full_disk_leaves_nothing(work, capsys, monkeypatch):
    raw()

    def full(report, title):
        raise OSError(28, "No space left on device", title)

    monkeypatch.setattr(writing, "report_markdown", full)  # the last file of all
    assert "No space left on device" in error(capsys, "--input=raw.csv", "--output=out")
    assert left(work) == ["raw.csv"]


def test_a_signal_leaves_nothing(work, monkeypatch):
    raw()

    def stopped(report, title):
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("SIGTERM was not heard")

    monkeypatch.setattr(writing, "report_markdown", stopped)
    assert prepare("--input=raw.csv", "--output=out") == 143
    assert left(work) == ["raw.csv"]


def with_flips(rows: int = 200, flips: tuple[int, ...] = (4, 40, 77, 120)) -> list[str]:
    """Write rows of two classes that words tell apart, some under the wrong one; return these."""
    own = {"bill": ["invoice", "charged", "amount"], "card": ["plastic", "chip", "stolen"]}
    lines = []
    for row in range(rows):
        label, other = ("bill", "card") if row % 2 else ("card", "bill")
        words = random.Random(row).choices(own[label], k=3) + random.Random(row).choices(WORDS, k=4)
        lines.append(f"{' '.join(words)},{other if row in flips else label}")
    Path("raw.csv").write_text("\n".join(["message,intent", *lines]) + "\n")
    return [lines[row].partition(",")[0] for row in flips]


def test_suspected_labels_are_written_for_review_which_takes_them_back(capsys):
    flipped = with_flips()
    split = ["--recipe.split.val_share=0", "--recipe.near=null"]
    assert prepare("--input=raw.csv", "--output=out", *split) == 0
    told = report("out")["suspects"]
    with Path("out/suspects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    train = pq.read_table("out/train.parquet")
    there = set(flipped) & set(train["text"].to_pylist())
    assert len(there) >= 3
    assert {row["text"] for row in rows[: len(there)]} == there
    assert told["found"] == len(rows) == sum(told["classes"].values())
    assert told["share"] == pytest.approx(len(rows) / train.num_rows, abs=1e-6)
    assert (told["mode"], told["rows"], told["of"], told["dropped"]) == (
        *("fast", train.num_rows, train.num_rows),
        0,
    )
    assert Path("out/suspects.csv").stat().st_mode & 0o777 == 0o600
    assert "review --data out --apply out/suspects.csv" in capsys.readouterr().out
    assert main(["review", "--data=out", "--output=again.csv"]) == 0
    assert Path("again.csv").read_bytes() == Path("out/suspects.csv").read_bytes()
    for row in rows:
        row["reviewed"] = row["suggestion"] if row["text"] in there else row["label"]
    with Path("out/suspects.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert main(["review", "--data=out", "--apply=out/suspects.csv"]) == 0
    right = dict(zip(train["text"].to_pylist(), train["label"].to_pylist(), strict=True))
    again = pq.read_table("out/train.parquet")
    changed = {
        text
        for text, label in zip(again["text"].to_pylist(), again["label"].to_pylist(), strict=True)
        if right[text] != label
    }
    assert changed == there


def test_suspects_may_be_dropped_and_more_than_the_limit_is_a_warning(capsys):
    with_flips()
    words = ["--recipe.split.val_share=0", "--recipe.near=null", "--recipe.limits.suspects.warn=0"]
    assert (
        prepare("--input=raw.csv", "--output=out", "--recipe.quality.on_suspects=drop", *words) == 0
    )
    told = report("out")
    dropped = pq.read_table("out/dropped.parquet").to_pylist()
    gone = [row for row in dropped if row["step"] == "quality"]
    assert len(gone) == told["suspects"]["found"] == told["suspects"]["dropped"] >= 3
    assert told["rows"]["kept"] == 200 - len(gone)
    assert not Path("out/suspects.csv").exists()
    assert {one["name"]: one["verdict"] for one in told["checks"]}["suspects"] == "WARN"
    assert "WARN  suspects is " in capsys.readouterr().out


def test_what_is_looked_at_in_part_or_not_at_all_is_said():
    with_flips()
    assert prepare("--input=raw.csv", "--output=part", "--recipe.quality.rows=60") == 0
    told = report("part")
    assert (told["suspects"]["rows"], told["suspects"]["of"]) == (60, told["rows"]["train"])
    (note,) = told["notes"]
    assert "were looked for in 60 of the" in note
    raw("few.csv", 50)
    assert prepare("--input=few.csv", "--output=few") == 0
    told = report("few")
    assert "found" not in told["suspects"]
    assert told["notes"] == [
        "suspected labels were not looked for: train has fewer than 50 different texts."
    ]
    assert prepare("--input=raw.csv", "--output=off", NO_SUSPECTS) == 0
    assert (report("off")["suspects"], report("off")["notes"]) == (None, [])


def test_the_agreement_of_annotators_is_reported_and_their_answers_are_not_written(capsys):
    labels = ["bill" if row % 3 else "card" for row in range(60)]
    lines = [
        f"{text(row)},{label},{label},{labels[row - 1] if row < 30 else label}"
        for row, label in enumerate(labels)
    ]
    Path("raw.csv").write_text("\n".join(["message,intent,ann,bob", *lines]) + "\n")
    Path("test.csv").write_text("message,intent\nmine,card\n")
    words = ["--input=raw.csv", "--test=test.csv", "--output=out", "--annotators=[ann, bob]"]
    assert prepare(*words) == 0
    told = report("out")["agreement"]
    apart = sum(labels[row] != labels[row - 1] for row in range(30))
    assert (told["rows"], told["unanimous"]) == (60, 60 - apart)
    assert told["by_annotator"] == pytest.approx(
        dict.fromkeys(("ann", "bob"), 1 - apart / 60), abs=1e-4
    )
    assert told["confused"] == [{"labels": ["bill", "card"], "count": apart}]
    assert {one["name"]: one["verdict"] for one in report("out")["checks"]}["agreement"] == "WARN"
    assert pq.read_table("out/train.parquet").column_names == ["text", "label", "source", "line"]
    line = error(capsys, "--input=raw.csv", "--output=new", "--annotators=[ann, bbo]")
    assert "raw.csv has no column 'bbo' (--annotators)" in line
    assert "Did you mean 'bob'?" in line


AUGMENTED = ("--recipe.augment.edits=[insert, typo]", "--recipe.augment.copies=1.5")


def test_train_gets_copies_that_fit_reads_and_no_other_split_knows(tiny_backbone):
    raw(rows=200)
    assert prepare("--input=raw.csv", "--output=without") == 0
    assert prepare("--input=raw.csv", "--output=out", *AUGMENTED) == 0
    told, before = report("out"), report("without")
    copies = told["augmentation"]["copies"]
    assert (told["rows"], told["classes"]) == (before["rows"], before["classes"])
    assert set(told["leaks"]["left"].values()) == {0}
    train, old = (pq.read_table(f"{name}/train.parquet") for name in ("out", "without"))
    assert train.slice(0, old.num_rows).drop_columns("augmented").equals(old)
    made = train.slice(old.num_rows)
    assert made.num_rows == copies == sum(told["augmentation"]["edits"].values()) > old.num_rows
    assert set(made["augmented"].to_pylist()) == {"insert", "typo"}
    texts = {text.lower() for text in made["text"].to_pylist()}
    labels = dict(zip(old["line"].to_pylist(), old["label"].to_pylist(), strict=True))
    assert [labels[line] for line in made["line"].to_pylist()] == made["label"].to_pylist()
    for split in ("val", "test"):
        rest = pq.read_table(f"out/{split}.parquet")
        assert rest.equals(pq.read_table(f"without/{split}.parquet"))
        assert not texts & {text.lower() for text in rest["text"].to_pylist()}
    assert 0 < told["augmentation"]["label_kept"]["share"] <= 1
    stated = json.loads(Path("out/prepare.json").read_text())
    assert stated["rows"]["train"] == train.num_rows
    data = TextDataModule("out", tokenizer=str(tiny_backbone("bert")), max_length=16)
    data.setup()
    assert len(data.train_data) == train.num_rows


def test_copies_and_suspects_are_the_same_on_one_and_two_processes():
    with_flips(400)
    for name, processes in (("a", 1), ("b", 1), ("c", 2)):
        words = [f"--output={name}/out", f"--processes={processes}", "--recipe.near=null"]
        assert prepare("--input=raw.csv", *words, *AUGMENTED) == 0
    assert digests("a/out") == digests("b/out") == digests("c/out")
    assert "suspects.csv" in digests("a/out")


def test_models_of_back_translation_are_named_in_a_recipe(capsys):
    raw()
    Path("models/de-en").mkdir(parents=True)
    Path("mine.yaml").write_text(
        "augment:\n  edits: [translate]\n"
        "  translation: {there: models/de-eng, back: models/de-en, beams: 2}\n"
    )
    line = error(capsys, "--input=raw.csv", "--output=out", "--recipe=mine.yaml")
    assert "'models/de-eng' is not a folder" in line
    assert "Did you mean 'de-en'?" in line
    assert left(Path()) == ["mine.yaml", "models", "raw.csv"]
    line = error(capsys, "--input=raw.csv", "--output=out", "--recipe.augment.edits=[translate]")
    assert "nothing translates; name two models in augment.translation" in line
    line = error(capsys, "--input=raw.csv", "--output=out", "--recipe.augment.by_class={bil: 2}")
    assert "augment.by_class names 'bil'" in line
    assert "Did you mean 'bill'?" in line


def test_copies_in_a_prepared_folder_are_no_input():
    raw(rows=200)
    assert prepare("--input=raw.csv", "--output=out", *AUGMENTED) == 0
    copies = report("out")["augmentation"]["copies"]
    assert main(["prepare", "--input=out", "--output=again", NO_SUSPECTS]) == 0
    told = report("again")
    assert told["steps"][0]["reasons"] == {"the row is an edited copy of another": copies}
    assert told["rows"]["kept"] == report("out")["rows"]["train"]
    assert "augmented" not in pq.read_table("again/train.parquet").column_names


def test_a_backbone_looks_for_suspects(tiny_backbone):
    with_flips()
    words = ["--recipe.quality.mode=encoder", "--recipe.quality.folds=2", "--encoder.epochs=1"]
    words += ["--encoder.max_length=16", f"--encoder.backbone={tiny_backbone('bert')}"]
    assert prepare("--input=raw.csv", "--output=out", "--recipe.near=null", *words) == 0
    told = report("out")["suspects"]
    assert (told["mode"], told["rows"]) == ("encoder", told["of"])


KILLED = """
import os, signal, sys
from lightning_tune.cli import main
from lightning_tune.prepare import writing
writing.report_markdown = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


def test_what_a_killed_run_left_goes_with_the_next(work):
    raw()
    words = ["prepare", "--text=message", "--label=intent", "--input=raw.csv", "--output=out"]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    hidden, _ = left(work)
    assert hidden.startswith(".out.")
    assert "train.parquet" in left(work / hidden)
    assert main(words) == 0
    assert left(work) == ["out", "raw.csv"]


def plain(path: Path, column: int) -> list[str]:
    return [
        line.split("\t")[column]
        for line in path.read_text(encoding="utf-8-sig").split("\n")
        if line
    ]


def test_the_faults_of_chnsenticorp_are_all_found(shared_data):
    folder = shared_data / "zh_chnsenticorp"
    words = [f"--input={folder / 'train.tsv'}", f"--val={folder / 'dev.tsv'}", "--output=out"]
    assert main(["prepare", "--columns=[text, label]", NO_SUSPECTS, *words]) == 0
    told = report("out")
    assert told["duplicates"]["exact_raw"] == 1351
    assert told["duplicates"]["exact_text"] >= 1351
    assert told["duplicates"]["conflicting_texts"] >= 24
    assert told["leaks"]["raw"]["val_in_train"] == 338
    assert told["leaks"]["found"]["val_in_train"] >= 338
    assert set(told["leaks"]["left"].values()) == {0}
    assert told["rows"]["val"] == 1200
    assert told["lengths"]["before"]["characters"]["p50"] > 50


def test_the_columns_of_mrpc_and_stsb_are_read_as_they_are(shared_data):
    mrpc = shared_data / "glue" / "MRPC" / "train.tsv"
    words = ["--text=#1 String", "--text_pair=#2 String", "--label=Quality"]
    assert main(["prepare", f"--input={mrpc}", NO_SUSPECTS, *words, "--output=mrpc"]) == 0
    assert report("mrpc")["rows"]["read"] == 3667
    stsb = shared_data / "glue" / "STS-B" / "train.tsv"
    words = ["--text=sentence1", "--text_pair=sentence2", "--label=score"]
    assert main(["prepare", f"--input={stsb}", NO_SUSPECTS, *words, "--output=stsb"]) == 0
    told = report("stsb")
    assert (told["task"], told["rows"]["read"]) == ("regression", 5749)
    assert pq.read_table("stsb/train.parquet")["label"].type == "double"


def test_sst2_is_split_within_a_point_and_appended_rows_move_none(shared_data):
    train = (shared_data / "sst2_sentence" / "train.tsv").read_text()
    dev = (shared_data / "sst2_sentence" / "dev.tsv").read_text()
    Path("a.tsv").write_text(train)
    Path("b.tsv").write_text(f"{train}\n{dev}")
    side: dict[str, dict[str, str]] = {}
    for name in ("a", "b"):
        assert (
            main(
                [
                    *("prepare", f"--input={name}.tsv", "--columns=[text, label]"),
                    *(NO_SUSPECTS, f"--output={name}"),
                ]
            )
            == 0
        )
        side[name] = {
            text: split
            for split in ("train", "val", "test")
            for text in pq.read_table(f"{name}/{split}.parquet")["text"].to_pylist()
        }
    told = report("a")
    assert told["duplicates"]["exact_raw"] == 9
    assert told["split"]["class_gap"] < 1
    assert abs(told["rows"]["test"] / told["rows"]["kept"] - 0.1) < 0.01
    assert {split: count for split, count in Counter(side["a"].values()).items()} == {
        split: told["rows"][split] for split in ("train", "val", "test")
    }
    conflicting = side["a"].keys() - side["b"].keys()  # texts that the new rows label otherwise
    assert len(conflicting) < 5
    assert all(side["b"][text] == split for text, split in side["a"].items() if text in side["b"])

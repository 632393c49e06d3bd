"""`label` from the command line: a round of questions, the answers back, rules, and refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from lightning_tune.cli import main

CARD = [f"where is my card number {at}" for at in range(20)]
REFUND = [f"please send my money back for order {at}" for at in range(20)]


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("pool.csv", ["text"], [[text] for text in CARD + REFUND])
    write("labelled.csv", ["text", "label"], [["my card is lost", "card"], ["refund me", "refund"]])
    Path("rules.yaml").write_text(
        "- label: card\n  any: card\n- label: refund\n  any: [refund, money back]\n"
    )
    return tmp_path


def write(name: str, header: list[str], rows: list[list[str]]) -> None:
    with Path(name).open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def read(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="") as file:
        return list(csv.DictReader(file))


def fill_in(name: str, label) -> None:
    rows = read(name)
    for row in rows:
        row["label"] = label(row["text"])
    write(name, list(rows[0]), [list(row.values()) for row in rows])


def run(*words: str) -> int:
    return main(["label", "--input=pool.csv", *words])


def refused(capsys, *words: str) -> str:
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("error: ")


def test_a_first_round_asks_about_different_texts_and_its_answers_come_back(work, capsys):
    assert run("--output=batch.csv", "--count=4") == 0
    assert capsys.readouterr().out == "4 of 40 unlabelled texts -> batch.csv\n"
    rows = read("batch.csv")
    assert {row["text"][:5] for row in rows} == {"where", "pleas"}
    assert [row["suggestion"] for row in rows] == [""] * 4
    fill_in("batch.csv", lambda text: "card" if "card" in text else "refund")
    assert run("--apply=batch.csv", "--output=first.csv") == 0
    assert capsys.readouterr().out == (
        "4 new labels; 4 labelled rows -> first.csv\n  card 3, refund 1\n"
    )
    assert {(row["text"], row["label"]) for row in read("first.csv")} == {
        (row["text"], "card" if "card" in row["text"] else "refund") for row in rows
    }


def test_a_second_round_suggests_and_asks_nothing_twice(work, capsys):
    write("labelled.csv", ["text", "label"], [[CARD[0].upper(), "card"], [REFUND[0], "refund"]])
    words = ["--labelled=labelled.csv", "--count=38"]
    assert run("--output=batch.csv", *words) == 0
    rows = read("batch.csv")
    assert {row["text"] for row in rows} == set(CARD[1:] + REFUND[1:])
    assert all(row["suggestion"] == ("card" if "card" in row["text"] else "refund") for row in rows)
    assert all(0.5 <= float(row["score"]) <= 1 for row in rows)
    fill_in("batch.csv", lambda text: "card" if text == CARD[3] else "")
    assert run("--labelled=labelled.csv", "--apply=batch.csv", "--output=labelled.csv") == 0
    assert "1 new labels; 3 labelled rows -> labelled.csv" in capsys.readouterr().out
    assert read("labelled.csv")[2] == {"text": CARD[3], "label": "card"}
    assert run("--labelled=labelled.csv", "--apply=batch.csv", "--output=labelled.csv") == 0
    assert "0 new labels, 1 labelled before; 3 labelled rows" in capsys.readouterr().out
    fill_in("batch.csv", lambda text: "refund" if text == CARD[3] else "")
    assert run("--labelled=labelled.csv", "--apply=batch.csv", "--output=labelled.csv") == 0
    assert "1 labelled before (1 otherwise, which stays);" in capsys.readouterr().out


def test_labels_of_one_class_alone_fit_no_model_yet(work, capsys):
    write("labelled.csv", ["text", "label"], [["my card is lost", "card"]])
    assert run("--labelled=labelled.csv", "--output=batch.csv", "--count=3") == 0
    assert "all 1 labelled rows are 'card': there is no model to ask" in capsys.readouterr().out
    assert {row["suggestion"] for row in read("batch.csv")} == {""}


@pytest.mark.parametrize("strategy", ["uncertainty", "margin", "diversity", "both", "random"])
def test_every_strategy_asks_as_many_as_wanted(work, strategy):
    words = ["--labelled=labelled.csv", f"--strategy={strategy}", "--count=7"]
    assert run("--output=batch.jsonl", *words) == 0
    rows = [json.loads(line) for line in Path("batch.jsonl").read_text().splitlines()]
    assert len({row["row"] for row in rows}) == 7


def test_a_bundle_answers_and_its_label_is_the_suggestion(bundle, work):
    write("pool.csv", ["text"], [["good film"], ["bad film"]])
    assert run(f"--model={bundle}", "--output=batch.csv", "--strategy=margin") == 0
    assert {row["text"]: row["suggestion"] for row in read("batch.csv")} == {
        "good film": "good",
        "bad film": "other",
    }


def test_a_pretrained_encoder_tells_which_texts_are_alike(work, tiny_backbone):
    words = [f"--backbone={tiny_backbone('bert')}", "--count=3"]
    assert run("--output=batch.csv", *words) == 0
    assert len(read("batch.csv")) == 3


def test_rules_suggest_labels_and_say_what_they_did(work, capsys):
    assert run("--rules=rules.yaml", "--output=batch.json", "--tool=label-studio", "--count=5") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "5 of 40 unlabelled texts -> batch.json, batch.xml"
    assert out[1] == (
        "  card: card: 20 votes, 0 beside another rule's and 0 against it; too few meet to say how "
        "often it is right"
    )
    for task in json.loads(Path("batch.json").read_text()):
        (said,) = task["predictions"][0]["result"][0]["value"]["choices"]
        assert said == ("card" if "card" in task["data"]["text"] else "refund")
    assert 'value="refund"' in Path("batch.xml").read_text()


def test_weak_labels_are_rows_that_fit_reads_with_their_weight(work, capsys):
    write("pool.csv", ["text"], [["my card"], ["hello"], ["money back"]])
    assert run("--rules=rules.yaml", "--weak", "--output=weak.csv") == 0
    assert "the rules label 2 of 3 texts -> weak.csv" in capsys.readouterr().out
    rows = read("weak.csv")
    assert [(row["text"], row["label"]) for row in rows] == [
        ("my card", "card"),
        ("money back", "refund"),
    ]
    assert all(0.5 < float(row["weight"]) <= 1 for row in rows)


def test_of_a_rule_without_votes_nothing_is_said(work, capsys):
    Path("rules.yaml").write_text("- {label: card, any: card}\n- {label: other, any: zebra}\n")
    assert run("--rules=rules.yaml", "--weak", "--output=weak.csv") == 0
    assert "  other: zebra: 0 votes, so nothing is known of it\n" in capsys.readouterr().out


def test_how_often_a_rule_is_right_is_said_where_it_meets_others_often(work, capsys):
    Path("rules.yaml").write_text("- {label: card, any: card}\n- {label: card, any: where}\n")
    write("pool.csv", ["text"], [[f"where is card {at}"] for at in range(30)])
    assert run("--rules=rules.yaml", "--weak", "--output=weak.csv") == 0
    met = "30 votes, 30 beside another rule's and 0 against it; right "
    assert capsys.readouterr().out.count(met) == 2


def test_votes_that_are_even_everywhere_are_told(work, capsys):
    Path("rules.yaml").write_text("- {label: card, any: card}\n- {label: refund, any: card}\n")
    told = refused(capsys, "--rules=rules.yaml", "--weak", "--output=weak.csv")
    assert told == "the rules' votes are even on every text; write rules that differ."


def test_several_labels_are_kept_with_a_separator(work):
    write("labelled.csv", ["text", "label"], [["lost card refund", "card|refund"], ["hi", ""]])
    words = ["--several=true", "--label_separator=|", "--labelled=labelled.csv", "--count=2"]
    assert run("--output=batch.csv", *words) == 0
    assert all(row["suggestion"].startswith("[") for row in read("batch.csv"))
    fill_in("batch.csv", lambda text: '["refund", "card"]')
    assert run("--apply=batch.csv", "--output=labelled.csv", *words) == 0
    assert [row["label"] for row in read("labelled.csv")] == [
        *("card|refund", "", "card|refund", "card|refund")
    ]


def test_other_columns_are_named(work):
    write("pool.csv", ["message"], [[text] for text in CARD])
    assert run("--text=message", "--output=batch.csv", "--count=2") == 0
    fill_in("batch.csv", lambda text: "card")
    words = ["--text=message", "--label=intent"]
    assert run("--apply=batch.csv", "--output=labelled.csv", *words) == 0
    assert list(read("labelled.csv")[0]) == ["message", "intent"]


def test_columns_of_a_pool_without_header_line_are_named(work):
    Path("pool.tsv").write_text("".join(f"{at}\t{text}\n" for at, text in enumerate(CARD)))
    words = ["label", "--input=pool.tsv", "--columns=[id, text]", "--labelled=labelled.csv"]
    assert main([*words, "--output=batch.csv", "--count=20"]) == 0
    assert {row["text"] for row in read("batch.csv")} == set(CARD)


@pytest.mark.parametrize("words", [["--weak"], ["--weak", "true"], ["--weak=true"]])
def test_a_switch_may_stand_without_a_value(work, words):
    assert run("--rules=rules.yaml", *words, "--output=weak.csv") == 0
    assert "weight" in read("weak.csv")[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input=poll.csv"], "poll.csv does not exist."),
        (["--text=texts"], "has no column 'texts' (--text)"),
        (["--count=0"], "count=0 is below 1"),
        (["--strategy=margins"], "Did you mean 'margin'"),
        (["--strategy=margin"], "needs a model's probabilities"),
        (["--tool=argilla"], "name a file that ends in .json"),
        (["--weak"], "name a file of them with --rules"),
        (["--weak", "--rules=rules.yaml", "--apply=x.csv"], "exclude each other"),
        (["--rules=none.yaml"], "rules='none.yaml' cannot be read"),
        (["--labelled=pool.csv"], "has no column 'label' (--label)"),
        (["--labelled=all.csv"], "all 40 texts of input have labels"),
        (["--apply=pool.csv"], "has no column 'row'"),
        (["--model=nowhere"], "nowhere is not a folder"),
        (["--output=out.xls"], "cannot write the extension '.xls'"),
        (["--counts=3"], "Did you mean '--count'"),
    ],
)
def test_what_is_wrong_is_one_line(work, capsys, words, message):
    write("all.csv", ["text", "label"], [[text, "x"] for text in CARD + REFUND])
    assert message in refused(capsys, "--output=out.csv", *words)
    assert not Path("out.csv").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--output=pool.csv"],
        ["--output=./pool.csv", "--rules=rules.yaml", "--weak"],
        ["--output=labelled.csv", "--labelled=labelled.csv"],
        ["--output=batch.csv", "--apply=batch.csv"],
    ],
)
def test_what_is_read_is_not_written_over(work, capsys, words):
    assert run("--output=batch.csv", "--count=2") == 0
    fill_in("batch.csv", lambda text: "card")
    capsys.readouterr()
    before = {path.name: path.read_bytes() for path in work.iterdir()}
    assert "is a file that is read here, and would be written over" in refused(capsys, *words)
    assert {path.name: path.read_bytes() for path in work.iterdir()} == before


def labelled_sheet(name: str = "batch.csv", label="card") -> None:
    assert run(f"--output={name}", "--count=4", "--strategy=random") == 0
    fill_in(name, lambda text: label)


@pytest.mark.parametrize("name", ["batch.csv", "batch.jsonl", "batch.parquet"])
def test_a_batch_without_answers_is_written_over(work, name):
    for _ in range(2):
        assert run(f"--output={name}", "--count=4") == 0


def test_a_filled_in_batch_is_not_written_over(work, capsys):
    labelled_sheet()
    before = Path("batch.csv").read_bytes()
    for words in (["--count=2"], ["--labelled=labelled.csv"], ["--rules=rules.yaml", "--weak"]):
        assert refused(capsys, "--output=batch.csv", *words) == (
            "output='batch.csv' holds 4 answers that would be lost; take them back with --apply "
            "batch.csv and name the labelled rows with --labelled, or name another output."
        )
    assert Path("batch.csv").read_bytes() == before


def test_a_batch_whose_answers_are_labelled_rows_is_written_over(work, capsys):
    labelled_sheet()
    assert run("--apply=batch.csv", "--output=all.csv") == 0
    assert run("--labelled=all.csv", "--output=batch.csv", "--count=2") == 0
    assert [row["label"] for row in read("batch.csv")] == ["", ""]
    labelled_sheet("other.csv")
    fill_in("other.csv", lambda text: "refund")
    assert "holds 4 answers" in refused(capsys, "--labelled=all.csv", "--output=other.csv")


def test_answers_of_tools_are_not_written_over(work, capsys):
    words = ["--output=batch.json", "--tool=label-studio", "--count=3"]
    assert run(*words) == 0
    tasks = json.loads(Path("batch.json").read_text())
    said = {"from_name": "label", "type": "choices", "value": {"choices": ["card"]}}
    tasks[0]["annotations"] = [{"result": [said]}]
    assert run(*words) == 0
    Path("batch.json").write_text(json.dumps(tasks))
    assert "holds 1 answers that would be lost" in refused(capsys, *words)


def test_labelled_rows_are_added_to_and_not_written_over(work, capsys):
    labelled_sheet()
    told = refused(capsys, "--apply=batch.csv", "--output=labelled.csv")
    assert told.startswith("output='labelled.csv' holds 2 answers that would be lost; name them")
    assert "holds 2 answers" in refused(capsys, "--output=labelled.csv")
    words = ["--apply=batch.csv", "--output=labelled.csv"]
    assert run("--labelled=labelled.csv", *words) == 0
    assert len(read("labelled.csv")) == 6


def test_weak_labels_are_written_over(work):
    for _ in range(2):
        assert run("--rules=rules.yaml", "--weak", "--output=weak.csv") == 0


def test_a_batch_that_a_spreadsheet_saved_otherwise_is_not_written_over(work, capsys):
    labelled_sheet()
    Path("batch.csv").write_text(Path("batch.csv").read_text().replace(",", ";"))
    told = refused(capsys, "--output=batch.csv")
    assert told.startswith("output='batch.csv' holds 4 answers that would be lost")


def slip_in(name: str, slip: str) -> None:
    seen: list[str] = []

    def label(text: str) -> str:
        seen.append(text)
        return slip if len(seen) == 6 else "card" if "card" in text else "refund"

    fill_in(name, label)


def test_a_slip_of_the_pen_is_told_and_the_classes_are_counted(work, capsys):
    assert run("--output=batch.csv", "--count=40") == 0
    slip_in("batch.csv", "refnud")
    capsys.readouterr()
    assert run("--apply=batch.csv", "--output=all.csv") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].endswith(", refnud 1")
    assert out[2:] == ["warning: 'refnud' (batch.csv:7) may be a slip. Did you mean 'refund'?"]


def test_a_label_that_none_before_was_is_told(work, capsys):
    assert run("--labelled=labelled.csv", "--output=batch.csv", "--count=10") == 0
    words = ["--labelled=labelled.csv", "--apply=batch.csv", "--output=labelled.csv"]
    slip_in("batch.csv", "complaint")
    capsys.readouterr()
    assert run(*words) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["warning: no label before was 'complaint'"]
    assert run(*words) == 0
    assert "warning" not in capsys.readouterr().out

"""Classes and groups that tell a person: said in a note that shows none of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lightning_tune.cli import main

WORDS = ("film", "book", "play", "song", "town", "road", "lamp", "door", "tree", "boat")


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text(row: int) -> str:
    return " ".join(np.random.default_rng(row).choice(WORDS, 9))


def write(name: str, labels: tuple[str, ...], who: str = "customer {}", rows: int = 90) -> None:
    lines = [
        f"{text(row)},{labels[row % len(labels)]},{who.format(row % 9)}" for row in range(rows)
    ]
    Path(name).write_text("\n".join(["text,label,who", *lines]) + "\n")


def notes(*words: str) -> list[str]:
    assert (
        main(["prepare", "--input=raw.csv", "--output=out", "--recipe.quality=null", *words]) == 0
    )
    return json.loads(Path("out/report.json").read_text())["notes"]


def test_groups_and_classes_that_are_addresses_are_told():
    write("raw.csv", ("ann@example.org", "other"), "bob{}@example.org")
    told = " ".join(notes("--group=who"))
    assert "the names of 1 of 2 classes hold what looks like email: privacy redacts" in told
    assert "the names of 9 of 9 groups hold what looks like email: privacy redacts" in told
    assert "@" not in told


def test_names_of_another_kind_and_data_that_is_not_redacted_need_no_note():
    write("raw.csv", ("a", "b"))
    assert notes("--group=who") == []


def test_without_privacy_there_is_no_note():
    write("raw.csv", ("a", "b"), "bob{}@example.org")
    assert notes("--group=who", "--recipe.privacy=null") == []


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("0.5", "1.5", "ann@example.org"), []),
        (("0.5", "1.5", "ann@example.org"), ["--task=regression"]),
        (("ann@example.org",), []),
        (("a", "b"), ["--val=val.csv"]),
    ],
)
def test_no_message_shows_a_label_that_tells_a_person(capsys, labels, words):
    write("raw.csv", labels)
    write("val.csv", ("a", "ann@example.org"), rows=4)
    assert main(["prepare", "--input=raw.csv", "--output=out", *words]) == 2
    told = capsys.readouterr().err
    assert "'[EMAIL]'" in told
    assert "ann@" not in told

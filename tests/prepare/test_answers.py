"""What people wrote into a file is found, whatever the file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.answers import answers_in, names_of
from lightning_tune.prepare.keys import content_key
from lightning_tune.tables import Fields, TableFormat

KEY = "0123456789abcdef"
ROW = f"pool:1:{KEY}"


@pytest.mark.parametrize(
    ("text", "kind", "given"),
    [
        (f"row,text,label\n{ROW},a,\n", "batch", []),
        (f"row,text,label\n{ROW},a,x\n", "batch", [(KEY, {"x"})]),
        (f"row,text,label,reviewed,drop\n{ROW},a,x,,\n", "review", []),
        (f"row,text,label,reviewed,drop\n{ROW},a,x,y,\n", "review", [(KEY, {"y"})]),
        (f"row,text,label,reviewed,drop\n{ROW},a,x,,1\n", "review", [(KEY, set())]),
        ("text,label\na,x|y\nb,\n", "rows", [(content_key("a"), {"x", "y"})]),
        ("text,label,weight\na,x,0.7\n", "batch", []),
        ("text,score\na,1\n", "batch", []),
        ("", "batch", []),
    ],
)
def test_what_a_person_wrote_is_found(tmp_path, text, kind, given):
    path = tmp_path / "file.csv"
    path.write_text(text)
    found = answers_in(path, TableFormat(), separator="|")
    assert (found.kind, [(key, set(names)) for key, names in found.given]) == (kind, given)


def test_columns_and_format_of_ones_own_are_known(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text("one;two;intent\na;b;x\n")
    fields = Fields(text="one", text_pair="two", label="intent")
    (answer,) = answers_in(path, TableFormat(delimiter=";"), fields=fields).given
    assert answer == (content_key("a", "b"), {"x"})


def test_what_stands_elsewhere_with_the_same_label_is_not_lost(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text("text,label\na,x\nb,x\n")
    found = answers_in(path, TableFormat())
    assert found.without({content_key("a"): names_of("x"), content_key("b"): names_of("y")}) == [
        (content_key("b"), {"x"})
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("file.csv", "row;text;label\npool;a;x\n"),
        ("file.csv", f'row,text,label\n{ROW},"a,x\n'),
        ("file.csv", "row,text,label\nsorted by me,a,x\n"),
        ("file.json", "[{"),
    ],
)
def test_a_file_that_cannot_be_read_is_not_taken_for_empty(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=r"cannot be read: .*; name another output\.$"):
        answers_in(tmp_path / name, TableFormat())


def test_a_file_that_is_not_there_holds_nothing():
    assert not answers_in(Path("nowhere.csv"), TableFormat()).given

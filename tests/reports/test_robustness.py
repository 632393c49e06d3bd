"""What attacks did, in the record and in every rendering; texts in it are hostile."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from lightning_tune.errors import DataError
from lightning_tune.reports.display import change_text
from lightning_tune.reports.html import report_html
from lightning_tune.reports.intervals import share
from lightning_tune.reports.markdown import report_markdown
from lightning_tune.reports.records import Evaluation
from lightning_tune.reports.robustness import AttackResult, BrokenText, Robustness
from lightning_tune.reports.terminal import show
from lightning_tune.words.split import WordChange

LOOK_ALIKE = "\u0430ctor"


@pytest.fixture
def attacked(make, hostile):
    """Return a function that makes an evaluation with so many broken texts."""

    def build(broken: int = 3, kind: str = "multiclass", **settings) -> Evaluation:
        record = make(kind, **settings)
        text = f"an actor and a film {hostile}"
        changed = f"an {LOOK_ALIKE} and a {hostile} {hostile}"
        changes = (
            WordChange("actor", LOOK_ALIKE, 3),
            WordChange("film", hostile, changed.index(hostile)),
        )
        label, answer = ("class_00<b>", "class_01<b>")
        if kind == "multilabel":
            label, answer = (label, answer), ()
        record.robustness = Robustness(
            rows=60,
            right=40,
            attacks=[
                AttackResult("accuracy_pgd", "PGD on the embeddings", 10, {"radius": 0.5}),
                AttackResult("accuracy_text_attack", f"Text {hostile}", 30, {"file": hostile}),
            ],
            broken=[
                BrokenText(row, label, answer, 2, 31, text, changed, "a second text", changes)
                for row in range(broken)
            ],
        )
        return record

    return build


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_a_record_survives_json(attacked, kind):
    record = attacked(kind=kind)
    plain = json.loads(json.dumps(record.to_dict()))
    assert Evaluation.from_dict(plain).robustness == record.robustness


def test_a_record_of_before_the_attacks_existed_is_read(make):
    plain = make("binary").to_dict()
    del plain["robustness"]
    assert Evaluation.from_dict(plain).robustness is None


def test_a_damaged_part_is_refused(attacked):
    plain = attacked().to_dict()
    del plain["robustness"]["attacks"]
    with pytest.raises(DataError, match="not an evaluation record"):
        Evaluation.from_dict(plain)


def test_without_texts_nothing_of_the_data_is_left_but_the_counts_are(attacked):
    bare = attacked().without_texts()
    plain = json.dumps(bare.to_dict()["robustness"]["broken"])
    for told in ("actor", "film", "second text", "ctor"):
        assert told not in plain
    assert [one.words for one in bare.robustness.broken] == [2, 2, 2]
    assert bare.robustness.attacks == attacked().robustness.attacks


def shown(record, width=100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    show(record, console=console)
    return console.file.getvalue()


def test_the_terminal_shows_counts_and_changed_words(attacked):
    found = shown(attacked(8))
    row = next(line for line in found.splitlines() if "PGD on the embeddings" in line)
    assert row.split()[-3:] == ["40", "10", "30"]
    assert found.count("actor → ") == 5
    assert "U+0430" in found
    assert "2 words changed, 31 queries, row 0" in found
    assert "\x1b" not in found


def test_one_word_is_one_word(attacked):
    record = attacked(1)
    one = record.robustness.broken[0]
    short = BrokenText(one.row, one.label, one.predicted, 1, 9)
    record.robustness.broken[:] = [short]
    assert "1 word changed" in shown(record)


def test_the_page_marks_what_was_changed(attacked):
    page = report_html(attacked(12))
    marks = re.findall(r'<mark title="([^"]*)">([^<]*)</mark>', page)
    assert (f"actor → {LOOK_ALIKE} (U+0430)", LOOK_ALIKE) in marks
    assert "2 more" in page
    assert 'href="#robustness"' in page
    assert "<script>alert(1)" not in page
    assert "<img" not in page


def test_the_page_cuts_a_long_text_without_losing_its_place(attacked):
    record = attacked(1)
    long = "word " * 400
    changes = (WordChange("word", "w0rd", 0), WordChange("word", "w1rd", 1500))
    changed = "w0rd" + long[4:1500] + "w1rd" + long[1504:]
    record.robustness.broken[:] = [
        BrokenText(0, "a", "b", 2, 9, text=long, changed=changed, changes=changes)
    ]
    page = report_html(record)
    assert ">w0rd</mark>" in page
    assert "w1rd" not in page
    assert page.count("characters)") >= 2


def test_a_page_without_texts_shows_the_rest(attacked):
    page = report_html(attacked().without_texts())
    assert "Texts that broke" in page
    assert "<mark" not in page


def test_markdown_has_both_tables_and_formats_no_text(attacked):
    found = report_markdown(attacked())
    assert "| PGD on the embeddings | 10 of 40 | radius 0.5 |" in found
    assert "## Texts that broke" in found
    assert "![x](" not in found
    assert "<script>" not in found


def test_nothing_is_shown_where_nothing_was_attacked(make):
    record = make("binary")
    for found in (shown(record), report_html(record), report_markdown(record)):
        assert "Robustness" not in found


def test_attacks_that_broke_nothing_list_nothing(attacked):
    record = attacked(0)
    for found in (shown(record), report_html(record), report_markdown(record)):
        assert "Robustness" in found
        assert "Texts that broke" not in found
    record.robustness = Robustness(5, 0, [AttackResult("accuracy_pgd", "PGD", 0)])
    assert "Robustness" in report_html(record)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("film", "flim", "film → flim"),
        ("film", "flm", "film → flm"),
        ("aa", "\u0430\u0430", "aa → \u0430\u0430 (U+0430, U+0430)"),
        ("film", "\u7535\u5f71", "film → \u7535\u5f71"),
    ],
)
def test_a_look_alike_is_told_by_its_code(before, after, expected):
    assert change_text(WordChange(before, after, 0)) == expected


def test_the_interval_of_a_share_is_about_the_normal_one():
    holds = np.arange(1000) < 700
    value, (low, high) = share(holds, resamples=4000)
    half = 1.96 * (0.7 * 0.3 / 1000) ** 0.5
    assert value == 0.7
    assert low == pytest.approx(0.7 - half, abs=0.003)
    assert high == pytest.approx(0.7 + half, abs=0.003)

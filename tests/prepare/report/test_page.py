"""The page of the report: well formed, self-contained, true to the record, and without a text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_tune.cli import main
from lightning_tune.prepare.limits import Check
from lightning_tune.prepare.report.page import report_html
from lightning_tune.prepare.report.record import PrepareReport, SourceRecord, StepRecord
from lightning_tune.prepare.report.text import report_markdown

WORDS = ("film", "book", "play", "song", "town", "road", "lamp", "door", "tree", "boat", "坏", "好")
SECRET = "ann.secret@example.org"
HOSTILE = "<img src=http://evil.example/x.png onerror=alert(1)>"


def text(row: int) -> str:
    """Sentences of which no two are nearly alike."""
    return " ".join(np.random.default_rng(row).choice(WORDS, 9))


class Reader(HTMLParser):
    """Collects the elements of a page, its cells and the text in it, and checks that it nests."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in ("meta", "input", "br", "hr", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.rows and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        """The cells of the row that begins with this word, the first time that one does."""
        return next(row for row in self.rows if row and row[0].startswith(first))

    def all(self, name: str) -> list[str | None]:
        return [attributes[name] for _, attributes in self.found if name in attributes]


Prepare = Callable[..., Path]


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Return a function: lines of a csv, options -> the folder that prepare wrote."""
    monkeypatch.chdir(tmp_path)

    def run(lines: Sequence[str], *options: str, code: int = 0) -> Path:
        Path("raw.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        words = ["--input=raw.csv", "--output=out", *options]
        assert main(["prepare", *words]) == code
        return Path("out")

    return run


def told(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return values


def record(folder: Path, of: type[PrepareReport] = PrepareReport, **more: Any) -> PrepareReport:
    values = told(folder)
    known = {one.name: values[one.name] for one in fields(PrepareReport)}
    known["steps"] = [StepRecord(**one) for one in known["steps"]]
    known["sources"] = [SourceRecord(**one) for one in known["sources"]]
    known["checks"] = [Check(**one) for one in known["checks"]]
    return of(**(known | more))


def read(folder: Path) -> Reader:
    return Reader((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def leaky(prepare: Prepare) -> Path:
    """Data with every fault: duplicates, contradictions, leaks, an address, a hostile class."""
    rows = [f"{text(row)} {SECRET if row == 5 else ''},{'pn'[row % 2]}" for row in range(100)]
    wrong = [f"{text(1)},p", f"{text(2)},p", f"{text(2)},p"]
    hostile = [f"{text(row)},{HOSTILE}" for row in range(130, 140)]
    Path("test.csv").write_text("\n".join(["text,label", *rows[10:14], f"{text(120)},p"]))
    return prepare(["text,label", *rows, *wrong, *hostile], "--test=test.csv")


def test_the_page_says_what_the_record_says(leaky: Path) -> None:
    values, page = told(leaky), read(leaky)
    assert values["duplicates"]["exact_text"] == 3
    assert page.row("Exact duplicates the text stands earlier")[1] == "3"
    assert page.row("Contradictions")[1] == f"{values['checks'][2]['value'] * 100:.2g} %"
    assert page.row("Test rows whose text stands in train")[1:3] == ["4", "4"]
    assert page.row("E-mail addresses")[1] == "1"
    assert page.row("the text stands in test")[:3] == ["the text stands in test", "Leaks", "4"]
    assert (
        page.row("Characters, median")[1] == f"{values['lengths']['before']['characters']['p50']}"
    )
    for split in ("train", "val", "test"):
        assert sum(values["histograms"]["characters"][split]) == values["rows"][split]
    assert sum(values["histograms"]["words"]["before"]) == values["rows"]["read"]


def test_no_text_of_the_data_stands_in_the_page(leaky: Path) -> None:
    content = (leaky / "report.html").read_text(encoding="utf-8")
    assert "secret" not in content
    assert not any(word in content for word in ("lamp", "boat", "坏", "好"))


def test_the_page_loads_and_runs_nothing_of_a_class_name(leaky: Path) -> None:
    page = read(leaky)
    tags = [tag for tag, _ in page.found]
    assert tags.count("script") == 1
    assert not {"img", "link", "iframe"} & set(tags)
    assert not any(name.startswith("on") for _, attributes in page.found for name in attributes)
    assert page.row("<img src=")[1] == "10"


def test_each_section_has_a_link(leaky: Path) -> None:
    page = read(leaky)
    anchors = page.all("id")
    assert [link for link in page.all("href") if link] == [f"#{name}" for name in anchors]
    assert len(anchors) == len(set(anchors))
    assert {"limits", "steps", "reasons", "duplicates", "leaks", "privacy", "classes"} <= set(
        anchors
    )
    assert not {"truncation", "languages", "scores"} & set(anchors)


def test_what_was_not_looked_at_is_named_with_its_setting(prepare: Prepare) -> None:
    lines = ["text,label", *(f"{text(row)},{'pn'[row % 2]}" for row in range(90))]
    folder = prepare(lines, "--recipe.near=null", "--recipe.privacy=null")
    content = (folder / "report.html").read_text(encoding="utf-8")
    for setting in (
        "recipe.near, ",
        "recipe.privacy, ",
        "--recipe.languages '{}'",
        ".tokenizer NAME",
    ):
        assert setting in content
    assert "privacy" not in read(folder).all("id")


def test_tokens_and_languages_have_their_figures(prepare: Prepare, tiny_backbone: Any) -> None:
    pytest.importorskip("py3langid")
    lines = ["text,label", *(f"{text(row)},{'pn'[row % 2]}" for row in range(90))]
    words = [f"--recipe.tokens.tokenizer={tiny_backbone('bert')}", "--recipe.tokens.max_length=4"]
    folder = prepare(lines, *words, "--recipe.languages={}")
    page, values = read(folder), told(folder)
    assert {"truncation", "languages"} <= set(page.all("id"))
    train = values["truncation"]["rows"]["train"]
    assert next(row for row in page.rows if row[:2] == ["Train", f"{train}"])[2] == "100 %"
    assert sum(values["languages"].values()) == 90
    assert sum(values["histograms"]["tokens"]["train"]) == values["rows"]["train"]


def test_scores_are_drawn_where_there_are_no_classes(prepare: Prepare) -> None:
    lines = ["text,label", *(f"{text(row)},{row % 11 / 2}" for row in range(90))]
    folder = prepare(lines)
    page = read(folder)
    assert "scores" in page.all("id")
    assert "classes" not in page.all("id")
    assert sum(told(folder)["histograms"]["scores"]["train"]) == told(folder)["rows"]["train"]


def test_labels_of_several_names_count_each_and_texts_without_labels_have_a_page(
    prepare: Prepare,
) -> None:
    lines = ["text,label", *(f"{text(row)},{('a|b', 'b', 'a')[row % 3]}" for row in range(90))]
    folder = prepare(lines, "--label_separator=|")
    assert "A row counts for each of its labels." in (folder / "report.html").read_text()
    assert next(row for row in read(folder).rows if row[0] == "a")[1] == "60"
    bare = prepare(lines, "--label=null", "--output=bare")
    assert "No labels" in Path("bare/report.html").read_text()
    assert "classes" not in read(Path("bare")).all("id")
    assert bare.is_dir()


def test_the_page_of_what_fails_is_written_without_splits(prepare: Prepare) -> None:
    lines = ["text,label", *(f"{text(row)},{'pn'[row % 2]}" for row in range(60))]
    folder = prepare([*lines, *lines[1:30]], "--recipe=strict", code=3)
    assert sorted(file.name for file in folder.iterdir()) == [
        *("dropped.parquet", "report.html", "report.json", "report.md")
    ]
    assert any(one == "chip fail" for one in read(folder).all("class"))


def test_many_classes_are_all_there_the_largest_first(prepare: Prepare) -> None:
    lines = ["text,label", *(f"{text(row)} {row} {row * 7},c{row % 77}" for row in range(960))]
    folder = prepare(lines, "--recipe.near=null", "--recipe.quality=null")
    rows = [row for row in read(folder).rows if len(row) == 6]  # a class, four counts and a bar
    names = [row[0] for row in rows if re.fullmatch(r"c\d+", row[0])]
    classes = told(folder)["classes"]
    kept = {
        name: sum(classes[split].get(name, 0) for split in ("train", "val", "test"))
        for name in classes["before"]
    }
    assert len(names) == 77
    assert [kept[name] for name in names] == sorted(kept.values(), reverse=True)


@dataclass(frozen=True)
class _WithMore(PrepareReport):
    thesaurus: Mapping[str, Any] = field(default_factory=dict)


def test_a_part_of_the_record_that_nothing_draws_is_listed(leaky: Path) -> None:
    more = record(leaky, _WithMore, thesaurus={"rows": 12, "by": {HOSTILE: 3}})
    content = report_html(more, "data")
    page = Reader(content)
    assert "thesaurus" in page.all("id")
    assert "<dt>rows</dt><dd>12</dd>" in content
    assert "img" not in [tag for tag, _ in page.found]
    assert "## Thesaurus\n\n|  |  |\n| --- | ---: |\n| rows | 12 |" in report_markdown(more, "data")
    assert "thesaurus" not in report_html(record(leaky), "data").lower()


def test_the_page_is_the_same_for_the_same_record(leaky: Path) -> None:
    assert report_html(record(leaky), "out") == (leaky / "report.html").read_text(encoding="utf-8")


@dataclass(frozen=True)
class _WithDoubts(PrepareReport):
    suspects: Mapping[str, Any] | None = None
    augmentation: Mapping[str, Any] | None = None


SUSPECTS = {
    "mode": "fast",
    "rows": 90,
    "of": 100,
    "found": 9,
    "share": 0.1,
    "noise": 0.0432,
    "classes": {"n": 2, "p": 7},
    "dropped": 0,
    "outliers": 3,
    "outlier_rows": ["raw.csv:7", "raw.csv:9", "raw.csv:40"],
    "rare_classes": 1,
}
COPIES = {
    "originals": 80,
    "copies": 40,
    "unchanged": 2,
    "repeated": 1,
    "near": 0,
    "edits": {"swap": 30, "deletion": 10},
    "classes": {"n": 20, "p": 20},
    "label_kept": {"asked": 40, "known": 36, "kept": 34, "share": 0.9444, "edits": {"swap": 0.9}},
}


def test_suspects_and_copies_have_sections_where_the_record_has_them(leaky: Path) -> None:
    content = report_html(record(leaky, _WithDoubts, suspects=SUSPECTS, augmentation=COPIES), "x")
    page = Reader(content)
    assert [name for name in page.all("id") if name in ("suspects", "augmentation")] == [
        *("suspects", "augmentation")
    ]
    assert "90 of 100 rows of train were looked at, in fast mode. 9 labels" in content
    assert "takes 4.3 % of all labels for wrong" in content
    at = page.rows.index(["Suspected label", "Count", "Share of the suspects"])
    assert page.rows[at + 1 : at + 3] == [["p", "7", "77.8 %"], ["n", "2", "22.2 %"]]
    assert "3 texts are like no other" in content
    assert "raw.csv: 7, 9, 40" in content
    assert page.row("Swap") == ["Swap", "30", "75 %"]
    assert "94.4 % keep their label" in content
    assert "recipe.quality" not in content


def test_words_are_not_told_of_texts_without_spaces(leaky: Path) -> None:
    told = record(leaky)
    chinese = {"characters": {"p50": 78, "p95": 246, "max": 1992}}
    chinese["words"] = {"p50": 1, "p95": 6, "max": 77}
    other = replace(told, lengths=dict.fromkeys(told.lengths, chinese))
    for report, words in ((told, 3), (other, 0)):
        rows = [row for row in Reader(report_html(report, "x")).rows if row]
        assert sum(row[0].startswith("Words, ") for row in rows) == words
        assert report_markdown(report, "x").count("| words, ") == words


@pytest.mark.parametrize(("count", "scrolls"), [(40, False), (41, True)])
def test_many_classes_alone_scroll(leaky: Path, count: int, scrolls: bool) -> None:
    counts = {f"c{at:02}": 5 for at in range(count)}
    report = replace(record(leaky), classes={"before": counts, "train": counts})
    assert ("bars tall" in report_html(report, "x")) is scrolls


def test_a_step_that_adds_rows_drops_none(leaky: Path) -> None:
    told = record(leaky)
    before = told.steps[-1].rows_out
    steps = [*told.steps, StepRecord("augment", before, before + 50, {"copies": 50})]
    told = replace(told, steps=steps)
    row = Reader(report_html(told, "x")).row("Edited copies")
    assert row[:4] == ["Edited copies", str(before), "0", str(before + 50)]
    assert f"| augment | {before} | {before + 50} | 0 | copies 50 |" in report_markdown(told, "x")


def test_suspects_that_were_not_looked_for_are_no_section(leaky: Path) -> None:
    content = report_html(record(leaky, _WithDoubts, suspects=None), "x")
    assert "suspects" not in Reader(content).all("id")
    assert "recipe.quality, which is null" in content
    few = {"mode": "fast", "rows": 12, "of": 12}
    assert "12 of 12 rows" in report_html(record(leaky, _WithDoubts, suspects=few), "x")

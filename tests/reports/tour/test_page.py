"""The page of a tour made by hand: what it says, and what it keeps out."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from lightning_tune.reports.tour.outcomes import Outcome
from lightning_tune.reports.tour.page import tour_html, write_tour


class Reader(HTMLParser):
    """Collects tags, links and visible words, and checks that elements nest."""

    VOID = ("meta", "input", "br", "hr", "wbr")

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.tags.append(tag)
        self.links += [named["href"]] if "href" in named else []
        self.ids += [named["id"]] if "id" in named else []
        assert not any(name.startswith("on") for name in named)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_is_well_formed_and_hostile_texts_stay_texts(make):
    content = tour_html(make())
    reader = Reader(content)
    assert len(reader.ids) == len(set(reader.ids))
    assert reader.tags.count("script") == 1
    assert "img" not in reader.tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in content
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800]", content)


def test_links_lead_to_sections_of_the_page_and_to_files_beside_it(make):
    reader = Reader(tour_html(make()))
    inside = [link.removeprefix("#") for link in reader.links if link.startswith("#")]
    assert inside == [
        *("stages", "cleaned", "training", "metrics", "confusion", "bundle", "answers", "next"),
    ]
    assert set(inside) <= set(reader.ids)
    assert [link for link in reader.links if not link.startswith("#")] == ["data/report.html"]


@pytest.mark.parametrize(
    "said",
    [
        # 5 of 6 duplicates and 4 of 4 rows with HTML; nobody looked at labels.
        "9 of 10 planted faults found. They were put",
        "the same text again 6 5 83 % one row of each pair is left; not so in line 17",
        "labels changed to another 3 n/a",
        "clean 18 90 % rows dropped 2, html 4",
        "The verdict of prepare: WARN (leaks is 0.0833, its limit 0).",
        "Planted faults found 9 of 10",
        "a⏎⇥b⟨zero width⟩ a b",
        "not shown: what was found is counted, never printed write to [EMAIL]",
        "Accuracy on test 0.700 95 % interval",
        "Bundle, 1 x 24 1.50 ms 6.0 times as fast as torch fp32",
        "Model file 23.5 MB 10.00 points lost on test",
        "torch fp32 9.00 1,200.00 500",
        "int8 static taken 23.5 1.50 20.00 500 0.750 0.00",
        "On 10 test rows: Accuracy 0.700 (0.400 to 0.900) in PyTorch, 0.600 (0.300 to 0.800) in "
        "the bundle; 10.00 points lost (95 % interval 0.00 to 30.00), 2 answers changed.",
        "10.00 points lost on test other processes were busy <script>",
        "20 raw messages · 3 labels · five commands in 3:24 min",
        "prepare 3 s cleans python -m lightning_tune prepare --input",
        "a processor, 2 cores",
    ],
)
def test_the_page_says(make, said):
    assert said in Reader(tour_html(make())).text


def test_the_curves_are_those_of_loss_and_main_metric(make):
    titles = re.findall(r'<span class="title">([^<]+)</span>', tour_html(make()))
    assert titles == ["Loss", "Accuracy"]


def test_what_a_tour_has_not_is_left_out(make):
    reader = Reader(tour_html(make(examples=[], answers=[], provenance={})))
    assert "answers" not in reader.ids
    assert "#answers" not in reader.links
    assert "Some texts, before and after" not in reader.text
    assert "footer" not in reader.tags


def test_changed_labels_are_told_once_somebody_looked(make):
    found = [Outcome("flip", 3, 2, (40,))]
    text = Reader(tour_html(make(outcomes=found))).text
    assert "labels changed to another 3 2 67 % called doubtful, for a person to review" in text
    assert "not so in line 40" in text


def test_suspects_are_counted_where_prepare_looked(make):
    looked = {**make().prepared, "suspects": {"found": 31}}
    text = Reader(tour_html(make(prepared=looked))).text
    assert "its limit 0). It calls 31 labels of train doubtful." in text
    assert "doubtful." not in Reader(tour_html(make())).text


def test_the_page_is_its_owners_alone(make, tmp_path):
    write_tour(tmp_path / "tour.html", make())
    assert stat.S_IMODE((tmp_path / "tour.html").stat().st_mode) == 0o600
    assert (tmp_path / "tour.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_what_was_gained_has_the_interval_of_the_gain(make):
    gained = replace(make().exported, lost=-10.0, lost_interval=(-30.0, 1.0))
    assert (
        "10.00 points gained (95 % interval -1.00 to 30.00)"
        in Reader(tour_html(make(exported=gained))).text
    )

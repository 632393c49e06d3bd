"""Every rendering of an export: complete, escaped, and without a text of the data."""

from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console

from lightning_tune.reports.figures import to_bytes
from lightning_tune_export.report.figures import figures_of
from lightning_tune_export.report.page import export_html, write_html
from lightning_tune_export.report.record import write_json
from lightning_tune_export.report.text import export_markdown, rows_of, show_candidates
from lightning_tune_export.report.words import change_text, points_text, speed_up

KINDS = ("binary", "multiclass", "multilabel", "regression")


class Tags(HTMLParser):
    """The tags of a page, and the anchors that it links to and has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        named = dict(attrs)
        self.ids |= {named["id"]} if "id" in named else set()
        if tag == "a":
            self.links.add(named["href"].removeprefix("#"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_whole_links_to_its_sections_and_runs_nothing_foreign(kind, make):
    page = export_html(make(kind))
    found = Tags(page)
    assert found.links == found.ids - {""}
    assert found.tags.count("script") == 1  # our own, at the end
    assert found.tags.count("img") == 0
    assert {"gate", "candidates", "metrics", "frontier", "parity", "pruning"} <= found.ids
    assert ("confusion" in found.ids) == (kind in ("binary", "multiclass"))
    assert ("reliability" in found.ids) == (kind != "regression")
    assert ("thresholds" in found.ids) == (kind == "multilabel")


@pytest.mark.parametrize("kind", KINDS)
def test_markdown_has_the_figures_and_formats_no_name(kind, make):
    text = export_markdown(make(kind))
    assert "| accuracy lost | 0.25 points | 0.5 points | 0.25 | kept |" in text
    assert "| one text, median | 2.00 ms | 1.5 ms | -0.50 | missed |" in text
    assert "<script>" not in text
    assert "![x](http" not in text
    assert all(
        line.count("|") - line.count("\\|") > 2 for line in text.splitlines() if line[:1] == "|"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_record_is_json_with_every_flip(kind, make, tmp_path):
    report = make(kind)
    write_json(tmp_path / "report.json", report.to_dict())
    read = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert read["schema_version"] == 1
    assert len(read["comparison"]["flips"]) == len(report.comparison.flips)
    assert read["comparison"]["lost"] == pytest.approx(report.comparison.lost)
    assert [check["passes"] for check in read["checks"]] == [True, False]
    assert read["rungs"][0]["timings"]["1 x 24"] == {"p50": 2, "p95": 3}
    assert read["calibrated"]["errors"].keys() == report.calibrated.errors.keys()


def test_the_table_for_the_terminal_names_the_winner(make):
    report = make()
    out = StringIO()
    show_candidates(report.rungs, report.winner, console=Console(file=out, width=100))
    lines = out.getvalue().splitlines()
    (won,) = [line for line in lines if "taken" in line]
    assert won.split()[:4] == ["int8", "24.5", "2.00", "80.00"]
    assert rows_of(report.rungs, "")[0][-1] == "fits"


@pytest.mark.parametrize("kind", KINDS)
def test_trackers_get_a_figure_for_each_thing_that_there_is(kind, make):
    figures = figures_of(make(kind))
    wanted = {"quality_against_time"}
    wanted |= {"reliability"} if kind != "regression" else set()
    if kind in ("binary", "multiclass"):
        wanted |= {"confusion_matrix_checkpoint", "confusion_matrix_exported"}
    assert figures.keys() == wanted
    assert all(to_bytes(figure).startswith(b"\x89PNG") for figure in figures.values())


def test_the_page_may_be_read_by_all_as_it_holds_no_text(make, tmp_path):
    write_html(tmp_path / "report.html", make())
    assert (tmp_path / "report.html").stat().st_mode & 0o077


def test_speed_is_told_against_pytorch(make):
    report = make()
    shape = next(iter(report.winning.timings))
    assert speed_up(report, shape) == "4.5 times as fast as torch fp32"
    assert points_text(-0.5) == "0.50 points gained"


def test_what_was_gained_has_the_interval_of_the_gain(make):
    """-0.55 points lost, in (-1.76, 0.66), are 0.55 gained, in (-0.66, 1.76)."""
    told = "0.55 points gained (95 % interval -0.66 to 1.76)"
    assert change_text(-0.55, (-1.76, 0.66)) == told
    report = make("binary")
    found = report.comparison
    after = {**found.before, "accuracy": found.before["accuracy"] + 0.0055}
    change = {**found.intervals, "accuracy": (-0.0066, 0.0176)}
    report.comparison = dataclasses.replace(found, after=after, intervals=change)
    assert told in export_html(report)
    assert told in export_markdown(report).replace("\\", "")

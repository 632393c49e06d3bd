"""Every rendering of an export: complete, escaped, and without a text of the data."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console

from lightning_tune.reports.figures import to_bytes
from lightning_tune.reports.points import change_text, points_text
from lightning_tune_export.calibrate import Bin
from lightning_tune_export.gate import Check
from lightning_tune_export.report.charts import limit_of, looks_of, range_of
from lightning_tune_export.report.figures import figures_of
from lightning_tune_export.report.page import export_html, write_html
from lightning_tune_export.report.record import Calibrated, write_json
from lightning_tune_export.report.text import export_markdown, rows_of, show_candidates
from lightning_tune_export.report.words import headline, speed_up

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


def test_no_two_figures_of_a_bundle_with_thresholds_seem_to_contradict_each_other(make):
    """The bundle answers with thresholds, and what export lost is counted without any."""
    report = make("multilabel")
    found = report.comparison
    report.after.metrics["f1_macro"] = 0.19
    found.before["f1_macro"], found.after["f1_macro"] = 0.1524, 0.1520
    found.intervals["f1_macro"] = (-0.002, 0.001)
    told = "0.04 points lost (95 % interval -0.10 to 0.20)"
    plain = "With 0.5 for every label it is 0.152, the checkpoint's 0.152: " + told
    fitted = "of the test split: 0.190 with the thresholds fitted on validation. "
    assert fitted + plain in headline(report)
    assert fitted + plain in export_markdown(report).replace("\\", "")
    page = export_html(report)
    stats = re.findall(r'class="name">([^<]*)</span><span class="value">([^<]*)<', page)
    assert stats[:2] == [("F1, macro", "0.190"), ("F1, macro, 0.5 for every label", "0.152")]
    assert f"checkpoint 0.152: {told}" in page
    (row,) = re.findall(r"<tr><td><strong>F1, macro.*?</tr>", page)
    cells = re.findall(r">([^<>]+)</", row)
    assert cells == [
        "F1, macro", "0.152", "0.152", "-0.0004", "-0.0020 to +0.0010", "0.190",
    ]  # fmt: skip
    assert page.count("with 0.5 for every label") >= 3  # figure, classes, changed answers


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_where_there_are_no_thresholds_nothing_is_said_of_them(kind, make):
    report = make(kind)
    assert "for every label" not in export_html(report) + export_markdown(report)
    assert "beside the checkpoint" in headline(report)


def test_the_means_over_classes_are_called_so(make):
    page = export_html(make("multilabel"))
    assert "<td>Precision, macro</td>" in page
    assert "<td>Recall</td>" in export_html(make("binary"))


def test_no_table_shows_a_negative_nothing(make):
    report = make("binary")
    for change in report.comparison.classes:
        object.__setattr__(change, "interval", (0.0, 0.0))
    for name, value in report.comparison.before.items():
        report.comparison.after[name] = value - 1e-12
        report.comparison.intervals[name] = (-0.0, 0.00003)
    shown = export_html(report) + export_markdown(report)
    assert not re.search(r"-0\.0*(?![0-9])", shown)
    assert "+0.0000 " not in shown
    assert "0 to +0.00003" in shown
    assert "0.00 to 0.00" in shown


def test_every_dot_of_the_figure_has_its_name_and_noise_is_not_blown_up(make):
    report = make("binary")
    metric = report.comparison.metric
    for at, rung in enumerate(report.rungs):
        after = {**report.comparison.after, metric: 0.88 + at * 0.0005}
        before = {**report.comparison.before, metric: 0.88}
        found = dataclasses.replace(report.comparison, before=before, after=after)
        checks = [Check("accuracy lost", 0.0, 0.5, "points", "points")]
        report.rungs[at] = dataclasses.replace(rung, comparison=found, checks=checks, note="")
    low, high = range_of(report)
    assert high - low >= 0.01
    assert limit_of(report) == pytest.approx(0.875)
    assert low <= 0.875
    assert looks_of(report) == {"int8": (2, True), "torch fp32": (6, False)}
    drawing = re.search(r'<section id="frontier">.*?</section>', export_html(report))[0]
    assert re.findall(r'class="c\d(?: strong)?">([^<]*)</text>', drawing) == ["int8", "torch fp32"]
    assert drawing.count('class="limit"') == 2  # the line, and the legend's


def test_a_budget_far_from_everything_is_not_drawn(make):
    report = make("binary")
    checks = [Check("accuracy lost", 0.0, 90.0, "points", "points")]
    report.rungs[0] = dataclasses.replace(report.rungs[0], checks=checks)
    low, _ = range_of(report)
    assert low > limit_of(report)
    assert 'class="limit"' not in export_html(report)


@pytest.mark.parametrize(
    ("temperature", "worse", "told"),
    [
        (1.2, False, []),
        (1.2, True, ["makes the expected calibration error on test larger: 0.2000, and 0.1000"]),
        (0.05, False, ["is an end of the range that is tried (0.05 to 20)"]),
        (20.0, True, ["less sure the model is", "on test larger"]),
    ],
)
def test_a_temperature_that_does_harm_or_ends_at_its_limit_is_told(temperature, worse, told):
    good, bad = [Bin(0.8, 0.7, 10)], [Bin(0.8, 0.6, 10)]
    before, after = (good, bad) if worse else (bad, good)
    notes = Calibrated(temperature, None, before, after, good).notes
    assert len(notes) == len(told)
    assert all(part in note for part, note in zip(told, notes, strict=True))
    assert Calibrated(temperature, None, [], [], []).notes == []


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

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lightning_tune.reports.dashboard import dashboard_html, write_dashboard
from lightning_tune.reports.runs import Run


def _run(index, *, tested=True, steps=50, **settings):
    quality = 0.9 - index / 100
    curves = {
        "train/loss": [(float(step), 1 / (1 + step) + step % 2) for step in range(steps)],
        "val/accuracy": [(10.0, quality - 0.1), (20.0, quality)],
        "lr-AdamW/pg1": [(0.0, 1e-4), (20.0, 0.0)],
        "lr-AdamW/pg2": [(0.0, 1e-5), (20.0, 0.0)],
        "throughput/samples_per_second": [(1.0, 90.0), (2.0, 100.0), (3.0, 110.0)],
        "val/broken": [(1.0, float("nan"))],
    }
    name = f"run_{index:02d}<script>"
    metrics = {"test/accuracy": quality}
    if index == 0:
        metrics |= {"test/accuracy_low": quality - 0.05, "test/accuracy_high": quality + 0.05}
    settings = {"model.lr": 1e-4 * (index + 1), "model.objective": f"Objective{index}", **settings}
    return Run(name, Path(name), curves, metrics if tested else {}, settings, 1.7e9 + index)


def _tree(content):
    """The page as a tree; its void elements are closed for the XML parser."""

    body = content[content.index("<body>") : content.rindex("<script>")] + "</body>"
    body = re.sub(r"<(input|br|wbr)([^>]*)>", r"<\1\2/>", body)
    body = re.sub(r" checked(?=[ />])", ' checked="checked"', body)
    return ElementTree.fromstring(body)


@pytest.fixture
def tree():
    runs = [_run(2), _run(0), _run(1, tested=False)]
    runs[0].problems.append("run_02/metrics.json: Unterminated string <b>")
    return _tree(dashboard_html(runs, source="runs"))


def test_runs_stand_best_first_with_what_they_reached(tree):
    table = tree.find(".//section[@id='runs']//tbody")
    rows = [["".join(cell.itertext()) for cell in row] for row in table]
    assert [row[1] for row in rows] == ["run_00<script>", "run_02<script>", "run_01<script>"]
    assert rows[0][2:7] == ["0.900", "0.850 to 0.950", "0.900", "49", "100.0"]
    assert rows[2][2:5] == ["", "", "0.890"]


def test_settings_that_differ_are_columns(tree):
    headings = ["".join(cell.itertext()) for cell in tree.find(".//section[@id='runs']//thead/tr")]
    assert headings[7:9] == ["lr", "objective"]


def test_every_run_has_its_curve_in_every_panel(tree):
    charts = {svg.get("aria-label"): svg for svg in tree.iter("svg")}
    assert charts.keys() == {
        "Validation: Accuracy by step",
        "Training: Loss by step",
        "Training: Learning rate by step",
        "Speed: Samples per second by step",
    }
    named = [
        shape.get("data-name") for shape in charts["Validation: Accuracy by step"].iter("polyline")
    ]
    # The best is drawn last, on top.
    assert named == ["run_01<script>", "run_02<script>", "run_00<script>"]
    loss = charts["Training: Loss by step"]
    assert sum("faint" in shape.get("class") for shape in loss.iter("polyline")) == 3
    rates = {
        shape.get("data-name")
        for shape in charts["Training: Learning rate by step"].iter("polyline")
    }
    assert "run_00<script> lr-AdamW/pg2" in rates


def test_final_values_stand_on_one_axis_with_their_intervals(tree):
    panel = tree.find(".//section[@id='test']//tbody")
    assert [row[1].text for row in panel] == ["0.900", "0.880"]
    band = panel[0][2].find(".//i").get("style")
    assert "width:0.00%" not in band
    assert "width:0.00%" in panel[1][2].find(".//i").get("style")


def test_files_that_were_not_read_are_named(tree):
    (note,) = tree.findall(".//ul[@class='notes']/li")
    assert note.text == "Not read: run_02/metrics.json: Unterminated string <b>"


def test_more_runs_than_can_be_told_apart_wait_to_be_ticked():
    tree = _tree(dashboard_html([_run(index) for index in range(30)], source="runs"))
    boxes = [box for box in tree.iter("input") if box.get("name") == "run"]
    assert [box.get("checked") is not None for box in boxes] == [True] * 24 + [False] * 6
    (lead,) = tree.findall(".//section[@id='runs']/p")
    assert "first 24 are shown" in lead.text


def test_many_settings_are_folded():
    runs = [_run(index, **{f"data.s{at}": [index] * 9 for at in range(9)}) for index in range(2)]
    runs.append(Run("bare", Path("bare")))
    tree = _tree(dashboard_html(runs, source="runs"))
    assert tree.find(".//details/summary").text == "All 11 settings that differ"
    assert len(tree.find(".//details//tbody")) == 11


def test_runs_without_anything_make_a_page_too():
    tree = _tree(dashboard_html([Run("bare", Path("bare"))], source="runs"))
    assert [section.get("id") for section in tree.iter("section")] == ["runs"]


def test_the_page_is_its_owners_alone(tmp_path):
    write_dashboard(tmp_path / "page.html", [_run(0)], source="runs")
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600

import pytest

from lightning_tune.reports.elements import (
    Axis,
    Cell,
    Column,
    Part,
    bar,
    facts,
    stacked,
    table,
    verdict_chip,
)


@pytest.mark.parametrize(("share", "width"), [(0.5, "50.0%"), (-1.0, "0.0%"), (7.0, "100.0%")])
def test_a_bar_stays_inside_its_track(share, width):
    assert f"width:{width}" in bar(share, "x")


def test_a_strip_places_value_and_interval_on_its_axis():
    shown = Axis(0.8, 1.0).strip(0.9, (0.85, 0.95))
    assert 'style="left:25.00%;width:50.00%"' in shown
    assert 'style="left:50.00%"' in shown


def test_what_does_not_fit_the_axis_is_not_drawn():
    assert Axis(0.0, 1.0).strip(12.5, None) == ""
    assert Axis(0.0, 1.0).strip(0.5, (-0.5, 0.9)) == ""
    assert Axis(0.0, 0.95).strip(0.9, (0.85, 0.9500000001)) != ""


def test_cells_sort_by_their_values_and_show_their_texts():
    shown = table([Column("Label"), Column("Rows", True)], [[Cell("<b>"), Cell("1,200", 1200)]])
    assert "<td>&lt;b&gt;</td>" in shown
    assert '<td class="num" data-value="1200">1,200</td>' in shown


def test_facts_escape_names_and_values():
    assert "<dt>&lt;a&gt;</dt><dd>&lt;b&gt;</dd>" in facts({"<a>": "<b>"})


def test_parts_of_a_bar_are_as_wide_as_their_shares_and_empty_ones_are_left_out():
    shown = stacked([Part(0.25, 1, "a <b>"), Part(0.0, 2, "nothing"), Part(0.5, None, "rest")])
    assert 'class="c1" style="width:25.00%" data-tip="a &lt;b&gt;"' in shown
    assert 'class="grey" style="width:50.00%"' in shown
    assert "nothing" not in shown


@pytest.mark.parametrize(
    ("verdict", "kind"), [("PASS", "pass"), ("FAIL", "fail"), ('<a class="', "both")]
)
def test_a_verdict_has_its_colour_and_no_other_word_has_one(verdict, kind):
    assert verdict_chip(verdict).startswith(f'<span class="chip {kind}">')
    assert "<a" not in verdict_chip(verdict)

"""Dots with their names: each beside its dot, none over another."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import pytest

from lightning_tune.reports.charts import Frame
from lightning_tune.reports.dots import Dot, beside, dots_chart

AREA = (0.0, 0.0, 600.0, 300.0)
CROWD = [(300.0 + at % 3, 150.0 + at % 2) for at in range(12)]


def boxes(places, widths, height=13.0):
    """Left, top, right and bottom of names."""
    return [
        (x, y - height / 2, x + width, y + height / 2)
        for (x, y), width in zip(places, widths, strict=True)
    ]


def test_no_name_lies_over_another_or_over_a_dot_or_outside():
    widths = [60.0 + 5 * at for at in range(12)]
    found = boxes(beside(CROWD, widths, AREA), widths)
    for one, other in combinations(found, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for left, top, right, bottom in found:
        assert 0 <= left < right <= 600
        assert 0 <= top < bottom <= 300
        assert not any(left < x < right and top < y < bottom for x, y in CROWD)


def test_a_name_at_the_right_edge_stands_left_of_its_dot():
    assert beside([(590.0, 150.0)], [50.0], AREA) == [(532.0, 150.0)]


def test_where_there_is_no_room_a_name_stands_right_of_its_dot():
    assert beside([(5.0, 5.0)], [50.0], (0.0, 0.0, 10.0, 10.0)) == [(13.0, 5.0)]


def test_every_dot_has_its_name_its_colour_and_the_limit_is_drawn():
    dots = [Dot("int8 <b>", (1.0, 0.89), 2, strong=True), Dot("torch", (9.0, 0.9), 6)]
    frame = Frame("quality", 720, 380, (0.5, 10.0), (0.88, 0.91), logarithmic=True)
    svg = ElementTree.fromstring(dots_chart(dots, frame, limit=0.895))
    assert [dot.get("class") for dot in svg.iter("circle")] == ["dot normal c2", "dot normal c6"]
    named = [text for text in svg.iter("text") if text.get("class") in ("c2 strong", "c6")]
    assert [text.text for text in named] == ["int8 <b>", "torch"]
    (limit,) = [line for line in svg.iter("line") if line.get("class") == "limit"]
    heights = [float(dot.get("cy")) for dot in svg.iter("circle")]
    assert float(limit.get("y1")) == pytest.approx(sum(heights) / 2, abs=0.1)


def test_a_chart_without_a_limit_has_no_line_for_it():
    chart = dots_chart([Dot("a", (1.0, 0.5))], Frame("x", x=(0, 2), y=(0, 1)))
    assert 'class="limit"' not in chart

import re
from xml.etree import ElementTree

import pytest

from lightning_tune.reports.charts import Frame, Line, line_chart, scatter_chart


def _points(shape):
    return [tuple(map(float, pair.split(","))) for pair in shape.get("points").split()]


def test_lines_are_drawn_where_their_values_are():
    frame = Frame("loss by step", 360, 220, x=(0, 10), y=(0, 1))
    svg = ElementTree.fromstring(line_chart([Line("run", [(0, 0.0), (10, 1.0)])], frame))
    low_x, high_x, low_y, high_y, left, right, bottom, top = map(
        float, svg.get("data-plot").split()
    )
    assert (low_x, high_x, low_y, high_y) == (0, 10, 0, 1)
    (line,) = svg.iter("polyline")
    assert _points(line) == [(left, bottom), (right, top)]
    assert svg.get("aria-label") == "loss by step"


def test_a_single_point_is_a_dot():
    svg = ElementTree.fromstring(line_chart([Line("run", [(5.0, 0.5)], 3, run=2)], Frame("x")))
    (dot,) = svg.iter("circle")
    assert dot.get("class") == "dot normal c3"
    assert dot.get("data-run") == "2"


def test_runs_beyond_the_palette_are_dashed():
    chart = line_chart(
        [Line("run", [(0, 0.0), (1, 1.0)], index) for index in range(20)], Frame("x")
    )
    shapes = list(ElementTree.fromstring(chart).iter("polyline"))
    looks = {(shape.get("class"), shape.get("stroke-dasharray")) for shape in shapes}
    assert len(looks) == 20


def test_background_lines_have_no_name_to_point_at():
    chart = line_chart([Line("run", [(0, 0.0), (1, 1.0)], None, "faint")], Frame("x"))
    (line,) = ElementTree.fromstring(chart).iter("polyline")
    assert line.get("class") == "faint grey"
    assert line.get("data-name") is None


def test_names_cannot_leave_their_attribute():
    chart = line_chart([Line('"><script>', [(0, 0.0), (1, 1.0)])], Frame('"', x_label="<a>"))
    assert "<script" not in chart
    assert "<a>" not in chart
    assert ElementTree.fromstring(chart) is not None


def test_a_chart_of_nothing_is_still_a_chart():
    assert list(ElementTree.fromstring(line_chart([], Frame("empty"))).iter("polyline")) == []


def test_both_axes_of_a_scatter_share_one_range():
    chart = scatter_chart([(0.0, 1.0), (4.0, 5.2)], Frame("x", 400, 400, y_label="prediction"))
    svg = ElementTree.fromstring(chart)
    low_x, high_x, low_y, high_y, *_ = map(float, svg.get("data-plot").split())
    assert (low_x, high_x) == (low_y, high_y)
    assert low_x <= 0
    assert high_x >= 5.2
    assert len(list(svg.iter("circle"))) == 2
    assert re.search('class="ideal"', chart)


def test_a_logarithmic_axis_puts_ratios_side_by_side_and_says_so():
    lines = [Line(name, [(value, 0.5)]) for name, value in (("a", 2.0), ("b", 8.0), ("c", 32.0))]
    svg = ElementTree.fromstring(line_chart(lines, Frame("x", x=(1.0, 64.0), logarithmic=True)))
    first, second, third = (float(dot.get("cx")) for dot in svg.iter("circle"))
    assert third - second == pytest.approx(second - first, abs=0.11)
    assert svg.get("data-log") is not None
    assert ElementTree.fromstring(line_chart(lines, Frame("x"))).get("data-log") is None

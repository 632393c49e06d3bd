from xml.etree import ElementTree

import pytest

from lightning_tune.reports.axes import Scale
from lightning_tune.reports.histogram import Series, histogram, labelled


def drawn(edges, series, **settings):
    return ElementTree.fromstring(
        histogram(edges, series, title="lengths", unit="words", **settings)
    )


def tips(svg):
    return [shape.get("data-tip") for shape in svg.iter("rect") if shape.get("data-tip")]


def test_steps_are_as_high_as_their_shares():
    svg = drawn([0, 10, 20], [Series("train", [1, 3], 2)], size=(360, 210))
    (line,) = svg.iter("polyline")
    assert line.get("class") == "normal c2"
    heights = [float(pair.split(",")[1]) for pair in line.get("points").split()]
    floor, first, second = heights[0], heights[1], heights[3]
    assert heights == [floor, first, first, second, second, floor]
    assert (floor - first) / (floor - second) == pytest.approx(1 / 3, abs=0.01)
    marks = [shape.text for shape in svg.iter("text")]
    assert marks == ["0 %", "20 %", "40 %", "60 %", "80 %", "0", "10", "20", "words"]


def test_the_group_without_a_colour_is_filled_bars_and_empty_bins_have_none():
    svg = drawn([0, 1, 2, 3], [Series("before", [5, 0, 5], None)])
    assert len([shape for shape in svg.iter("rect") if shape.get("class") == "bin"]) == 2
    assert not list(svg.iter("polyline"))


def test_each_bin_tells_what_it_holds():
    series = [Series("before", [4, 12], None), Series("train", [0, 2])]
    assert tips(drawn([0, 5, 300], series)) == [
        "0 to 4 words: before 25 % (4), train 0 % (0)",
        "5 to 299 words: before 75 % (12), train 100 % (2)",
    ]
    assert tips(drawn([0, 1, 2], [Series("a", [1, 1])]))[0].startswith("0 words")
    assert tips(drawn([0.0, 0.5], [Series("a", [1])])) == ["0 to 0.5 words: a 100 % (1)"]


def test_the_end_of_a_wide_last_bin_has_no_number():
    svg = drawn([0, 5, 10, 1998], [Series("train", [1, 2, 3])])
    assert [one.text for one in svg.iter("text") if one.text.isdigit()] == ["0", "5", "10"]
    svg = drawn([0.0, 0.1, 0.2, 0.3], [Series("train", [1, 2, 3])])
    assert "0.3" in [one.text for one in svg.iter("text")]


def test_numbers_below_many_bins_keep_apart():
    at = labelled(list(range(61)), Scale(0, 60, 44, 350))
    assert at == [0, 10, 20, 30, 40, 50, 60]


def test_nothing_is_drawn_of_no_rows_and_names_cannot_leave_their_attribute():
    svg = drawn([0, 1], [Series('"><script>', [0])])
    assert tips(svg) == ['0 words: "><script> 0 % (0)']
    assert not list(svg.iter("script"))

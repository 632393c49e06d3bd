import pytest

from lightning_tune.reports.axes import LogScale, Scale, log_span, span, tick_text, ticks


def test_a_scale_maps_its_ends_to_its_pixels():
    scale = Scale(2.0, 4.0, 100, 0)
    assert (scale(2.0), scale(3.0), scale(4.0)) == (100.0, 50.0, 0.0)
    assert scale.ticks == [2.0, 2.5, 3.0, 3.5, 4.0]


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-3e-9, 2e-9), (1e6, 1.5e6), (-7, 113), (0.8999, 0.9001)]
)
def test_ticks_are_few_and_inside(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 11
    assert found == sorted(found)
    assert low - 1e-12 <= found[0]
    assert found[-1] <= high + 1e-12


@pytest.mark.parametrize("values", [[0.12, 2.9], [5.0, 5.0], [0.0, 0.0], [-1e-8, 1e-8], [1e9, 2e9]])
def test_a_span_holds_its_values_and_has_a_width(values):
    low, high = span(values)
    assert low <= min(values)
    assert max(values) <= high
    assert low < high


def test_ticks_of_small_rates_are_short():
    assert tick_text(2.5e-5) == "2.5e-5"
    assert tick_text(-1e-10) == "-1e-10"


def test_on_a_logarithmic_scale_equal_ratios_are_equally_far_apart():
    scale = LogScale(1.0, 100.0, 0, 200)
    assert [scale(value) for value in (1.0, 10.0, 100.0)] == [0.0, 100.0, 200.0]
    assert scale(4.0) - scale(2.0) == pytest.approx(scale(40.0) - scale(20.0), abs=0.11)
    assert scale.ticks == [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]


@pytest.mark.parametrize("values", [[1.0], [0.98, 61.3], [1e-4, 2e-4], [5.0, 500.0]])
def test_a_logarithmic_span_leaves_room_on_both_sides(values):
    low, high = log_span(values)
    assert 0 < low < min(values)
    assert high > max(values)
    assert high / max(values) <= 2.5
    assert min(values) / low <= 2.5

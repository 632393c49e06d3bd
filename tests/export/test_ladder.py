"""One winner: the fastest of those inside all budgets; else the reason of each."""

from __future__ import annotations

import pytest

from lightning_tune.errors import GateError
from lightning_tune_export.comparison import Comparison, Flip
from lightning_tune_export.gate import Check
from lightning_tune_export.ladder import Rung, Shape, Timing, choose

ONE, MANY = Shape(1, 24), Shape(16, 128)


def rung(name, one, many, *, lost=0.2, role="candidate", flips=0):
    timings = {ONE: Timing(one, one), MANY: Timing(many, many)}
    changed = [Flip(row, "", "a", "a", "b", 0.1) for row in range(flips)]
    figures = {"accuracy": 0.9}
    found = Comparison("val", 100, "accuracy", figures, figures, flips=changed)
    checks = [Check("accuracy lost", lost, 0.5, "points", "points")]
    return Rung(name, role, 24.0, timings, comparison=found, checks=checks)


def test_the_fastest_that_fits_wins():
    rungs = [
        rung("fp32", 4.0, 200.0),
        rung("int8", 2.0, 100.0),
        rung("broken", 1.0, 50.0, lost=3.0),
        rung("OpenVINO", 0.5, 10.0, role="baseline"),
    ]
    assert choose(rungs).name == "int8"


def test_a_shape_counts_by_ratio_and_not_by_its_length():
    twice_at_one, a_tenth_at_many = rung("a", 1.0, 110.0), rung("b", 2.0, 100.0)
    assert choose([a_tenth_at_many, twice_at_one]).name == "a"
    assert twice_at_one.pace == pytest.approx((1.0 * 110.0) ** 0.5)


def test_of_those_as_fast_the_one_that_changes_least_wins():
    rungs = [rung("a", 1.0, 1.0, flips=3), rung("b", 1.04, 1.0, flips=1), rung("c", 2.0, 1.0)]
    assert choose(rungs).name == "b"
    assert choose(rungs[::2]).name == "a"


def test_where_none_fits_each_says_what_it_misses():
    with pytest.raises(GateError) as caught:
        choose([rung("a", 1, 1, lost=0.75), rung("b", 1, 1, lost=2.5)])
    told = str(caught.value)
    assert caught.value.exit_code == 3
    assert told.startswith("none of 2 candidates keeps the budgets, so no bundle was written.")
    assert "a: accuracy lost: 0.75 of 0.50 points, missed by 0.25 points" in told
    assert "b: accuracy lost: 2.50 of 0.50 points, missed by 2.00 points" in told
    assert told.endswith(
        "Raise a budget (--recipe.budgets.points 0.75 is enough for a on validation), or choose "
        "another recipe."
    )


def test_a_figure_that_is_no_number_has_no_budget_that_would_do():
    with pytest.raises(GateError, match=r"Raise a budget, or choose another recipe\.$"):
        choose([rung("a", 1, 1, lost=float("nan"))])


def test_the_time_of_one_text_is_that_of_the_first_shape():
    assert rung("a", 3.0, 70.0).milliseconds == 3.0

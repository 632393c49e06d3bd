"""Budgets beside figures: which are judged, and what is said of each."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.schema import LabelSet
from lightning_tune_export.budgets import Budgets
from lightning_tune_export.comparison import ClassChange, Comparison, compare
from lightning_tune_export.gate import Check, flags_to_raise, judge, missed

LOST = Comparison(
    "test",
    200,
    "accuracy",
    before={"accuracy": 0.9},
    after={"accuracy": 0.895},
    intervals={"accuracy": (-0.02, 0.01)},
    classes=[ClassChange("yes", 0.9, 0.85, 150), ClassChange("no", 0.8, 0.6, 50)],
)


def judged(budgets: Budgets, comparison=LOST) -> list[Check]:
    return judge(comparison, budgets, milliseconds=2.5, megabytes=24.0)


def test_each_stated_budget_is_one_check():
    checks = judged(Budgets(0.5, 5.0, 100, 0.01, 2.0, 20.0))
    assert [(check.unit, check.passes) for check in checks] == [
        ("points", True),
        ("points", True),
        ("% of rows", True),
        ("ms", False),
        ("MB", False),
    ]


def test_a_budget_that_is_not_stated_is_not_checked():
    assert judged(Budgets(None)) == []


def test_half_a_point_fits_into_half_a_point():
    (check,) = judged(Budgets(0.5))
    assert check.measured == pytest.approx(0.5)
    assert check.passes
    assert check.interval == pytest.approx((-1.0, 2.0))


def test_small_classes_are_not_judged():
    (_, check) = judged(Budgets(class_points=1.0, class_rows=40))
    assert "'no', most of 2 classes" in check.name
    assert check.measured == pytest.approx(20)
    (_, check) = judged(Budgets(class_points=1.0, class_rows=100))
    assert "'yes', most of 1 classes" in check.name
    assert len(judged(Budgets(class_points=1.0, class_rows=1000))) == 1


def test_in_multilabel_a_share_of_the_single_decisions_is_judged():
    """One of 28 labels changes in one of ten rows: 10 % of the rows, 0.36 % of the decisions."""
    labels = LabelSet("multilabel", tuple(f"label {at}" for at in range(28)))
    targets = np.tile(np.arange(28) % 2, (10, 1))
    before = np.where(targets == 1, 0.9, 0.1)
    after = before.copy()
    after[3, 5] = 0.1
    found = compare(labels, targets, before, after, metric="f1_macro", split="val")
    (check,) = judged(Budgets(None, flips=0.01), found)
    assert check.passes
    assert check.measured == pytest.approx(100 / 280)
    assert check.line() == (
        "answers changed on val: 0.36 of 1.00 % of rows x labels, kept by 0.64 % of rows x labels"
    )
    assert [flip.row for flip in found.flips] == [3]


@pytest.mark.parametrize(
    ("check", "flag"),
    [
        (Check("", 6.77, 1.0, "% of rows", "flips"), "--recipe.budgets.flips 0.068"),
        (Check("", 1.2, 1.0, "% of rows x labels", "flips"), "--recipe.budgets.flips 0.012"),
        (Check("", 0.69, 0.5, "points", "points"), "--recipe.budgets.points 0.69"),
        (Check("", 123.4, 90.0, "MB", "megabytes"), "--recipe.budgets.megabytes 130"),
    ],
)
def test_a_missed_budget_names_the_setting_that_keeps_it(check, flag):
    assert not check.passes
    assert check.flag() == flag
    assert flags_to_raise([check, Check("", 0.1, 1.0, "ms", "milliseconds")]) == flag
    name, value = flag.removeprefix("--recipe.budgets.").split()
    share = 100 if check.unit.startswith("%") else 1
    assert Check("", check.measured, share * float(value), check.unit, name).passes


def test_classes_of_a_regression_are_refused_and_answers_passed_over():
    Budgets(flips=0.01).check("regression")
    Budgets(class_points=1.0).check("multilabel")
    with pytest.raises(ConfigError, match=r"budgets\.class_points=1\.0 is about classes, and a"):
        Budgets(class_points=1.0).check("regression")


def test_a_regression_has_no_answers_that_flip():
    labels, numbers = LabelSet("regression"), np.arange(9.0)
    found = compare(labels, numbers, numbers, numbers + 0.1, metric="spearman", split="val")
    assert [check.unit for check in judged(Budgets(1.0, 1.0, 1, 0.0), found)] == ["points"]


def test_what_is_missed_says_by_how_much():
    told = missed(judged(Budgets(0.25, milliseconds=3.0, megabytes=20)))
    assert told == (
        "Accuracy lost on test: 0.50 of 0.25 points, missed by 0.25 points; "
        "size of the model file: 24.0 of 20.0 MB, missed by 4.0 MB"
    )


def test_a_miss_is_never_by_nothing():
    assert Check("one text", 2.001, 2.0, "ms", "milliseconds").line().endswith("missed by 0.001 ms")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"points": -1.0}, "budgets.points=-1.0 can never be kept; it has to be in [0, 100]."),
        ({"flips": 1.5}, "budgets.flips=1.5"),
        (
            {"milliseconds": 0.0},
            "budgets.milliseconds=0.0 can never be kept; it has to be above 0.",
        ),
        ({"megabytes": -3.0}, "above 0"),
        ({"class_rows": 0}, "at least 1"),
        ({"points": float("nan")}, "budgets.points=nan"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(settings, told):
    with pytest.raises(ConfigError) as caught:
        Budgets(**settings)
    assert told in str(caught.value)

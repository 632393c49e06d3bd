"""Annotators' agreement, against published and hand-made values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lightning_tune.prepare.quality.agreement import agreement, alpha

# The data of Krippendorff 2011, section C: four observers, twelve units, missing values.
OBSERVERS = {
    "a": "1 2 3 3 2 1 4 1 2 . . .",
    "b": "1 2 3 3 2 2 4 1 2 5 . 3",
    "c": ". 3 3 3 2 3 4 2 2 5 1 .",
    "d": "1 2 3 3 2 4 4 1 2 5 1 .",
}
PUBLISHED = 0.743


def columns(rows: dict[str, str]) -> dict[str, list[str | None]]:
    return {
        name: [None if one == "." else one for one in row.split()] for name, row in rows.items()
    }


def test_the_published_example_has_its_published_alpha():
    found = agreement(columns(OBSERVERS))
    assert found.alpha == pytest.approx(PUBLISHED, abs=5e-4)
    assert found.rows == 11  # the last unit has a single value


def by_definition(units: list[list[str]]) -> float:
    """Observed over expected disagreement, from the matrix of coincidences."""
    names = sorted({one for unit in units for one in unit})
    coincidences = np.zeros((len(names), len(names)))
    for unit in units:
        for one, other in itertools.permutations(unit, 2):
            coincidences[names.index(one), names.index(other)] += 1 / (len(unit) - 1)
    totals = coincidences.sum(axis=0)
    expected = np.outer(totals, totals) - np.diag(totals)
    expected /= totals.sum() - 1
    different = ~np.eye(len(names), dtype=bool)
    return 1 - coincidences[different].sum() / expected[different].sum()


@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_the_coincidence_matrix(seed):
    draw = np.random.default_rng(seed)
    units = [list(draw.choice(["x", "y", "z"], draw.integers(2, 5))) for _ in range(30)]
    assert alpha(units) == pytest.approx(by_definition(units))


def test_full_agreement_is_one_and_chance_is_about_zero():
    assert alpha([["a", "a"], ["b", "b"]]) == 1
    draw = np.random.default_rng(0)
    units = [list(draw.choice(["a", "b"], 2)) for _ in range(4000)]
    assert abs(alpha(units)) < 0.05


def test_alpha_is_undefined_where_nothing_varies_or_nothing_can_be_compared():
    assert alpha([["a", "a"], ["a", "a"]]) is None
    assert agreement({"ann": ["a", None], "bob": [None, "b"]}).alpha is None


def test_each_annotator_is_held_against_the_majority_of_the_others():
    answers = {"ann": ["a", "a", "b", ""], "bob": ["a", "a", "b", "b"], "cat": ["a", "b", "a", "b"]}
    found = agreement(answers)
    assert found.by_annotator["ann"] == 1  # the others agree on the first row alone
    assert found.unanimous == 2


def test_labels_that_stand_against_each_other_are_counted():
    found = agreement({"ann": ["a", "a", "c"], "bob": ["b", "b", "a"]})
    assert found.confused == (("a", "b", 2), ("a", "c", 1))

"""Sizes of classes, against values worked out by hand."""

from __future__ import annotations

import math

import pytest

from lightning_tune.prepare.quality.balance import balance


def test_classes_are_counted_the_largest_first_and_equal_ones_by_name():
    assert list(balance(["b", "c", "c", "a"]).counts.items()) == [("c", 2), ("a", 1), ("b", 1)]


def test_even_classes_are_even():
    found = balance(["a", "b", "c"] * 5)
    assert found.imbalance == 1
    assert found.evenness == pytest.approx(1)
    assert found.rare == ("c", "b", "a")


def test_uneven_classes_have_less_entropy():
    found = balance(["a"] * 9 + ["b"])
    expected = -(0.9 * math.log2(0.9) + 0.1 * math.log2(0.1))
    assert found.imbalance == 9
    assert found.evenness == pytest.approx(expected)
    assert found.rare == ("b", "a")
    assert balance(["a"] * 9 + ["b"], least=2).rare == ("b",)


def test_several_labels_of_a_row_count_each_and_rows_without_one_are_told():
    found = balance([("a", "b"), ("a",), ()])
    assert found.counts == {"a": 2, "b": 1}
    assert found.unlabelled == 1


def test_nothing_is_even():
    assert balance([]).evenness == 1
    assert balance(["a"]).evenness == 1

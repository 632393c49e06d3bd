"""Misreadings of a scanner: characters and pairs, both ways."""

from __future__ import annotations

import pytest

from lightning_tune.words.scans import misread


@pytest.mark.parametrize(
    ("word", "made"),
    [("modem", "rnodem"), ("corner", "comer"), ("clear", "dear"), ("100", "l00"), ("l00", "100")],
)
def test_what_looks_alike_is_taken_for_each_other(word, made):
    assert made in misread(word)


def test_a_misreading_changes_one_place():
    for made in misread("billing"):
        assert made != "billing"
        assert abs(len(made) - len("billing")) <= 1


def test_what_resembles_nothing_stays():
    assert misread("") == []
    assert misread("\u96fb\u5f71") == []

"""Names of labels that look mistyped, and names that do not."""

from __future__ import annotations

import pytest

from lightning_tune.prepare.labelling.naming import slips, tally, told


@pytest.mark.parametrize(
    ("counts", "known", "found"),
    [
        ({"positive": 12, "positve": 1}, (), {"positve": "positive"}),
        ({"positive": 12, "positve": 2}, (), {}),
        ({"positive": 12, "positve": 2}, ("positive",), {"positve": "positive"}),
        ({"positive": 12, "positve": 2}, ("positive", "positve"), {}),
        ({"positive": 12, "positve": 1}, ("positive", "positve"), {"positve": "positive"}),
        ({"positive": 2, "positve": 1}, (), {}),
        ({"Card": 1, "card": 9}, (), {"Card": "card"}),
        ({"ham": 9, "spam": 9, "hem": 1}, (), {}),
        ({"card_1": 9, "card_2": 1}, (), {}),
        ({"10": 9, "100": 1}, (), {}),
        ({"card_not_working": 9, "virtual_card_not_working": 1}, (), {}),
        ({"\u597d\u8bc4": 9, "\u5dee\u8bc4": 1}, (), {}),
        ({"like": 1, "dislike": 9}, (), {}),
        ({}, (), {}),
    ],
)
def test_a_slip_is_rare_and_close_to_what_is_meant(counts, known, found):
    assert slips(counts, known) == found


def test_of_many_names_the_most_frequent_are_told():
    counts = tally([f"c{at:02}" for at in range(14) for _ in range(20 - at)])
    assert told(counts).startswith("c00 20, c01 19, ")
    assert told(counts).endswith("c11 9, and 2 more")

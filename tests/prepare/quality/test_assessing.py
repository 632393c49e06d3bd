"""The step as a whole: what it counts, and what it leaves out where labels are numbers."""

from __future__ import annotations

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.quality.assessing import AssessSettings, assess

TEXTS = [f"my card number {at} is lost" for at in range(30)] + [
    f"send the money {at} back" for at in range(30)
]
LABELS = ["card"] * 30 + ["refund"] * 30


def test_flips_and_strangers_are_counted_and_named():
    texts, labels = list(TEXTS), list(LABELS)
    labels[4], labels[40] = "refund", "card"
    texts[7] = "qzx vvv wqk jjj"
    found = assess(texts, labels, settings=AssessSettings(outliers=8.0))
    assert set(found.suspects.ranked()[:2]) == {4, 40}
    assert found.outliers[0] == 7
    assert found.counts == {
        "rows": 60,
        "classes": 2,
        "rare_classes": 0,
        "suspects": len(found.suspects.ranked()),
        "outliers": len(found.outliers),
    }


def test_of_numbers_neither_suspects_nor_balance_can_be_told():
    found = assess(TEXTS, [float(at) for at in range(60)])
    assert (found.balance, found.suspects) == (None, None)
    assert found.counts["classes"] == 0


def test_what_is_not_asked_for_is_not_done():
    found = assess(TEXTS, LABELS, settings=AssessSettings(suspects=None, outliers=None, rare=31))
    assert (found.suspects, found.outliers) == (None, [])
    assert found.counts["rare_classes"] == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [({"outliers": 0.0}, "quality.outliers=0.0"), ({"rare": -1}, "quality.rare=-1")],
)
def test_settings_out_of_their_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        AssessSettings(**values)

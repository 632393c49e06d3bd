"""How many turns fit into the time, and which settings are none."""

from __future__ import annotations

import math

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune_export.pace import PaceSettings, rounds_in_time


@pytest.mark.parametrize(("seconds", "rounds"), [(math.inf, 15), (1e9, 15), (1e-9, 3)])
def test_time_without_end_allows_all_turns_and_none_allows_three(seconds, rounds):
    settings = PaceSettings(seconds=seconds)
    assert rounds_in_time({"one": lambda batch: None}, {}, settings) == rounds


@pytest.mark.parametrize(
    "wrong", [{"threads": 0}, {"rounds": 0}, {"texts": 0}, {"seconds": 0.0}, {"shapes": ()}]
)
def test_what_measures_nothing_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"measure.{name}( is empty|=)"):
        PaceSettings(**wrong)

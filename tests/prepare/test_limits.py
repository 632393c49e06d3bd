from __future__ import annotations

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.limits import Limit, Limits, check, worst


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("dropped", 0.3, "PASS"),
        ("dropped", 0.31, "WARN"),
        ("dropped", 0.51, "FAIL"),
        ("class_rows", 0.5, "PASS"),
        ("class_rows", 0.4, "WARN"),
    ],
)
def test_a_limit_is_the_last_value_that_is_fine(name, value, verdict):
    limit = Limit(0.5, 0.3) if name == "class_rows" else Limit(0.3, 0.5)
    assert check(name, value, limit).verdict == verdict


def test_a_limit_that_is_null_is_none():
    assert check("dropped", 1.0, Limit()).verdict == "PASS"


def test_the_verdict_is_the_worst():
    checks = [check("dropped", value, Limit(0.3, 0.5)) for value in (0.1, 0.6, 0.4)]
    assert worst(checks) == "FAIL"
    assert worst(checks[::2]) == "WARN"


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ConfigError, match=r"limits\.dropped: warn=0.5 comes after fail=0.1"):
        Limits(dropped=Limit(0.5, 0.1))
    with pytest.raises(ConfigError, match=r"limits\.class_rows"):
        Limits(class_rows=Limit(2, 10))

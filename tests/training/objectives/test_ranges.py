"""What is outside its range is refused in one line: the setting, the value, the rule."""

from __future__ import annotations

import math

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.training.objectives import FGM, PGD, SMART, FGMRDrop, FreeLB, RDrop

ADVERSARIAL = (FGM, PGD, FreeLB, SMART, FGMRDrop)
IN_STEPS = (PGD, FreeLB, SMART)
WRONG = [
    *((kind, {"radius": value}, "radius") for kind in ADVERSARIAL for value in (-0.1, math.nan)),
    (FGM, {"radius": math.inf}, "radius"),
    *((kind, {"norm": "l3"}, "norm") for kind in ADVERSARIAL),
    *((kind, {"clean_epochs": -1}, "clean_epochs") for kind in (*ADVERSARIAL, RDrop)),
    *((kind, {"steps": 0}, "steps") for kind in IN_STEPS),
    *((kind, {"step_size": value}, "step_size") for kind in IN_STEPS for value in (0.0, math.nan)),
    *((kind, {"start": "clean"}, "start") for kind in (PGD, FreeLB)),
    *((kind, {"clean_share": value}, "clean_share") for kind in (FGM, PGD) for value in (-0.1, 1)),
    *((kind, {"weight": -1.0}, "weight") for kind in (RDrop, FGMRDrop)),
    (SMART, {"smoothness": -1.0}, "smoothness"),
    (SMART, {"proximal": math.nan}, "proximal"),
    (SMART, {"momentum": 1.0}, "momentum"),
]


@pytest.mark.parametrize(
    ("kind", "settings", "name"),
    WRONG,
    ids=[f"{kind.__name__} {settings}" for kind, settings, _ in WRONG],
)
def test_a_setting_outside_its_range_is_refused(kind, settings, name):
    with pytest.raises(ConfigError) as caught:
        kind(**settings)
    message = str(caught.value)
    assert message.startswith(f"objective.{name}={settings[name]!r} is ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: FGM(radius=-1.0),
            "objective.radius=-1.0 is not a number from 0 on; 0.1 is the default.",
        ),
        (lambda: PGD(steps=0), "objective.steps=0 is below 1; use 1 or more."),
        (
            lambda: FreeLB(norm="l2_tokens"),
            "objective.norm='l2_tokens' is not one of l2, l2_token, linf. Did you mean 'l2_token'?",
        ),
        (
            lambda: SMART(proximal=-1.0),
            "objective.proximal=-1.0 is not a number from 0 on; 0 leaves it out.",
        ),
    ],
)
def test_the_messages_word_for_word(made, message):
    with pytest.raises(ConfigError) as caught:
        made()
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", [*ADVERSARIAL, RDrop])
def test_the_defaults_are_in_range(kind):
    assert kind() == kind()

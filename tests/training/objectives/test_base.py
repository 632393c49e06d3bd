"""Objectives travel as plain values and come back as they were; all else is refused."""

from __future__ import annotations

import enum
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.models.specs import import_class
from lightning_tune.training.losses import Loss, LossSettings
from lightning_tune.training.objectives import Objective, Plain
from lightning_tune.training.objectives.base import from_spec, spec_of


class Answering(Objective):
    def __call__(self, classifier, batch, loss):
        logits = classifier(batch)
        return self.factor * loss(logits, batch), logits


@dataclass
class Scaled(Answering):
    factor: float = 0.5
    layers: list[int] = field(default_factory=list)
    name: str | None = None
    derived: int = field(default=3, init=False)


class Undecorated(Answering):
    factor = 2.0


class UndecoratedChild(Scaled):
    extra = 1


class Colour(enum.Enum):
    RED = 1


@pytest.fixture
def users_module(monkeypatch):
    """These classes as a module that a user would import."""
    module = types.ModuleType("users_objectives")
    for kind in (Scaled, Undecorated, UndecoratedChild):
        monkeypatch.setattr(kind, "__module__", "users_objectives")
        setattr(module, kind.__name__, kind)
    module.number = 3
    monkeypatch.setitem(sys.modules, "users_objectives", module)
    return module


def test_an_objective_comes_back_from_its_plain_values(users_module, tmp_path):
    spec = spec_of(Scaled(factor=0.25, layers=[1, 2]))
    assert spec == {
        "class_path": "users_objectives.Scaled",
        "init_args": {"factor": 0.25, "layers": [1, 2], "name": None},
    }
    torch.save(spec, tmp_path / "spec.pt")
    again = from_spec(torch.load(tmp_path / "spec.pt", weights_only=True))
    assert again == Scaled(factor=0.25, layers=[1, 2])


def test_a_spec_without_settings_takes_the_defaults(users_module):
    assert from_spec({"class_path": "users_objectives.Scaled"}) == Scaled()


@pytest.mark.parametrize("kind", [Undecorated, UndecoratedChild])
def test_an_objective_that_is_no_dataclass_is_refused(kind):
    with pytest.raises(ConfigError, match=f"{kind.__name__} is not a dataclass; decorate"):
        spec_of(kind())


@pytest.mark.parametrize(
    "value",
    [Path("x"), np.float64(1.0), Colour.RED, [Path("x")], {"a": {1: 2}}, {"a": Colour.RED}, {1, 2}],
)
def test_a_setting_that_a_checkpoint_cannot_hold_is_refused(value):
    with pytest.raises(ConfigError, match=r"has the setting factor=.* a checkpoint cannot hold"):
        spec_of(Scaled(factor=value))


@pytest.mark.parametrize("value", [True, 1, 1.5, "a", None, [1, [2]], (1, 2), {"a": [None]}])
def test_plain_settings_are_accepted(value):
    assert spec_of(Scaled(factor=value))["init_args"]["factor"] == value


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "torch.nn.Linear",
            "Linear is not an Objective.",
        ),
        ("users_objectives.number", "number is not an Objective."),
        ("users_objectives.Scald", r"has no 'Scald'\. Did you mean 'Scaled'\?"),
        ("no_such_module.Scaled", r"cannot be imported \(No module named 'no_such_module'\)"),
        ("Scaled", r"give package\.module\.Class"),
        ("", r"give package\.module\.Class"),
    ],
)
def test_what_is_no_objective_is_refused_in_one_line(path, message, users_module):
    with pytest.raises(ConfigError, match=message) as caught:
        from_spec({"class_path": path, "init_args": {}})
    assert "\n" not in str(caught.value)


def test_settings_that_the_class_does_not_have_are_refused(users_module):
    with pytest.raises(ConfigError, match=r"refuses its init_args: .*'radius'"):
        from_spec({"class_path": "users_objectives.Scaled", "init_args": {"radius": 1}})


def test_the_class_itself_is_imported():
    path = "lightning_tune.training.objectives.plain.Plain"
    assert import_class(path, Objective) is Plain


def test_an_objective_has_to_say_how_a_loss_is_made():
    with pytest.raises(TypeError, match="abstract"):
        Objective()


def test_a_users_objective_is_called_with_classifier_batch_and_loss():
    batch = {"x": torch.eye(2), "labels": torch.tensor([0, 1])}
    loss = Loss("binary", LossSettings(), None)
    value, logits = Scaled(factor=0.5)(lambda given: given["x"] * 2, batch, loss)
    expected = torch.nn.functional.cross_entropy(torch.eye(2) * 2, batch["labels"])
    torch.testing.assert_close(value, expected / 2)
    assert torch.equal(logits, torch.eye(2) * 2)

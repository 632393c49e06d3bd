"""Tunings as plain values, and from them again."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.peft import (
    IA3,
    Adapters,
    BitFit,
    DoRA,
    Full,
    LastLayers,
    LoRA,
    Prefix,
    Tuning,
    as_tuning,
    same_function,
)
from lightning_tune.models.specs import describe_object

ALL = [
    Full(),
    LoRA(rank=3, targets=["query"]),
    DoRA(alpha=2.0),
    IA3(),
    Prefix(tokens=5),
    Adapters("houlsby"),
    BitFit(),
    LastLayers(2),
]


@pytest.mark.parametrize("tuning", ALL)
def test_a_tuning_comes_back_from_its_plain_values(tuning):
    spec = describe_object(tuning, "tuning")
    assert spec["class_path"].rpartition(".")[2] == type(tuning).__name__
    assert as_tuning(spec) == tuning
    assert type(as_tuning(spec)) is type(tuning)


def test_nothing_means_all_weights():
    assert as_tuning(None) == Full()


def test_a_foreign_class_is_not_imported():
    with pytest.raises(CheckpointError, match="not ours"):
        as_tuning({"class_path": "this.would.run.Code", "init_args": {}})


def test_settings_that_the_class_does_not_have_are_refused():
    spec = describe_object(LoRA(), "tuning")
    spec["init_args"]["ranks"] = 3
    with pytest.raises(ConfigError, match=r"tuning .*LoRA refuses its init_args: .*'ranks'"):
        as_tuning(spec)


def test_a_tuning_has_to_say_what_it_trains():
    with pytest.raises(TypeError, match="abstract"):
        Tuning()


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (LoRA(), LoRA(dropout=0.3), True),
        (LoRA(), LoRA(alpha=3.0), False),
        (LoRA(), DoRA(), False),
        (LastLayers(1), LastLayers(2), False),
        (Full(), Full(), True),
    ],
)
def test_only_dropout_may_differ_in_the_same_function(first, second, same):
    assert same_function(first, second) is same


@dataclass
class Norms(Tuning):
    """A user's own: normalisation alone."""

    def trains(self, name, layers):
        return "LayerNorm" in name


def test_a_users_own_tuning_trains_what_it_says(build):
    model = build("bert", Norms())
    below = {n for n, w in model.named_parameters() if w.requires_grad and ".pooler." not in n}
    assert below - {"classifier.weight", "classifier.bias"} == {
        name for name, _ in model.named_parameters() if "LayerNorm" in name
    }

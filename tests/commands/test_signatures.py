"""What classes take, and which class a name in a config means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest

from lightning_tune.commands import signatures
from lightning_tune.errors import ConfigError

if TYPE_CHECKING:
    from nowhere import Unknown


class Shape:
    def __init__(self, size: int, *, name: str | None = None, colour: Any = "red") -> None: ...


class Square(Shape):
    def __init__(self, side: float = 1.0, **kwargs: Any) -> None: ...


class Hidden:
    def __init__(self, value: Unknown, count: int = 3) -> None: ...


@dataclass(frozen=True)
class Group:
    rate: float = 0.1


@dataclass(frozen=True)
class Spec:
    class_path: str
    init_args: dict[str, Any]


def test_parameters_are_those_of_the_constructor():
    found = signatures.parameters(Shape)
    assert found.hints == {"size": int, "name": str | None, "colour": Any}
    assert found.required == ("size",)
    assert found.default_classes["colour"] is str
    assert not found.takes_others


def test_a_class_that_hands_arguments_on_takes_others():
    found = signatures.parameters(Square)
    assert list(found.hints) == ["side"]
    assert found.takes_others


def test_types_that_only_the_type_checker_sees_are_any():
    assert signatures.parameters(Hidden).hints == {"value": Any, "count": Any}


@pytest.mark.parametrize(
    ("hint", "bases"),
    [
        (int, ()),
        (Shape, (Shape,)),
        (list[Shape] | Shape | None, (Shape,)),
        (Iterable[Shape] | bool, (Shape,)),
        (dict[str, Shape], ()),
        (str | timedelta, ()),
        (Group, ()),
    ],
)
def test_classes_that_a_config_can_make_are_found_in_a_type(hint, bases):
    assert signatures.bases_in(hint) == bases


def test_the_plain_part_of_a_type():
    assert signatures.without_classes(Shape | str | None) == str | None
    assert signatures.without_classes(Shape) is None


def test_groups_and_specs_are_told_apart():
    assert signatures.group_in(Group | None) is Group
    assert signatures.group_in(int) is None
    assert signatures.is_spec(Spec)
    assert not signatures.is_spec(Group)


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (float, "a float"),
        (int | None, "an int or null"),
        (list[str] | None, "a list of texts or null"),
        (tuple[float, float], "a list of 2 floats"),
        (tuple[str, ...], "a list of texts"),
        (dict[str, int], "a mapping"),
        (Literal["a", "b"] | bool, "one of a, b or a bool"),
        (Literal["a"] | Literal["a", 1], "one of a, 1"),
        (timedelta, "a timedelta"),
        (list, "a list"),
    ],
)
def test_a_type_is_told_in_words(hint, expected):
    assert signatures.describe(hint)[0] == expected


def test_a_bare_name_means_a_subclass():
    assert signatures.find_class("Square", (Shape,)) is Square


def test_a_dotted_path_means_that_class():
    path = "lightning.pytorch.callbacks.EarlyStopping"
    callback = signatures.find_class("lightning.pytorch.callbacks.Callback", (object,))
    assert signatures.find_class(path, (callback,)).__name__ == "EarlyStopping"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Sqare",
            "there is no class 'Sqare'; a class of your own is named package.module.Class.",
        ),
        (
            "no.such.Thing",
            "'no.such' cannot be imported (No module named 'no'); run from its folder with "
            "python -m, or install it.",
        ),
        (
            ".Thing",
            "'.Thing' names no module; give package.module.Class.",
        ),
        (
            "collections.Countre",
            "collections has no 'Countre'. Did you mean 'Counter'?",
        ),
        ("collections.Counter", "Counter is not a Shape."),
        ("os.path.join", "join is not a Shape."),
    ],
)
def test_a_name_without_a_class_is_refused(name, message):
    with pytest.raises(ConfigError) as caught:
        signatures.find_class(name, (Shape,))
    assert str(caught.value) == message


def test_the_three_groups_have_their_classes():
    assert {key: kind.__name__ for key, kind in signatures.group_classes().items()} == {
        "trainer": "Trainer",
        "model": "TextClassifier",
        "data": "TextDataModule",
    }

"""Recipes by name: `--recipe` and the key `recipe` of a config take a file or a shipped name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from lightning_tune.commands.settings import read_yaml
from lightning_tune.errors import ConfigError
from lightning_tune.serving.typed import decode

RECIPE = "--recipe"


def named_recipe(
    args: Sequence[str], kind: type, find: Callable[[str], str], *, default: str | None = None
) -> tuple[list[str], str]:
    """Replace the value of --recipe by the path of the file that it means; return its name too.

    A config that names one (`recipe: strict`) stands in the words as text without that key.

    Args:
        args: The words after the command.
        kind: The dataclass that a recipe is.
        find: Returns the path of the file that a name means.
        default: The recipe where none is named; None: the defaults of the dataclass.

    Raises:
        ConfigError: if there is no such recipe, or it is none.
    """
    args, stated = _without_names(args)
    words, recipe = [], stated or default
    places = iter(range(len(args)))
    for at in places:
        flag, equals, value = args[at].partition("=")
        if flag != RECIPE:
            words.append(args[at])
            continue
        if not equals and at + 1 == len(args):
            raise ConfigError("--recipe needs the name of a recipe after it.")
        recipe = value if equals else args[next(places)]
    if recipe is None:
        return words, ""
    path = find(recipe)
    check_recipe(path, kind)
    return [f"{RECIPE}={path}", *words], Path(recipe).stem


def _without_names(args: Sequence[str]) -> tuple[list[str], str | None]:
    """Take the name of a recipe out of the configs; of several the last."""
    words, name = list(args), None
    for at, word in enumerate(args):
        flag, equals, value = word.partition("=")
        if flag not in ("-c", "--config") or (not equals and at + 1 == len(args)):
            continue
        file = value if equals else args[at + 1]
        values = dict(read_yaml(file))
        if isinstance(values.get("recipe"), str):
            name = str(values.pop("recipe"))
            rest = yaml.safe_dump(values)
            words[at if equals else at + 1] = f"{flag}={rest}" if equals else rest
    return words, name


def check_recipe(path: str, kind: type) -> None:
    """Refuse a file that is no recipe, with the nearest setting where one is mistyped.

    Raises:
        ConfigError: saying what is wrong, and in which file.
    """
    values = read_yaml(path)
    if not values:
        raise ConfigError(f"{path} holds no setting; write one, or leave --recipe out.")
    try:
        decode(kind, values)
    except ValueError as err:
        fix = "" if str(err).endswith("?") else "; correct the recipe."
        raise ConfigError(f"{path}: {err}{fix}") from err
    except ConfigError as err:
        raise ConfigError(str(err) if path in str(err) else f"{path}: {err}") from err

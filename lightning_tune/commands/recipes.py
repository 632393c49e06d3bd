"""Recipes on the command line: `--recipe` takes a file, or the bare name of a shipped one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lightning_tune.commands.settings import read_yaml
from lightning_tune.errors import ConfigError
from lightning_tune.serving.typed import decode

RECIPE = "--recipe"


def named_recipe(
    args: Sequence[str], kind: type, find: Callable[[str], str], *, default: str | None = None
) -> tuple[list[str], str]:
    """Replace the value of --recipe by the path of the file that it means; return its name too.

    Args:
        args: The words after the command.
        kind: The dataclass that a recipe is.
        find: Returns the path of the file that a name means.
        default: The recipe where none is named; None: the defaults of the dataclass.

    Raises:
        ConfigError: if there is no such recipe, or it is none.
    """
    words, recipe = [], default
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

"""Files that the package ships, found by a bare name."""

from __future__ import annotations

from pathlib import Path

from lightning_tune.errors import ConfigError, nearest


def shipped_in(folder: Path) -> dict[str, Path]:
    """Return the YAML files of a folder by bare name."""
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def find_recipe_in(folder: Path, name: str, *, written: str) -> str:
    """Return the path of a recipe: a file that is there, else a shipped one of that name.

    Args:
        folder: The shipped recipes.
        name: As the user wrote it.
        written: How a checkout's users write that folder, such as `export/recipes`.

    Raises:
        ConfigError: if there is neither, with the nearest name.
    """
    if Path(name).is_file():
        return name
    shipped = shipped_in(folder)
    bare = Path(name).name.removesuffix(".yaml")
    if bare in shipped and name in (bare, f"{bare}.yaml", f"{written}/{bare}.yaml"):
        return str(shipped[bare])
    raise ConfigError(
        f"recipe {name!r} is neither a file here nor a shipped recipe ({', '.join(shipped)})."
        + nearest(bare, shipped)
    )

"""The recipe of a data set: each step of `prepare` and its settings, as YAML holds them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lightning_tune.errors import without_password
from lightning_tune.prepare.augment.augmenting import AugmentSettings
from lightning_tune.prepare.cleaning import CleanSettings
from lightning_tune.prepare.collect.inputs import Input
from lightning_tune.prepare.duplicates import DuplicateSettings
from lightning_tune.prepare.languages import LanguageSettings
from lightning_tune.prepare.limits import Limits
from lightning_tune.prepare.near import NearSettings
from lightning_tune.prepare.privacy import PrivacySettings
from lightning_tune.prepare.quality_step import LookSettings
from lightning_tune.prepare.splitting import SplitSettings
from lightning_tune.prepare.truncation import TokenSettings
from lightning_tune.tables.shipped import find_recipe_in


@dataclass(frozen=True)
class Recipe:
    """What is done to raw rows, in this order.

    Args:
        inputs: Inputs with columns or formats of their own; --input takes their place.
        clean: What is cleaned. Rows without text or label are always dropped.
        languages: Which languages stay; null: they are not looked at.
        privacy: What is redacted; null: nothing.
        duplicates: What becomes of texts that stand several times in train.
        near: How near duplicates are found; null: they are not looked for.
        split: How rows are divided.
        quality: What is looked for in labels and texts of train; null: nothing.
        augment: What edited copies of its rows train gets; null: none.
        tokens: What the lengths of the texts that are written are measured with; null: nothing.
        limits: What the report holds the figures against.
    """

    inputs: tuple[Input, ...] = ()
    clean: CleanSettings = CleanSettings()  # noqa: RUF009  # frozen
    languages: LanguageSettings | None = None
    privacy: PrivacySettings | None = PrivacySettings()  # noqa: RUF009  # frozen
    duplicates: DuplicateSettings = DuplicateSettings()  # noqa: RUF009  # frozen
    near: NearSettings | None = NearSettings()  # noqa: RUF009  # frozen
    split: SplitSettings = SplitSettings()  # noqa: RUF009  # frozen
    quality: LookSettings | None = LookSettings()  # noqa: RUF009  # frozen
    augment: AugmentSettings | None = None
    tokens: TokenSettings | None = None
    limits: Limits = Limits()  # noqa: RUF009  # frozen


def recipe_folder() -> Path:
    """Return the folder of the shipped recipes: inside the package, or the checkout's."""
    inside = Path(str(resources.files("lightning_tune") / "configs" / "prepare"))
    return inside if inside.is_dir() else Path(__file__).parents[2] / "configs" / "prepare"


def find_recipe(name: str) -> str:
    """Return the path of a recipe: a file that is there, else a shipped one of that name.

    Raises:
        ConfigError: if there is neither, with the nearest name.
    """
    return find_recipe_in(recipe_folder(), name, written="configs/prepare")


def shown(recipe: Recipe) -> dict[str, Any]:
    """Return the settings as plain values that may be shown: no password, no secret."""
    values = asdict(recipe)
    for one in values["inputs"]:
        one["path"] = without_password(one["path"])
    return values

"""An export's recipe: what is done to the model, and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from lightning_tune.errors import ConfigError
from lightning_tune.tables.shipped import find_recipe_in, shipped_in
from lightning_tune_export.budgets import Budgets
from lightning_tune_export.candidates import QuantizeSettings
from lightning_tune_export.pace import PaceSettings
from lightning_tune_export.prune.pruning import PruneSettings


@dataclass(frozen=True)
class Recipe:
    """What an export does.

    Args:
        budgets: What may be lost and spent.
        prune: How much of the encoder goes; null: nothing.
        vocabulary: Whether tokens that train does not have go too.
        quantize: Which int8 graphs are made; null: none.
        texts: Texts of train that the ranges of int8 are read from, at least 1.
        calibrate: Whether temperature and, in multi-label tasks, thresholds are fitted.
        measure: How speed is measured.
        resamples: Bootstrap resamples of the intervals on test, at least 100.
    """

    budgets: Budgets = Budgets()  # noqa: RUF009  # frozen
    prune: PruneSettings | None = None
    vocabulary: bool = False
    quantize: QuantizeSettings | None = None
    texts: int = 256
    calibrate: bool = True
    measure: PaceSettings = PaceSettings()  # noqa: RUF009  # frozen
    resamples: int = 1000

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise ConfigError(f"resamples={self.resamples} has to be at least 100.")
        if self.texts < 1:
            raise ConfigError(f"texts={self.texts} has to be at least 1.")

    @property
    def prunes(self) -> bool:
        """Whether the model changes its shape."""
        return self.prune is not None or self.vocabulary

    @property
    def needs_train(self) -> bool:
        """Whether statistics of the training split are needed."""
        return self.prunes or self.quantize is not None


def recipe_folder() -> Path:
    """Return the folder of the shipped recipes: inside the package, or the checkout's."""
    inside = Path(str(resources.files("lightning_tune_export") / "recipes"))
    return inside if inside.is_dir() else Path(__file__).parents[1] / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """Return the shipped recipes by bare name."""
    return shipped_in(recipe_folder())


def find_recipe(name: str) -> str:
    """Return the path of a recipe: a file that is there, else a shipped one of that name.

    Raises:
        ConfigError: if there is neither, with the nearest name.
    """
    return find_recipe_in(recipe_folder(), name, written="export/recipes")

"""`export`: write a checkpoint as a bundle that needs no PyTorch, inside stated budgets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_tune.commands.from_checkpoint import find_checkpoint
from lightning_tune.commands.parsing import run_function
from lightning_tune.commands.settings import Setting
from lightning_tune_export.recipe import Recipe, find_recipe
from lightning_tune_export.source import DataOverrides

RECIPE = "--recipe"


def main(name: str, args: Sequence[str]) -> int:
    """Run the command."""
    return run_function(export, name, args)

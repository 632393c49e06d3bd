"""`export`: write a checkpoint as a bundle that needs no PyTorch, inside stated budgets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

from lightning_tune.cli import PROGRAM
from lightning_tune.commands.from_checkpoint import check_target, find_checkpoint
from lightning_tune.commands.parsing import FunctionParser, as_hinted
from lightning_tune.commands.recipes import named_recipe
from lightning_tune.commands.settings import Setting, given
from lightning_tune.commands.unwinding import unwinding
from lightning_tune.tables.folders import check_output
from lightning_tune_export.recipe import Recipe, find_recipe
from lightning_tune_export.source import DataOverrides


def main(name: str, args: Sequence[str]) -> int:
    """Run the command; a recipe is a file, or the bare name of a shipped one."""
    words, recipe = named_recipe(args, Recipe, find_recipe, default="int8")
    parser = FunctionParser(prog=f"{PROGRAM} {name}", allow_abbrev=False)
    parser.add_argument(
        "-c", "--config", action=ActionConfigFile, help="A YAML file with these options."
    )
    parser.add_function_arguments(export, as_positional=False, sub_configs=True, skip={"name"})
    parser.settings = given(args)
    parser.options = [flag for action in parser._actions for flag in action.option_strings]
    values = parser.parse_args(words).as_dict()
    values.pop("config", None)
    for settings in (values["recipe"], values["data"]):
        settings.pop("__path__", None)  # of the file it is from
    export(**as_hinted(export, values), name=recipe)
    return 0


def export(
    checkpoint: str,
    output: str,
    recipe: Recipe,
    data: DataOverrides = DataOverrides(),  # noqa: B008  # frozen
    backbone: str | None = None,
    pruned: str | None = None,
    track: bool = True,
    name: str = "",
) -> None:
    """Prune, quantize and write a checkpoint as a bundle; verified, and inside its budgets.

    The winner among all candidates is chosen on validation. The test split is read once, for it:
    if it misses a budget there, the command fails with exit code 3 and no bundle is written.

    Args:
        checkpoint: The checkpoint, or `last` or `best` of the newest run below runs.
        output: The folder to write; it must be new or empty.
        recipe: What is done, and what it may cost: fp32, int8 (the default), pruned-int8, or a YAML
            file of your own.
        data: Data that takes the place of the checkpoint's.
        backbone: Where the backbone is now, of a checkpoint that holds only what was trained.
        pruned: A .ckpt file to write too: the pruned model, to be tested, tuned or exported again.
        track: Add table, figures and bundle to the W&B run of the checkpoint, where it has one.
        name: Name of the recipe.

    Raises:
        CheckpointError: if the checkpoint is missing, damaged or foreign.
        ConfigError: if the output is no new folder, or a setting is wrong.
        GateError: if nothing keeps the budgets.
    """
    from lightning_tune_export.pipeline import export_bundle
    from lightning_tune_export.source import read_source
    from lightning_tune_export.tracking import track as add_to_run

    check_output(Path(output))
    path = str(
        find_checkpoint("export", [Setting("ckpt_path", checkpoint, "--checkpoint")], "runs")
    )
    if pruned is not None:
        check_target(pruned, path)
    source = read_source(path, data, backbone=backbone)
    kept = None if pruned is None else Path(pruned)
    with unwinding():
        report = export_bundle(source, recipe, Path(output), name=name, pruned=kept)
    if track:
        add_to_run(report, Path(output), source.checkpoint, path)
    command = f"score --bundle {output} --input new.csv --output predictions.parquet"
    print(f"next             {PROGRAM} {command}")

"""`export`: write a checkpoint as a bundle that needs no PyTorch, inside stated budgets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

from lightning_tune.cli import PROGRAM
from lightning_tune.commands.from_checkpoint import check_target, find_checkpoint
from lightning_tune.commands.parsing import FunctionParser, as_hinted
from lightning_tune.commands.score import unwinding
from lightning_tune.commands.settings import Setting, given, read_yaml
from lightning_tune.errors import ConfigError
from lightning_tune.serving.typed import decode
from lightning_tune_export.bundle import check_output
from lightning_tune_export.recipe import Recipe, find_recipe
from lightning_tune_export.source import DataOverrides

RECIPE = "--recipe"


def main(name: str, args: Sequence[str]) -> int:
    """Run the command; a recipe is a file, or the bare name of a shipped one."""
    args, recipe = named_recipe(args)
    parser = FunctionParser(prog=f"{PROGRAM} {name}", allow_abbrev=False)
    parser.add_argument(
        "-c", "--config", action=ActionConfigFile, help="A YAML file with these options."
    )
    parser.add_function_arguments(export, as_positional=False, sub_configs=True, skip={"name"})
    parser.settings = given(args)
    parser.options = [flag for action in parser._actions for flag in action.option_strings]
    values = parser.parse_args(args).as_dict()
    values.pop("config", None)
    for settings in (values["recipe"], values["data"]):
        settings.pop("__path__", None)  # of the file it is from
    export(**as_hinted(export, values), name=recipe)
    return 0


def named_recipe(args: Sequence[str]) -> tuple[list[str], str]:
    """Replace the value of --recipe by the path of the file that it means; return its name too.

    Raises:
        ConfigError: if there is no such recipe.
    """
    words, recipe = [], "int8"
    places = iter(range(len(args)))
    for at in places:
        flag, equals, value = args[at].partition("=")
        if flag != RECIPE:
            words.append(args[at])
            continue
        if not equals and at + 1 == len(args):
            raise ConfigError("--recipe needs the name of a recipe after it.")
        recipe = value if equals else args[next(places)]
    path = find_recipe(recipe)
    check_recipe(path)
    return [f"{RECIPE}={path}", *words], Path(recipe).stem


def check_recipe(path: str) -> None:
    """Refuse a file that is no recipe, with the nearest setting where one is mistyped.

    Raises:
        ConfigError: saying what is wrong, and in which file.
    """
    try:
        decode(Recipe, read_yaml(path))
    except ValueError as err:
        fix = "" if str(err).endswith("?") else "; correct the recipe."
        raise ConfigError(f"{path}: {err}{fix}") from err
    except ConfigError as err:
        raise ConfigError(str(err) if path in str(err) else f"{path}: {err}") from err


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

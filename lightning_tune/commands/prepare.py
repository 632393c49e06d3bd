"""`prepare`: from raw files to clean splits without leaks, and a report of what they were."""

from __future__ import annotations

import json
import shlex
import time as clock
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

from lightning_tune.cli import PROGRAM
from lightning_tune.commands.crossfitting import EncoderSettings, cross_fitted
from lightning_tune.commands.flags import own_flags
from lightning_tune.commands.parsing import FunctionParser, as_hinted
from lightning_tune.commands.recipes import named_recipe
from lightning_tune.commands.settings import given
from lightning_tune.commands.unwinding import unwinding
from lightning_tune.errors import ConfigError, GateError
from lightning_tune.prepare.collect.columns import Columns
from lightning_tune.prepare.collect.database import is_database
from lightning_tune.prepare.collect.inputs import Input, Reading
from lightning_tune.prepare.notes import joined_classes
from lightning_tune.prepare.pipeline import Found, Job, run
from lightning_tune.prepare.quality.folds import FitPredict
from lightning_tune.prepare.recipe import Recipe, find_recipe
from lightning_tune.prepare.report.record import PrepareReport
from lightning_tune.prepare.report.text import show
from lightning_tune.prepare.reporting import report_of
from lightning_tune.prepare.writing import SUSPECTS, has_suspects, write_prepared
from lightning_tune.schema import TaskKind
from lightning_tune.serving.cpu import usable_cores
from lightning_tune.tables import TableFormat
from lightning_tune.tables.folders import check_output

SEVERAL = ("--input", "--val", "--test")
_WORTH_PROCESSES = 20_000_000  # bytes; below it a process starts for longer than it works


def main(name: str, args: Sequence[str]) -> int:
    """Run the command; --input, --val and --test may be given several times."""
    words, _ = named_recipe(args, Recipe, find_recipe)
    words = gathered(words)
    parser = FunctionParser(prog=f"{PROGRAM} {name}", allow_abbrev=False)
    parser.add_argument(
        "-c", "--config", action=ActionConfigFile, help="A YAML file with these options."
    )
    parser.add_function_arguments(prepare, as_positional=False, sub_configs=True)
    parser.settings = given(args)
    parser.options = [flag for action in parser._actions for flag in action.option_strings]
    values = parser.parse_args(words).as_dict()
    values.pop("config", None)
    values["recipe"].pop("__path__", None)  # of the file it is from
    prepare(**as_hinted(prepare, values))
    return 0


def gathered(args: Sequence[str]) -> list[str]:
    """Make one list of what a flag that may be given several times names.

    >>> gathered(["--input", "a.csv", "--input=b.csv", "--output", "out"])
    ['--output', 'out', '--input=["a.csv", "b.csv"]']
    """
    words: list[str] = []
    named: dict[str, list[str]] = {}
    places = iter(range(len(args)))
    for at in places:
        flag, equals, value = args[at].partition("=")
        if flag not in SEVERAL:
            words.append(args[at])
            continue
        if not equals and at + 1 == len(args):
            raise ConfigError(f"{flag} needs a value after it.")
        named.setdefault(flag, []).extend(_listed(value if equals else args[next(places)]))
    return [*words, *(f"{flag}={json.dumps(values)}" for flag, values in named.items())]


def _listed(value: str) -> list[str]:
    """Return what a value names: itself, or the items of a YAML list."""
    if not (value.startswith("[") and value.endswith("]")):
        return [value]
    try:
        return [str(item) for item in yaml.safe_load(value)]
    except yaml.YAMLError:
        return [value]


def prepare(
    output: str,
    input: list[str] | str | None = None,
    val: list[str] | str | None = None,
    test: list[str] | str | None = None,
    text: str = "text",
    text_pair: str | None = None,
    label: str | None = "label",
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    annotators: list[str] | None = None,
    columns: list[str] | None = None,
    format: TableFormat = TableFormat(),  # noqa: B008  # frozen
    label_separator: str | None = None,
    task: TaskKind | None = None,
    query: str | None = None,
    on_bad_rows: Literal["refuse", "skip"] = "refuse",
    recipe: Recipe = Recipe(),  # noqa: B008  # frozen
    processes: int | None = None,
    encoder: EncoderSettings = EncoderSettings(),  # noqa: B008  # frozen
) -> None:
    """Turn raw labelled text into clean splits without leaks, and say what was found.

    Args:
        output: The folder to write; it must be new or empty. `fit --data.train FOLDER` reads it.
        input: Files, globs, folders of text files by class, URLs, databases, builtin:NAME or
            hub:NAME; give it several times for several.
        val: Validation data of your own; none is split off then, and its texts leave train.
        test: Test data of your own; none is split off then, and its texts leave train.
        text: Column of the text.
        text_pair: Column of the second text.
        label: Column of the label; null: there are no labels.
        weight: Column of the sample weight.
        group: Column of what rows belong to, for recipe.split.by=group.
        time: Column of when a row came to be, for recipe.split.by=time.
        annotators: Columns of the labels that single people gave; the report says how far they
            agree. They are not written.
        columns: Names of the columns, where a csv or tsv file has no header line.
        format: How files are written; the default goes by their extension.
        label_separator: What stands between the names in one string of a multi-label row.
        task: The task kind; null: recognised.
        query: What to ask the databases among the inputs: a SELECT.
        on_bad_rows: Whether a row that cannot be read stops the command (refuse) or is dropped and
            counted (skip).
        recipe: What is done: a YAML file, or the name of a shipped one; the default is described in
            docs/prepare.md.
        processes: How many processes work; null: one for each core, where the input is large. The
            result is the same.
        encoder: The backbone of recipe.quality.mode encoder.

    Raises:
        DataError: if an input cannot be used, or a step would empty a class or a split.
        ConfigError: if the output is no new folder, or a setting is wrong.
        GateError: if the data misses a limit; the folder then holds the report without the splits.
    """
    check_output(Path(output))
    inputs = recipe.inputs if input is None else _inputs(input, query)
    own = [*_inputs(val or [], query), *_inputs(test or [], query)]
    if query is not None and not any(one.query for one in (*inputs, *own)):
        raise ConfigError("--query is for databases, and no input is one; leave it out.")
    reading = Reading(
        Columns(text, text_pair, label, weight, group, time, tuple(annotators or ())),
        None if columns is None else tuple(columns),
        format,
        label_separator,
        on_bad_rows,
    )
    job = Job(
        inputs,
        _inputs(val or [], query),
        _inputs(test or [], query),
        reading,
        task,
        recipe,
        _processes([*inputs, *own]) if processes is None else processes,
        fitting=partial(_fitting, encoder, recipe),
    )
    start = clock.perf_counter()
    with own_flags(prepare), unwinding():
        found = run(job)
        report = report_of(found, job)
        write_prepared(Path(output), found, report)
    seconds = clock.perf_counter() - start
    show(report)
    if report.verdict != "FAIL" and has_suspects(found):
        _say_suspects(found, Path(output))
    _finish(report, output, seconds, joined_classes(found))


def _inputs(paths: Sequence[str] | str, query: str | None) -> tuple[Input, ...]:
    paths = [paths] if isinstance(paths, str) else paths
    return tuple(Input(path, query if is_database(path) else None) for path in paths)


def _processes(inputs: Sequence[Input]) -> int:
    """Return one, or the number of cores where the files are large."""
    files = [Path(one.path) for one in inputs if "://" not in one.path]
    size = sum(file.stat().st_size for file in files if file.is_file())
    return usable_cores() if size >= _WORTH_PROCESSES else 1


def _fitting(
    encoder: EncoderSettings, recipe: Recipe, names: Sequence[str], several: bool
) -> FitPredict:
    """Return what tunes the backbone on some rows and answers other texts."""
    seed = 0 if recipe.quality is None else recipe.quality.seed
    return cross_fitted(names, encoder, several=several, seed=seed)


def _say_suspects(found: Found, output: Path) -> None:
    count = 0 if found.looked is None else found.looked.counts["suspects"]
    table = output / SUSPECTS
    print(f"{'suspects':<16} {table} ({count:,} rows whose label may be wrong, for you to look at)")
    print(f"{'':<16} {PROGRAM} review --data {output} --apply {table}")


def _finish(report: PrepareReport, output: str, seconds: float, why: str) -> None:
    """Say where the report is and what comes next; `why` may explain a limit that is missed."""
    rate = report.rows["read"] / max(seconds, 1e-9)
    print(f"{'report':<16} {Path(output) / 'report.html'} ({seconds:.1f} s, {rate:,.0f} rows/s)")
    if report.verdict == "FAIL":
        missed = ", ".join(
            f"{each.name} is {each.value:g}, its limit {each.fail:g}"
            for each in report.checks
            if each.verdict == "FAIL"
        )
        raise GateError(
            f"the data misses a limit: {missed}; {output} holds the report, and no splits."
            + (why and f" {why}")
        )
    print(f"{'next':<16} {PROGRAM} fit -c quickstart --data.train {shlex.quote(output)}")

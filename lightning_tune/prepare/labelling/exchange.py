"""Writing a batch to label, and reading it back: tables, Label Studio, Argilla."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from lightning_tune.errors import ConfigError, DataError, nearest
from lightning_tune.prepare.labelling import argilla, label_studio
from lightning_tune.prepare.labelling.batch import Given, Question, agreed, names_in
from lightning_tune.prepare.sheets import RowName, label_of, read_sheet, write_sheet
from lightning_tune.tables import TableFormat, replace_file
from lightning_tune.tables.records import shorten

Tool = Literal["table", "label-studio", "argilla"]
TOOLS: tuple[Tool, ...] = get_args(Tool)


def write_batch(
    path: Path, questions: Sequence[Question], *, tool: Tool, names: Sequence[str], several: bool
) -> list[Path]:
    """Write texts to label; only their owner may read the file.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file for a table, else a .json file.
        questions: The texts.
        tool: What reads the file.
        names: The labels there are, where they are known.
        several: Whether several may hold.

    Returns:
        The files that were written: for Label Studio the interface stands beside the tasks.

    Raises:
        ConfigError: if the tool is unknown, or the extension is not one of its.
    """
    if tool not in TOOLS:
        raise ConfigError(
            f"tool={tool!r} is not one of {', '.join(TOOLS)}.{nearest(str(tool), TOOLS)}"
        )
    if tool == "table":
        write_sheet(path, _columns(questions))
        return [path]
    if path.suffix != ".json":
        raise ConfigError(
            f"{path}: {tool} reads JSON; name a file that ends in .json, or set tool to table."
        )
    if tool == "argilla":
        _write_json(path, argilla.records(questions))
        return [path]
    pairs = any(one.text_pair is not None for one in questions)
    view = path.with_suffix(".xml")
    _write_json(path, label_studio.tasks(questions))
    with replace_file(view, private=True) as temporary:
        temporary.write_text(
            label_studio.interface(names, several=several, pairs=pairs) + "\n", encoding="utf-8"
        )
    return [path, view]


def read_batch(source: str, *, several: bool, format: TableFormat) -> list[Given]:
    """Read the labels that people gave, one a row: where several did, that of the majority.

    Args:
        source: A table with the columns row and label (Label Studio's CSV is one), or a JSON file
            that Label Studio or Argilla exported.
        several: Whether several labels may hold.
        format: How a table is written.

    Raises:
        DataError: if it cannot be read, holds no label, or the votes on a row are even.
    """
    given = given_in(source, several=several, format=format)
    if not given:
        raise DataError(f"{source} holds no label; fill in the column label, then apply it.")
    return agreed(given)


def given_in(source: str, *, several: bool, format: TableFormat) -> list[Given]:
    """Read the labels of such a file, one for each person who gave one; it may hold none.

    Raises:
        DataError: if it cannot be read.
    """
    if source.lower().endswith(".json"):
        return _read_json(source, several=several)
    return _read_table(source, several=several, format=format)


def suggestions_in(source: str, *, format: TableFormat) -> set[str]:
    """Return the names that a table suggests; of other files, whose labels are clicked, none."""
    if source.lower().endswith(".json"):
        return set()
    cells = read_sheet(source, ["row"], optional=["suggestion"], format=format).columns
    found = [label_of(cell, several=True) for cell in cells.get("suggestion", [])]
    return {str(name) for label in found if isinstance(label, tuple) for name in label}


def _columns(questions: Sequence[Question]) -> dict[str, list[Any]]:
    pairs = any(one.text_pair is not None for one in questions)
    return {
        "row": [str(one.row) for one in questions],
        "text": [one.text for one in questions],
        **({"text_pair": [one.text_pair for one in questions]} if pairs else {}),
        "label": ["" for _ in questions],
        "suggestion": [_listed(one.suggestion) for one in questions],
        "score": [one.score for one in questions],
    }


def _listed(label: object) -> object:
    return list(label) if isinstance(label, tuple) else label


def _write_json(path: Path, values: list[dict[str, Any]]) -> None:
    with replace_file(path, private=True) as temporary:
        temporary.write_text(
            json.dumps(values, ensure_ascii=False, indent=1) + "\n",
            encoding="utf-8",
            errors="backslashreplace",
        )


def _read_table(source: str, *, several: bool, format: TableFormat) -> list[Given]:
    sheet = read_sheet(source, ["row", "label"], format=format)
    found = []
    for at, (name, cell) in enumerate(
        zip(sheet.columns["row"], sheet.columns["label"], strict=True)
    ):
        where = sheet.where(at)
        value = _choices(cell, where)
        label = (
            label_of(cell, several=several)
            if value is None
            else names_in(value, several=several, where=where)
        )
        if label is not None:
            found.append(Given(RowName.parse(name, where), label, where))
    return found


def _choices(cell: Any, where: str) -> Any:
    """Return the choices that a cell of Label Studio's CSV holds, None if it is of another kind."""
    if not isinstance(cell, str) or not cell.lstrip().startswith('{"choices"'):
        return None
    try:
        return label_studio.choices_in(json.loads(cell))
    except ValueError:
        raise DataError(f"{where}: the label {shorten(cell)} is torn; export again.") from None


def _read_json(source: str, *, several: bool) -> list[Given]:
    try:
        exported = json.loads(Path(source).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise DataError(f"{source} cannot be read as JSON: {err}.") from err
    if not isinstance(exported, list):
        raise DataError(f"{source} is no list of tasks or records; export it as JSON.")
    reader = argilla if argilla.is_export(exported) else label_studio
    try:
        return list(reader.answers(exported, source, several=several))
    except (KeyError, TypeError, AttributeError) as err:
        raise DataError(
            f"{source} is laid out in a way that neither Label Studio nor Argilla exports "
            f"({type(err).__name__}: {err}); export it as JSON, or as CSV."
        ) from err

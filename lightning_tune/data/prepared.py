"""A folder that `prepare` wrote, as data: its splits, what they mean, and what its report found."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from lightning_tune.errors import DataError
from lightning_tune.schema import TASK_KINDS, Split, TaskKind
from lightning_tune.tables import Fields, TableFormat, digest, read_header

MANIFEST = "prepare.json"
SPLITS: tuple[Split, ...] = ("train", "val", "test")
_COLUMNS = ("text", "text_pair", "label", "weight")
_NO_FIGURES = {
    *("schema", "task", "labels", "steps", "sources", "classes", "lengths", "histograms"),
    *("languages", "checks", "recipe", "notes"),
}
"""What of a report names classes, files or settings, or has too much of it for a few figures."""

log = logging.getLogger(__name__)


def is_prepared(spec: str) -> bool:
    """Return whether it is a folder that `prepare` wrote."""
    return "://" not in spec and (_folder(spec) / MANIFEST).is_file()


def check_passed(spec: str) -> None:
    """Refuse a folder in which `prepare` left its report without splits.

    Raises:
        DataError: naming the report's page.
    """
    path = _folder(spec) / "report.json"
    if "://" in spec or not path.is_file():
        return
    try:
        failed = json.loads(path.read_text(encoding="utf-8"))["verdict"] == "FAIL"
    except (OSError, ValueError, KeyError, TypeError):  # a report of another kind
        return
    if failed:
        raise DataError(
            f"{spec} has a report of prepare and no splits, as its verdict is FAIL; see "
            f"{path.with_suffix('.html')}."
        )


def prepared_files(spec: str) -> dict[Split, Path]:
    """Return the files of the splits that a prepared folder has."""
    files: dict[Split, Path] = {split: _folder(spec) / f"{split}.parquet" for split in SPLITS}
    return {split: file for split, file in files.items() if file.is_file()}


def prepared_fields(spec: str, fields: Fields) -> Fields:
    """Take columns from the folder's prepare.json that the user left at their defaults.

    A column that is stated but not there is one of the raw data, as in the config that reads it:
    the folder's own takes its place, and one line says so.

    Raises:
        DataError: if prepare.json does not say what its columns mean.
    """
    stated = _stated(spec)
    there = _columns(spec)
    written = {
        name: stated["fields"][name]
        for name in _COLUMNS
        if name in stated["fields"] and isinstance(stated["fields"][name], str | None)
    }
    default = Fields()
    changed = {
        name: value
        for name, value in written.items()
        if getattr(fields, name) == getattr(default, name)
        or (value is not None and getattr(fields, name) not in there)
    }
    absent = [name for name in changed if getattr(fields, name) != getattr(default, name)]
    if absent:
        stated_as = ", ".join(f"data.{name}={getattr(fields, name)!r}" for name in absent)
        _tell_columns(spec, stated_as, ", ".join(repr(changed[name]) for name in absent))
    empty = fields.label_may_be_empty or stated["task"] == "multilabel"
    return replace(fields, columns=None, label_may_be_empty=empty, **changed)


def prepared_task(spec: str | Sequence[str] | None) -> TaskKind | None:
    """Return the task kind that a prepared folder states; None for other data, or without labels.

    Raises:
        DataError: if its prepare.json is damaged.
    """
    name = _single(spec)
    if name is None or not is_prepared(name):
        return None
    task: TaskKind | None = _stated(name)["task"]
    return task


def prepared_figures(spec: str | Sequence[str] | None) -> dict[str, Any]:
    """Return what the report of a prepared folder found: its verdict and its counts.

    Args:
        spec: What the user wrote as data.

    Returns:
        `report`, its path; `verdict`; `missed`, the limits that warn or fail; `edited`, files of
        the splits whose SHA-256 is not the one that was written; the report's own counts by their
        keys, and `reviewed`, what `review` changed since. No text of the data, no
        name of a class. Empty where the data is no such folder, or has no report.
    """
    name = _single(spec)
    if name is None or not is_prepared(name):
        return {}
    path = _folder(name) / "report.json"
    page = "report.html" if path.with_name("report.html").is_file() else path.name
    if not path.is_file():
        return {}
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        missed = [check["name"] for check in report["checks"] if check["verdict"] != "PASS"]
        figures = {key: value for key, value in report.items() if key not in _NO_FIGURES}
        verdict = str(report["verdict"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        log.warning("%s cannot be read (%s); the run does not tell it.", path, type(err).__name__)
        return {}
    stated = _stated(name)
    edited = _edited(name, stated)
    return {
        "report": str(Path(name) / page),
        "verdict": verdict,
        "missed": ", ".join(map(str, missed)),
        **({"edited": ", ".join(edited)} if edited else {}),
        **counts(figures),
        **_reviewed(stated),
    }


def counts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers among nested values.

    Left out are what was searched for and not found, and counts by class, whose keys are names.

    >>> counts({"rows": {"read": 5, "name": "x"}, "privacy": {"items": {"iban": 0, "email": 2}}})
    {'rows': {'read': 5}, 'privacy': {'items': {'email': 2}}}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key == "classes":
            continue
        if isinstance(value, Mapping):
            inside = counts(value)
            if key == "items":
                inside = {name: count for name, count in inside.items() if count}
            found |= {str(key): inside} if inside else {}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[str(key)] = value
    return found


def _edited(spec: str, stated: Mapping[str, Any]) -> list[str]:
    """Return the files of the splits that neither `prepare` nor `review` wrote as they are."""
    written = stated.get("files", {})
    return [
        file.name
        for file in prepared_files(spec).values()
        if file.name in written and digest(str(file)) != written[file.name]
    ]


def _reviewed(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return what reviews changed after the report was written."""
    total: Counter[str] = Counter()
    for review in stated.get("reviews", []):
        total.update(counts(review))
    return {"reviewed": dict(total)} if total else {}


def _columns(spec: str) -> Sequence[str]:
    """Return the columns that the files of the splits have."""
    files = prepared_files(spec).values()
    return next((read_header(str(file), TableFormat()) for file in files), ())


@cache
def _tell_columns(spec: str, stated: str, own: str) -> None:
    """Say once, not for each split, that columns of the folder take the place of stated ones."""
    log.warning("%s has no %s; its own columns are read: %s.", spec, stated, own)


def _folder(spec: str) -> Path:
    return Path(spec).expanduser()


def _single(spec: str | Sequence[str] | None) -> str | None:
    """Return the one source that is named, if it is one."""
    if spec is None or isinstance(spec, str):
        return spec
    return spec[0] if len(spec) == 1 else None


def _stated(spec: str) -> dict[str, Any]:
    """Return prepare.json, with its task, which a folder of an early version lacks."""
    path = _folder(spec) / MANIFEST
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        task, _ = stated.get("task"), dict(stated["fields"])
        if task is not None and task not in TASK_KINDS:
            raise ValueError(task)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise DataError(
            f"{path} does not say what its columns mean ({type(err).__name__}); run prepare again."
        ) from err
    return {**stated, "task": task}

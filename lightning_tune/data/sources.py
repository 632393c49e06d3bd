"""What the user wrote as data, resolved for a split: files, prepared folders, builtin, hub."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from lightning_tune.data.hub import HubSource, hub_splits
from lightning_tune.data.prepared import check_passed, is_prepared, prepared_fields, prepared_files
from lightning_tune.datasets import builtin
from lightning_tune.errors import DataError, nearest
from lightning_tune.schema import Split
from lightning_tune.tables import (
    BadRow,
    BadRows,
    Fields,
    RowBatch,
    TableFormat,
    digest,
    expand,
    read_rows,
)


class Source(Protocol):
    """The rows of one split, wherever they are."""

    name: str
    """As the user wrote it."""

    def digest(self) -> str:
        """Return a sha256 of the content and of how it is read."""
        ...

    def rows(self, on_bad_rows: BadRows, bad: list[BadRow] | None = None) -> Iterator[RowBatch]:
        """Read the rows in batches, from the start."""
        ...


@dataclass
class FileSource:
    """Rows of one or several files of the same format.

    Args:
        name: As the user wrote it.
        files: Paths or URLs, in the order in which they are read.
        fields: Which columns mean what.
        format: How the files are written.
        label_required: Whether each row needs a label.
    """

    name: str
    files: Sequence[str]
    fields: Fields
    format: TableFormat
    label_required: bool

    def digest(self) -> str:
        """Return a sha256 of the contents, in order, and of what the columns mean."""
        return _joined_digest([*map(digest, self.files), repr(self.fields), repr(self.format)])

    def rows(self, on_bad_rows: BadRows, bad: list[BadRow] | None = None) -> Iterator[RowBatch]:
        """Read the rows of all files in batches."""
        for file in self.files:
            yield from read_rows(
                file,
                self.fields,
                format=self.format,
                on_bad_rows=on_bad_rows,
                bad=bad,
                label_required=self.label_required,
            )


@dataclass
class JoinedSource:
    """The rows of several sources, one after the other."""

    name: str
    parts: Sequence[Source]

    def digest(self) -> str:
        """Return a sha256 of the parts' digests, in order."""
        return _joined_digest([part.digest() for part in self.parts])

    def rows(self, on_bad_rows: BadRows, bad: list[BadRow] | None = None) -> Iterator[RowBatch]:
        """Read the rows of all parts in batches."""
        for part in self.parts:
            yield from part.rows(on_bad_rows, bad)


def _joined_digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def open_source(
    spec: str | Sequence[str], split: Split, fields: Fields, format: TableFormat
) -> Source:
    """Resolve what the user wrote as the data of a split. Nothing but file names is read yet.

    Args:
        spec: A path, glob, fsspec URL, builtin:NAME, hub:NAME[:CONFIG], a folder that prepare
            wrote, or a list of these.
        split: Which split it is for; "predict" reads the test split of data that has splits, and
            needs no labels.
        fields: Which columns mean what.
        format: How files are written; builtin and prepared data know it themselves.

    Raises:
        DataError: if it means no data; it names the nearest that does.
        ConfigError: if reading it needs a package or a setting that is missing.
    """
    if not isinstance(spec, str) and len(spec) != 1:
        if not spec:
            expand(spec)
        return JoinedSource(
            ", ".join(spec), [open_source(part, split, fields, format) for part in spec]
        )
    name = spec if isinstance(spec, str) else spec[0]
    required = split != "predict"
    scheme, rest = _scheme(name)
    if scheme == "hub":
        return HubSource(name, rest, split, fields, label_required=required)
    if scheme == "builtin":
        files = builtin(rest)
        fields = replace(fields, columns=None)
    elif is_prepared(name):
        files = prepared_files(name)
        fields = prepared_fields(name, fields)
    else:
        check_passed(name)
        return FileSource(name, expand(name), fields, format, required)
    file = files.get("test" if split == "predict" else split)
    if file is None:
        raise DataError(f"{name} has no {split} split; it has {', '.join(files)}.")
    return FileSource(name, [str(file)], fields, TableFormat(), required)


def companion_splits(spec: str | Sequence[str]) -> dict[Split, str]:
    """Return the validation and test splits that come with builtin, prepared or hub data.

    Each is named by the same text, which `open_source` reads for its split. Plain files have none.
    """
    if not isinstance(spec, str):
        return companion_splits(spec[0]) if len(spec) == 1 else {}
    scheme, rest = _scheme(spec)
    found: Sequence[Split] = ()
    if scheme == "hub":
        found = hub_splits(spec, rest)
    elif scheme == "builtin":
        found = list(builtin(rest))
    elif is_prepared(spec):
        found = list(prepared_files(spec))
    return {split: spec for split in found if split in ("val", "test")}


def _scheme(spec: str) -> tuple[str, str]:
    """Split off "hub" or "builtin"; refuse what looks like a mistyped one."""
    match = re.fullmatch(r"([a-z]{2,}):(?!//)(.*)", spec)
    if match is None or Path(spec).exists():
        return "", spec
    scheme, rest = match.groups()
    if scheme not in ("hub", "builtin"):
        raise DataError(
            f"{spec}: {scheme!r} is no kind of data; write hub:NAME, builtin:NAME or a path."
            + nearest(scheme, ("hub", "builtin"))
        )
    return scheme, rest

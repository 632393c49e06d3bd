"""The tokenized rows of one source, in a folder of flat columns that are mapped into memory."""

from __future__ import annotations

import json
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.data.columns import is_intact, open_column
from lightning_tune.schema import Label

META = "meta.json"


class DamagedStoreError(Exception):
    """A folder of tokens is incomplete or not what was written."""


class TokenStore:
    """Tokenized rows, read-only. A row has one sequence of token ids, or several windows.

    Pickles as its path, so worker processes map the same files.

    Attributes:
        meta: What the builder noted: `source`, `rows`, `files`, `labels`, `bad`, `errors` and more.
        ids: Token ids of all sequences, flat.
        sequence_offsets: Where each sequence starts in `ids`, and the end, [sequences + 1] int64.
        row_offsets: Index of each row's first sequence, and the end, [rows + 1] int64.
        second: Position of the first token of type 1 in each sequence, [sequences] int32; None
            where texts are single.
        truncated: Whether tokens of the row were dropped, [rows] bool.
        label_codes: Index of each row's label in `labels`, -1 where it has none, [rows] int32.
        lines: Line of the source file on which each row starts, [rows] int64.
        hashes: Hash of each row's normalised text and second text, [rows] uint64.

    Raises:
        DamagedStoreError: if a file is missing, incomplete or was changed.
    """

    def __init__(self, folder: Path, *, verify: bool = True) -> None:
        self.folder = folder
        try:
            self.meta: dict[str, Any] = json.loads((folder / META).read_text("utf-8"))
            specs = self.meta["columns"]
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise DamagedStoreError(f"{folder / META}: {err}") from err
        for name, spec in specs.items() if verify else ():
            if not is_intact(folder / f"{name}.bin", spec):
                raise DamagedStoreError(f"{folder / name}.bin is not the file that was written")
        columns = {name: open_column(folder / f"{name}.bin", spec) for name, spec in specs.items()}
        self.ids: NDArray[np.unsignedinteger] = columns["ids"]
        self.sequence_offsets: NDArray[np.int64] = columns["sequence_offsets"]
        self.row_offsets: NDArray[np.int64] = columns["row_offsets"]
        self.second: NDArray[np.int32] | None = columns.get("second")
        self.truncated: NDArray[np.bool_] = columns["truncated"]
        self.label_codes: NDArray[np.int32] = columns["label_codes"]
        self.lines: NDArray[np.int64] = columns["lines"]
        self.hashes: NDArray[np.uint64] = columns["hashes"]
        self.weights: NDArray[np.float32] | None = (
            columns["weights"] if self.meta["weighted"] else None
        )
        self._files: NDArray[np.int32] = columns["files"]
        self._texts: NDArray[np.uint8] = columns["texts"]
        self._text_offsets: NDArray[np.int64] = columns["text_offsets"]

    def __len__(self) -> int:
        return len(self.lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.folder,)

    @cached_property
    def labels(self) -> list[Label]:
        """The distinct labels as they stand in the source, in order of appearance."""
        return [tuple(raw) if isinstance(raw, list) else raw for raw in self.meta["labels"]]

    @cached_property
    def errors(self) -> dict[int, str]:
        """Why rows cannot be used, by row; only where bad rows were kept."""
        return {int(row): reason for row, reason in self.meta["errors"].items()}

    @cached_property
    def windows(self) -> NDArray[np.int64]:
        """Number of sequences of each row, [rows] int64."""
        return np.diff(self.row_offsets)

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of each row, of all its windows, [rows] int32."""
        return np.diff(self.sequence_offsets[self.row_offsets]).astype(np.int32)

    @cached_property
    def longest(self) -> NDArray[np.int32]:
        """Tokens of each row's longest sequence, [rows] int32."""
        lengths = np.diff(self.sequence_offsets).astype(np.int32)
        return np.maximum.reduceat(lengths, self.row_offsets[:-1]) if len(self) else lengths

    def sequences(self, row: int) -> list[NDArray[np.unsignedinteger]]:
        """Return the token ids of each sequence of a row."""
        spans = self.sequence_offsets[self.row_offsets[row] : self.row_offsets[row + 1] + 1]
        return [self.ids[start:end] for start, end in pairwise(spans)]

    def text(self, row: int) -> tuple[str, str | None]:
        """Return the normalised text of a row, and its second text."""
        parts = 2 if self.meta["pairs"] else 1
        spans = self._text_offsets[row * parts : (row + 1) * parts + 1]
        texts = [self._texts[start:end].tobytes().decode() for start, end in pairwise(spans)]
        return texts[0], texts[1] if parts == 2 else None

    def label(self, row: int) -> Label | None:
        """Return the label of a row as it stands in the source, or None."""
        code = self.label_codes[row]
        return None if code < 0 else self.labels[code]

    def where(self, row: int) -> str:
        """Return the file and line of a row, for messages."""
        return f"{self.meta['files'][self._files[row]]}:{self.lines[row]}"


def _reopen(folder: Path) -> TokenStore:
    return TokenStore(folder, verify=False)

"""Tokenize a source once, into a folder that later runs and other processes open.

Rows are read, encoded and written in batches, so memory does not grow with the source. The folder's
name is a hash of all that its content depends on; it is written beside its place and renamed, under
a lock.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from lightning_tune.data.columns import ColumnWriter, open_private, sync_and_close
from lightning_tune.data.sources import Source
from lightning_tune.data.tokens import META, DamagedStoreError, TokenStore
from lightning_tune.errors import DataError
from lightning_tune.schema import Label
from lightning_tune.serving.encoding import Encoded, TextEncoder
from lightning_tune.serving.normalisation import normalise
from lightning_tune.tables import BadRow, BadRows, RowBatch
from lightning_tune.tables.writing import sync

VERSION = 1  # of the folder's layout and of all that decides its content
LISTED_BAD_ROWS = 1000  # more are counted, not listed

log = logging.getLogger(__name__)


def build_or_open(
    source: Source,
    make_encoder: Callable[[], TextEncoder],
    *,
    key_parts: dict[str, Any],
    folder: Path,
    on_bad_rows: BadRows,
) -> TokenStore:
    """Open the tokens of a source, after building them if they are not there or damaged.

    Safe when several processes start at once: one builds, the others wait and open.

    Args:
        source: The rows; its repr says how they are read.
        make_encoder: Makes what turns texts into ids; called only if there is something to build.
        key_parts: Plain values on which the result depends besides the source and its content.
        folder: Where token folders are kept; only its owner can read them.
        on_bad_rows: What to do with rows that cannot be used.

    Raises:
        DataError: if the source cannot be used, or the folder cannot be written.
    """
    content = [VERSION, repr(source), source.digest(), on_bad_rows, key_parts]
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    target = folder / key
    if (store := _open_intact(target)) is not None:
        return store
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder / f"{key}.lock", mode=0o600):
            store = _open_intact(target)
            if store is None:
                store = _build(source, make_encoder(), target, on_bad_rows)
            return store
    except OSError as err:
        raise DataError(
            f"cannot keep the tokens of {source.name} in {folder}: {err.strerror or err}; free "
            "space there, or name another folder with data.cache_dir."
        ) from err


def _open_intact(target: Path) -> TokenStore | None:
    if not target.is_dir():
        return None
    try:
        return TokenStore(target)
    except DamagedStoreError as err:
        log.warning("The token cache is damaged and is built again: %s", err)
        return None


def _build(source: Source, encoder: TextEncoder, target: Path, on_bad_rows: BadRows) -> TokenStore:
    temporary = target.with_name(f"{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed process left
    temporary.mkdir(mode=0o700)
    try:
        bad: list[BadRow] = []
        with ExitStack() as files:
            builder = _Builder(temporary, encoder.dtype, files)
            for batch, encoded in _encode_ahead(source.rows(on_bad_rows, bad), encoder):
                builder.add(batch, encoded)
            builder.finish(source.name, bad)
        shutil.rmtree(target, ignore_errors=True)  # a damaged one
        temporary.rename(target)
        sync(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return TokenStore(target, verify=False)


def _encode_ahead(
    batches: Iterator[RowBatch], encoder: TextEncoder
) -> Iterator[tuple[RowBatch, Encoded]]:
    """Encode a batch while the next one is read and the last one written."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = None
        for batch in batches:
            encoding = pool.submit(encoder.encode, batch.texts, batch.pairs)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = batch, encoding
        if waiting is not None:
            yield waiting[0], waiting[1].result()


class _Builder:
    """Writes the columns of a token store, batch by batch; its files are closed by the stack."""

    def __init__(self, folder: Path, ids_dtype: type[np.unsignedinteger], files: ExitStack) -> None:
        self._folder = folder
        dtypes: dict[str, Any] = {
            "ids": ids_dtype,
            "sequence_offsets": np.int64,
            "row_offsets": np.int64,
            "second": np.int32,
            "truncated": np.bool_,
            "label_codes": np.int32,
            "weights": np.float32,
            "lines": np.int64,
            "files": np.int32,
            "hashes": np.uint64,
            "texts": np.uint8,
            "text_offsets": np.int64,
        }
        self._columns = {
            name: files.enter_context(ColumnWriter(folder / f"{name}.bin", dtype))
            for name, dtype in dtypes.items()
        }
        self._ends = dict.fromkeys(("sequence_offsets", "row_offsets", "text_offsets"), 0)
        for name in self._ends:
            self._columns[name].append([0])
        self._codes: dict[Label, int] = {}
        self._files: dict[str, int] = {}
        self._errors: dict[int, str] = {}
        self._rows = 0
        self._pairs = False
        self._weighted = False

    def add(self, batch: RowBatch, encoded: Encoded) -> None:
        """Append a batch of rows, which may be empty."""
        if not batch.lines:
            return
        write = self._columns
        write["ids"].append(encoded.ids)
        self._extend("sequence_offsets", encoded.lengths)
        self._extend("row_offsets", encoded.windows)
        if encoded.second is not None:
            write["second"].append(encoded.second)
        write["truncated"].append(encoded.truncated)
        self._add_texts(batch)
        count = len(batch.lines)
        write["label_codes"].append(self._codes_of(batch.labels, count))
        write["weights"].append([1.0] * count if batch.weights is None else batch.weights)
        write["lines"].append(batch.lines)
        write["files"].append([self._files.setdefault(batch.source, len(self._files))] * count)
        for row, reason in enumerate(batch.errors or ()):
            if reason is not None:
                self._errors[self._rows + row] = reason
        self._rows += count
        self._pairs = batch.pairs is not None
        self._weighted |= batch.weights is not None

    def finish(self, source: str, bad: list[BadRow]) -> None:
        """Bring all to disk; the description comes last.

        Raises:
            DataError: if there was no row.
        """
        if not self._rows:
            raise DataError(f"{source} has no rows; a data file needs at least one.")
        specs = {name: column.finish() for name, column in self._columns.items()}
        if not self._pairs:
            del specs["second"]
        meta = {
            "source": source,
            "rows": self._rows,
            "pairs": self._pairs,
            "weighted": self._weighted,
            "files": list(self._files),
            "labels": list(self._codes),
            "errors": self._errors,
            "bad": {
                "count": len(bad),
                "rows": [[row.source, row.line, row.reason] for row in bad[:LISTED_BAD_ROWS]],
            },
            "columns": specs,
        }
        with open_private(self._folder / META) as file:
            file.write(json.dumps(meta).encode())
            sync_and_close(file)
        sync(self._folder)

    def _extend(self, name: str, lengths: Any) -> None:
        ends = np.cumsum(lengths, dtype=np.int64) + self._ends[name]
        self._columns[name].append(ends)
        self._ends[name] = int(ends[-1])

    def _add_texts(self, batch: RowBatch) -> None:
        texts = [normalise(text).encode() for text in batch.texts]
        hashed = texts
        if batch.pairs is not None:
            pairs = [normalise(pair).encode() for pair in batch.pairs]
            hashed = [text + b"\0" + pair for text, pair in zip(texts, pairs, strict=True)]
            texts = list(chain.from_iterable(zip(texts, pairs, strict=True)))
        self._columns["texts"].append(b"".join(texts))
        self._extend("text_offsets", [len(text) for text in texts])
        digests = [hashlib.blake2b(text, digest_size=8).digest() for text in hashed]
        self._columns["hashes"].append(b"".join(digests))

    def _codes_of(self, labels: list[Label] | None, count: int) -> list[int]:
        if labels is None:
            return [-1] * count
        codes = self._codes
        return [codes.setdefault(label, len(codes)) for label in labels]

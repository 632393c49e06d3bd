"""Parquet, read a few thousand rows at a time through pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lightning_tune.errors import DataError
from lightning_tune.tables.files import open_binary
from lightning_tune.tables.records import Records

BATCH_ROWS = 4096
BUFFER_BYTES = 1 << 20  # without it a whole column of a row group is held in memory


class ParquetTable:
    """A Parquet file; a record's line is its row, from 1."""

    def __init__(self, source: str) -> None:
        self.source = source
        with self._open() as file:
            self.names: list[str] = list(file.schema_arrow.names)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with open_binary(self.source) as raw:
            try:
                with pq.ParquetFile(raw, buffer_size=BUFFER_BYTES) as file:
                    yield file
            except (pa.ArrowException, OSError) as err:
                raise DataError(
                    f"{self.source} is damaged, or no Parquet file; write it again, or correct "
                    "data.format.kind."
                ) from err

    def records(self, wanted: Sequence[str]) -> Iterator[Records]:
        """Read the wanted columns from the start."""
        row = 1
        with self._open() as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(wanted)):
                faults: dict[int, str] = {}
                columns = {name: _values(batch.column(name), name, faults) for name in wanted}
                yield Records(range(row, row + batch.num_rows), columns, faults)
                row += batch.num_rows


def _values(array: Any, name: str, faults: dict[int, str]) -> list[Any]:
    try:
        values: list[Any] = array.to_pylist()
    except UnicodeDecodeError:
        values = []
        for position, value in enumerate(array):
            try:
                values.append(value.as_py())
            except UnicodeDecodeError:
                values.append(None)
                faults.setdefault(position, f"the bytes of {name!r} are not utf-8")
    return values

"""How far a long piece of work is: one line on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TextIO

from lightning_tune.tables.files import is_url

_SECONDS = 0.2  # between two pictures
_WIDTH = 30


class Progress:
    """Shows rows, rows a second and, where the end is known, a bar and the time left.

    Args:
        sources: The files that are read, in this order.
        stream: Where to show it, if that is a terminal; None: stderr.
    """

    def __init__(self, sources: Sequence[str], stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._shows = self._stream.isatty()
        self._before: dict[str, int] = {}
        self._total: int | None = None
        if self._shows:
            lines = [lines_of(source) for source in sources]
            if None not in lines:
                ends = list(accumulate((each or 0 for each in lines), initial=0))
                self._before = dict(zip(sources, ends, strict=False))
                self._total = ends[-1]
        self._begun = self._shown = time.perf_counter()

    def show(self, source: str, line: int, rows: int) -> None:
        """Draw where the work stands.

        Args:
            source: The file that is read.
            line: Its line, or row, that has been reached.
            rows: Rows answered so far.
        """
        now = time.perf_counter()
        if self._shows and now - self._shown >= _SECONDS:
            self._shown = now
            at = self._before.get(source, 0) + line
            self._stream.write("\r" + picture(at, self._total, rows, now - self._begun) + "\x1b[K")
            self._stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shows:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def picture(at: int, total: int | None, rows: int, seconds: float) -> str:
    """Return the line.

    >>> picture(25, 100, 500, 10.0)
    '[=======                       ] 25 %  500 rows  50 rows/s  0:30 left'
    >>> picture(25, None, 500, 10.0)
    '500 rows  50 rows/s'
    """
    told = f"{rows:,} rows  {rows / max(seconds, 1e-9):,.0f} rows/s"
    if not total:
        return told
    share = min(1.0, at / total)
    bar = ("=" * int(share * _WIDTH)).ljust(_WIDTH)
    minutes, rest = divmod(round(seconds * (1 - share) / share) if share else 0, 60)
    return f"[{bar}] {share:.0%}  {told}  {minutes}:{rest:02} left".replace("%", " %", 1)


def lines_of(source: str) -> int | None:
    """Count the lines of a local file of plain text, or the rows of Parquet; None for all others.

    A file that cannot be read is not told here: its reader says why.
    """
    name = source.lower()
    if is_url(source) or name.endswith((".gz", ".parquet")):
        return _parquet_rows(source) if name.endswith(".parquet") and not is_url(source) else None
    try:
        with Path(source).open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except OSError:
        return None


def _parquet_rows(source: str) -> int | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(source).num_rows)
    except (pa.ArrowException, OSError):
        return None

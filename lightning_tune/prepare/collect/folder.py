"""A folder of text files by class: each subfolder is a class, each `.txt` file below it a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.tables import is_plain
from lightning_tune.tables.records import Records

BATCH_FILES = 4096


class TextFolder:
    """The files of a folder as a table of `text`, `label` and `file`.

    Files are ordered by class, then by path; a row's line is its place in that order, from 1. What
    is hidden or no `.txt` file is left out.

    Args:
        source: The folder.
        encoding: The encoding of its files; "utf-8" drops a byte order mark.

    Raises:
        DataError: if there is no such file below a subfolder.
        ConfigError: if the encoding is unknown.
    """

    def __init__(self, source: str, *, encoding: str) -> None:
        self.names = ["text", "label", "file"]
        self._folder = Path(source).expanduser()
        self._encoding = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
        self._files = sorted(_text_files(self._folder))
        try:
            "".encode(self._encoding)
        except LookupError:
            raise ConfigError(
                f"format.encoding={encoding!r} is not a text encoding that Python knows."
            ) from None
        if not self._files:
            raise DataError(
                f"{source} is a folder without text files by class; put them into a subfolder for "
                "each class (pos/1.txt), or name a file, or a glob such as '*.csv'."
            )

    def records(self, wanted: Sequence[str]) -> Iterator[Records]:
        """Read the files from the start, some thousand at a time."""
        for start in range(0, len(self._files), BATCH_FILES):
            some = self._files[start : start + BATCH_FILES]
            faults: dict[int, str] = {}
            columns = {
                "text": [self._read(path, at, faults) for at, (_, path) in enumerate(some)],
                "label": [name for name, _ in some],
                "file": [str(path.relative_to(self._folder)) for _, path in some],
            }
            lines = range(start + 1, start + 1 + len(some))
            yield Records(lines, {name: columns[name] for name in wanted}, faults)

    def _read(self, path: Path, position: int, faults: dict[int, str]) -> str:
        try:
            text = path.read_text(encoding=self._encoding)
        except UnicodeDecodeError as err:
            faults[position] = f"{_shown(path)}: byte {err.start} is not {self._encoding}"
            return ""
        if "\0" in text:
            faults[position] = f"{_shown(path)} holds a NUL; no text holds one"
        return text


def _shown(path: Path) -> str:
    """Return the name of a file as a reason may hold it; files may be named after persons."""
    return path.name if is_plain(path.name) else "the file"


def _text_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.name.startswith("."):
            for path in entry.rglob("*.txt"):
                if not path.name.startswith(".") and path.is_file():
                    yield entry.name, path

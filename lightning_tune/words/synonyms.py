"""Words of the same meaning, from a file that the user gives.

A line of the file is one of
- words or phrases that mean the same, with tabs between them (PPDB's pairs);
- words that mean the same, with spaces between them;
- a line of Cilin, the Chinese thesaurus: its code (Aa01A01=) before the words. Codes that end in #
  or @ hold related and lone words and are left out.
The file may be packed, as .gz or .zip. Lines that begin with # are comments.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO

from lightning_tune.errors import DataError
from lightning_tune.tables.files import open_binary

_CODE = re.compile(r"[A-Z][a-z]\d\d[A-Z]\d\d([=#@])")


class Synonyms:
    """Groups of words that mean the same; a word may be in several.

    Args:
        groups: The groups; those of one word say nothing.
    """

    def __init__(self, groups: Iterable[tuple[str, ...]]) -> None:
        self._groups = [group for group in groups if len(group) > 1]
        self._where: dict[str, list[int]] = {}
        for number, group in enumerate(self._groups):
            for word in group:
                self._where.setdefault(word.casefold(), []).append(number)
        self.longest = max(map(len, self._where), default=1)

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word.casefold() in self._where

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def of(self, word: str) -> list[str]:
        """Return the words that may stand for a word, in its case, each once.

        >>> Synonyms([("film", "movie"), ("picture", "film")]).of("Film")
        ['Movie', 'Picture']
        """
        numbers = self._where.get(word.casefold(), ())
        others = [other for number in numbers for other in self._groups[number]]
        unlike = (other for other in others if other.casefold() != word.casefold())
        return list(dict.fromkeys(_in_case_of(word, other) for other in unlike))


def read_synonyms(source: str) -> Synonyms:
    """Read a file of synonyms.

    Raises:
        DataError: if it is missing, not UTF-8, or holds no two words that mean the same.
    """
    try:
        with open_binary(source) as file:
            found = Synonyms(_group(line.decode()) for line in _lines(file, source))
    except UnicodeDecodeError as err:
        raise DataError(
            f"synonyms={source!r} is not UTF-8 (bytes {err.object[:40]!r}); save it as UTF-8."
        ) from err
    except zipfile.BadZipFile as err:
        raise DataError(f"synonyms={source!r} is no zip archive ({err}); unpack it.") from err
    if not len(found):
        raise DataError(
            f"synonyms={source!r} has no line with two words; write words of the same meaning on "
            "one line, with tabs or spaces between them."
        )
    return found


def _lines(file: IO[bytes], source: str) -> Iterator[bytes]:
    if not source.lower().endswith(".zip"):
        yield from file
        return
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as unpacked:
                    yield from unpacked


def _group(line: str) -> tuple[str, ...]:
    line = line.strip().removeprefix("\ufeff")
    if line.startswith("#"):
        return ()
    words = [word.strip() for word in line.split("\t")] if "\t" in line else line.split()
    code = _CODE.fullmatch(words[0]) if words else None
    if code:
        words = words[1:] if code[1] == "=" else []
    return tuple(word for word in words if word)


def _in_case_of(word: str, other: str) -> str:
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other

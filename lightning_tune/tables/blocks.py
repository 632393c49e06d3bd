"""A text file as blocks of whole lines, so that memory stays constant whatever its size.

Lines end with LF or CRLF. Nothing else ends a line: not U+2028, not a lone carriage return.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lightning_tune.errors import ConfigError, DataError, nearest
from lightning_tune.tables.files import open_binary

BLOCK_CHARACTERS = 1 << 19
_FAULTY = re.compile("[\0\udc80-\udcff]")  # NUL, and the marks that surrogateescape leaves


@dataclass(frozen=True)
class Block:
    """Whole lines of a file.

    Args:
        text: The lines; the last one ends with LF even where the file's last line does not.
        line: Number of the first line, from 1.
        faults: Lines with a NUL or with undecodable bytes, and the reason.
    """

    text: str
    line: int
    faults: dict[int, str]


def read_blocks(source: str, encoding: str) -> Iterator[Block]:
    """Yield the lines of a file in blocks; empty lines at its end are left out.

    Raises:
        ConfigError: if the encoding is unknown.
        DataError: if the file cannot be read, or bytes fail to decode in a way that no line can be
            told (utf-16 with half a character).
    """
    held, line = "", 1
    with open_binary(source) as raw, _decoded(raw, encoding) as file:
        try:
            while chunk := file.read(BLOCK_CHARACTERS):
                text = held + chunk + file.readline()
                body = len(text.rstrip("\r\n"))
                end = text.find("\n", body) + 1 or len(text)
                if body == 0:
                    end = 0
                held = text[end:]
                if end:
                    yield _block(text[:end], line, encoding)
                    line += text.count("\n", 0, end)
        except UnicodeDecodeError as err:
            raise DataError(
                f"{source} cannot be decoded as {encoding} after line {line - 1}: {err.reason}; "
                "set data.format.encoding to the file's encoding."
            ) from err


def _decoded(raw: object, encoding: str) -> io.TextIOWrapper:
    name = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        return io.TextIOWrapper(raw, name, errors="surrogateescape", newline="\n")  # type: ignore[arg-type]
    except LookupError:
        known = ["utf-8", "utf-16", "latin-1", "cp1252", "gb18030", "big5", "shift_jis", "euc_kr"]
        raise ConfigError(
            f"data.format.encoding={encoding!r} is not a text encoding that Python knows."
            + nearest(encoding, known)
        ) from None


def _block(text: str, line: int, encoding: str) -> Block:
    if not text.endswith("\n"):
        text += "\n"
    return Block(text, line, {} if _is_clean(text) else _faults(text, line, encoding))


def _is_clean(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()  # twice as fast as a search for surrogates
    except UnicodeEncodeError:
        return False
    return True


def _faults(text: str, line: int, encoding: str) -> dict[int, str]:
    found = {}
    name = codecs.lookup(encoding).name
    for number, content in enumerate(text.split("\n"), line):
        if match := _FAULTY.search(content):
            at = f"at character {match.start() + 1}"
            if match.group() == "\0":
                found[number] = f"a NUL {at}; no text holds one"
            else:
                byte = ord(match.group()) - 0xDC00
                found[number] = f"the byte 0x{byte:02x} {at} is not {name} (data.format.encoding)"
    return found

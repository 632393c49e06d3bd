"""JSON Lines: one object a line, in UTF-8 or another encoding."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from lightning_tune.errors import DataError
from lightning_tune.tables.blocks import Block, read_blocks
from lightning_tune.tables.records import MISSING, Records, shorten


class JsonLinesTable:
    """A JSON Lines file; its columns are the keys of the objects in the first block."""

    def __init__(self, source: str, *, encoding: str) -> None:
        self.source = source
        self.encoding = encoding
        self.names = self._keys()

    def _keys(self) -> list[str]:
        block = next(read_blocks(self.source, self.encoding), None)
        if block is None:
            raise DataError(f"{self.source} is empty; it needs one JSON object a line.")
        objects, faults = _parse(block)
        names = list(dict.fromkeys(key for value in objects for key in value))
        if not names:
            reason = faults.get(0, "the object {} has no keys")
            raise DataError(
                f"{self.source}:{block.line}: {reason}; each line must be a JSON object."
            )
        return names

    def records(self, wanted: Sequence[str]) -> Iterator[Records]:
        """Read the wanted keys from the start; a key that an object lacks reads as MISSING."""
        for block in read_blocks(self.source, self.encoding):
            objects, faults = _parse(block)
            columns = {name: [value.get(name, MISSING) for value in objects] for name in wanted}
            yield Records(range(block.line, block.line + len(objects)), columns, faults)


def _parse(block: Block) -> tuple[list[dict[str, Any]], dict[int, str]]:
    objects: list[dict[str, Any]] = []
    faults = {line - block.line: reason for line, reason in block.faults.items()}
    for position, line in enumerate(block.text[:-1].split("\n")):
        value = _parse_line(line)
        if isinstance(value, str):
            faults.setdefault(position, value)
            value = {}
        objects.append(value)
    return objects, faults


def _parse_line(line: str) -> dict[str, Any] | str:
    """Return the object of a line, or the reason why there is none."""
    try:
        value = json.loads(line)
    except RecursionError:
        return "no valid JSON: it is nested too deeply"
    except ValueError as err:
        if not line.strip():
            return "the line is blank"
        if isinstance(err, json.JSONDecodeError):
            return f"no valid JSON: {err.msg} (character {err.pos + 1})"
        return "no valid JSON: a number has too many digits"
    if isinstance(value, dict):
        return value
    return f"no JSON object but {shorten(value)}"

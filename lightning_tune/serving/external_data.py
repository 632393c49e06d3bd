"""Which files an ONNX file keeps its weights in, read from its protobuf without the onnx package.

A field is a number and a wire type (https://protobuf.dev/programming-guides/encoding); the numbers
are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from lightning_tune.errors import BundleError

_EXTERNAL = 13  # TensorProto.external_data
# Fields that hold tensors, somewhere below: by kind of message, field number -> kind of the field.
_BELOW = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {_EXTERNAL: "entry"},
}


def check_external_data(folder: Path, model: str, listed: Collection[str]) -> None:
    """Refuse a model that reads files which are not in its bundle.

    Args:
        folder: The bundle.
        model: Path of the ONNX file below it.
        listed: The files of the bundle, by their path below it.

    Raises:
        BundleError: if the model names such a file, or is no ONNX file.
    """
    for location in locations(folder / model):
        named = PurePosixPath(model).parent / location
        if named.as_posix() not in listed or ".." in named.parts or "\\" in location:
            raise BundleError(
                f"{folder / model} reads {location!r}, which is no file of the bundle; it is "
                "refused: export the bundle again."
            )


def locations(path: Path) -> set[str]:
    """Return the places where a model's external data lie, as the file names them.

    Raises:
        BundleError: if it is no ONNX file.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return set(_walk(data, 0, len(data), "model"))
    except (ValueError, IndexError, UnicodeDecodeError, RecursionError) as err:
        raise BundleError(f"{path} is no ONNX file; export the bundle again.") from err


def _walk(data: mmap.mmap, start: int, end: int, kind: str) -> Iterator[str]:
    below = _BELOW[kind]
    for number, first, last in _fields(data, start, end):
        inner = below.get(number)
        if inner == "entry":
            entry = {at: data[here:there] for at, here, there in _fields(data, first, last)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode()
        elif inner is not None:
            yield from _walk(data, first, last, inner)


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each field that has a length."""
    while at < end:
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            _, at = _varint(data, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise ValueError("a field ends behind the message")
            yield key >> 3, at, at + length
            at += length
        else:
            raise ValueError(f"wire type {wire}")
    if at != end:
        raise ValueError("a message ends inside a field")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")

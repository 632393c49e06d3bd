"""The data sets that the package carries, addressed as builtin:NAME."""

from __future__ import annotations

from pathlib import Path

from lightning_tune.errors import DataError, nearest
from lightning_tune.schema import Split

_SPLITS: tuple[Split, ...] = ("train", "val", "test")


def builtin_names() -> list[str]:
    """Return the names of the data sets that the package carries."""
    return sorted(file.parent.name for file in Path(__file__).parent.glob("*/train.csv"))


def builtin(name: str) -> dict[Split, Path]:
    """Return the files of a data set that the package carries, by split.

    Raises:
        DataError: if there is none of that name; it names the nearest.
    """
    names = builtin_names()
    if name not in names:
        raise DataError(
            f"builtin:{name} is not a data set of this package; it has {', '.join(names)}."
            + nearest(name, names)
        )
    folder = Path(__file__).parent / name
    files: dict[Split, Path] = {split: folder / f"{split}.csv" for split in _SPLITS}
    return {split: file for split, file in files.items() if file.exists()}

"""A folder that `prepare` wrote before, read so that its rows keep their sides."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lightning_tune.data.prepared import is_prepared
from lightning_tune.errors import ConfigError
from lightning_tune.schema import Split

_WANTED = ("text", "text_pair", "group")


def read_splits(folder: str | None) -> dict[Split, pa.Table]:
    """Return texts and groups of each split of a prepared folder; nothing if there is none.

    Raises:
        ConfigError: if it is no folder that prepare wrote.
    """
    if folder is None:
        return {}
    if not is_prepared(folder):
        raise ConfigError(
            f"split.previous={folder!r} is no folder that prepare wrote; name one, or leave it out."
        )
    splits: tuple[Split, ...] = ("train", "val", "test")
    files = {split: Path(folder).expanduser() / f"{split}.parquet" for split in splits}
    return {split: _read(file) for split, file in files.items() if file.is_file()}


def _read(file: Path) -> pa.Table:
    try:
        names = pq.read_schema(file).names
        return pq.read_table(file, columns=[name for name in _WANTED if name in names])
    except (pa.ArrowException, OSError) as err:
        raise ConfigError(f"split.previous: {file} is damaged; name another folder.") from err

"""`review`: write the rows whose labels are doubtful, and take the reviewed table back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightning_tune.commands.crossfitting import EncoderSettings, cross_fitted
from lightning_tune.commands.flags import own_flags
from lightning_tune.commands.parsing import run_function
from lightning_tune.commands.unwinding import unwinding
from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.limits import Limits, check
from lightning_tune.prepare.quality.suspects import (
    QualitySettings,
    Suspects,
    caveat,
    encode,
    suspects,
)
from lightning_tune.schema import Label
from lightning_tune.tables import TableFormat, digest, replace_file
from lightning_tune.tables.writing import check_extension

if TYPE_CHECKING:
    import pyarrow as pa

    from lightning_tune.prepare.quality.review import Applied, Dropped

SPLITS = ("train", "val", "test")
SplitName = Literal["train", "val", "test"]
_ROW_GROUP = 65_536


def main(name: str, args: Sequence[str]) -> int:
    """Run the command."""
    return run_function(review, name, args)


def review(
    data: str,
    output: str | None = None,
    apply: str | None = None,
    split: SplitName = "train",
    top: int | None = None,
    quality: QualitySettings = QualitySettings(),  # noqa: B008  # frozen
    encoder: EncoderSettings = EncoderSettings(),  # noqa: B008  # frozen
    format: TableFormat = TableFormat(),  # noqa: B008  # frozen
) -> None:
    """Write the rows whose labels are probably wrong, the most doubtful first, or apply a review.

    Args:
        data: A folder that prepare wrote.
        output: The table to write, .csv, .tsv, .jsonl or .parquet; in its column reviewed a person
            writes the right label, which may be the one that stands there, or ticks drop.
        apply: The reviewed table; the labels go into the folder.
        split: Which split is looked through.
        top: Most rows to write; null: all suspects.
        quality: How suspects are looked for.
        encoder: The backbone of quality.mode encoder.
        format: How the reviewed table is written; the default goes by its extension.

    Raises:
        ConfigError: if neither output nor apply is given, or both are.
        DataError: if the folder or the table cannot be used.
    """
    folder = Path(data).expanduser()
    if not (folder / "prepare.json").is_file():
        raise DataError(f"data={data!r} is no folder that prepare wrote; it has no prepare.json.")
    if (output is None) == (apply is None):
        raise ConfigError(
            "review either writes a table or takes one back: give --output, or --apply."
        )
    if top is not None and top < 1:
        raise ConfigError(f"top={top} is below 1; leave it out to write all suspects.")
    with unwinding():
        if apply is not None:
            _apply(folder, apply, format)
        elif output is not None:
            _write(folder, Path(output), split, top, quality, encoder, format)


def _write(
    folder: Path,
    output: Path,
    split: SplitName,
    top: int | None,
    quality: QualitySettings,
    encoder: EncoderSettings,
    format: TableFormat,
) -> None:
    from lightning_tune.prepare.quality.review import write_review
    from lightning_tune.prepare.rows import originals

    check_extension(output)
    own = [folder / f"{name}.parquet" for name in (*SPLITS, "dropped")]
    if any(file.exists() and output.exists() and output.samefile(file) for file in own):
        raise ConfigError(
            f"output={str(output)!r} is a file of the data and would be written over; name another."
        )
    with own_flags(review):
        _spare(folder, output, format)
    table = read_split(folder, split)
    places = originals(table).tolist()
    rows = table.take(places)  # a copy in another fold would tell its row's label
    found = find_suspects(texts_of(rows), labels_of(rows), quality, encoder)
    ranked = found.ranked()
    shown = ranked if top is None else ranked[:top]
    write_review(output, split, table, found, shown, places=places)
    share = len(ranked) / max(1, len(places))
    print(
        f"{split}: {len(places):,} rows, {len(found.names)} labels, {len(ranked):,} suspects "
        f"({share:.1%}); the {len(shown):,} most doubtful -> {output}"
    )
    if check("suspects", share, Limits().suspects).verdict != "PASS":
        print(caveat(share, quality.mode))


def _spare(folder: Path, output: Path, format: TableFormat) -> None:
    """Refuse to write over a filled-in table, unless the folder has taken it back as it is.

    Raises:
        ConfigError: naming the file, how many answers it holds, and the way out.
    """
    from lightning_tune.prepare.answers import answers_in

    found = answers_in(output, format)
    if not found.given:
        return
    stated = json.loads((folder / "prepare.json").read_text(encoding="utf-8"))
    if digest(str(output)) in [one["sha256"] for one in stated.get("reviews", [])]:
        return
    first = f"take them back with --apply {output}, or " if found.kind == "review" else ""
    raise ConfigError(
        f"output={str(output)!r} holds {len(found.given):,} answers that would be lost; {first}"
        "name another output."
    )


def find_suspects(
    texts: Sequence[str],
    labels: Sequence[Label],
    quality: QualitySettings,
    encoder: EncoderSettings,
) -> Suspects:
    """Look for suspects in either mode."""
    answering = None
    if quality.mode == "encoder":
        names, _ = encode(labels)
        several = any(isinstance(label, tuple) for label in labels)
        answering = cross_fitted(names, encoder, several=several, seed=quality.seed)
    return suspects(texts, labels, settings=quality, probabilities=answering)


@dataclass(frozen=True)
class _Reviewed:
    splits: Mapping[str, Applied]

    def total(self, name: str) -> int:
        return sum(getattr(one, name) for one in self.splits.values())

    @property
    def dropped(self) -> list[Dropped]:
        return [row for one in self.splits.values() for row in one.dropped]


def _apply(folder: Path, source: str, format: TableFormat) -> None:
    from lightning_tune.prepare.quality.review import apply_review, read_review

    tables = {
        split: read_split(folder, split) for split in SPLITS if _file(folder, split).is_file()
    }
    labels = [label for table in tables.values() for label in labels_of(table)]
    names, _ = encode(labels)
    several = any(isinstance(label, tuple) for label in labels)
    with own_flags(review):
        verdicts = read_review(source, several=several, format=format)
    if not verdicts:
        raise DataError(
            f"{source} holds no verdict; fill in the columns reviewed or drop, then apply it."
        )
    for verdict in verdicts:
        if verdict.row.split not in tables:
            raise DataError(f"{verdict.where}: {folder} has no {verdict.row.split} split.")
    found = _Reviewed(
        {
            split: apply_review(table, verdicts, split=split, names=names)
            for split, table in tables.items()
        }
    )
    _save(folder, found, source)
    gone = f", {found.total('gone')} dropped before" if found.total("gone") else ""
    print(
        f"{len(verdicts):,} verdicts: {found.total('changed'):,} labels changed, "
        f"{found.total('confirmed'):,} confirmed, {len(found.dropped):,} rows dropped{gone} "
        f"-> {folder}"
    )


def _save(folder: Path, found: _Reviewed, source: str) -> None:
    """Replace the files that changed; prepare.json, which says what they hold, comes last."""
    if found.dropped:
        _note_dropped(folder / "dropped.parquet", found.dropped)
    for split, applied in found.splits.items():
        if applied.changed or applied.dropped:
            _replace_table(_file(folder, split), applied.table)
    path = folder / "prepare.json"
    stated: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    entry = {
        "table": Path(source).name,
        "sha256": digest(source),
        "changed": found.total("changed"),
        "confirmed": found.total("confirmed"),
        "dropped": len(found.dropped),
    }
    rows = {split: applied.table.num_rows for split, applied in found.splits.items()}
    stated |= {"rows": rows} if "rows" in stated else {}
    if "files" in stated:
        names = sorted({*stated["files"], *(file.name for file in folder.glob("dropped.parquet"))})
        stated["files"] = {name: digest(str(folder / name)) for name in names}
    stated["reviews"] = [*stated.get("reviews", []), entry]
    with replace_file(path, private=True) as temporary:
        temporary.write_text(
            json.dumps(stated, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )


def _note_dropped(path: Path, rows: Sequence[Dropped]) -> None:
    """Add rows to those that prepare dropped, once each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lightning_tune.prepare.quality.review import STEP

    noted = pq.read_table(path) if path.is_file() else None
    told = set() if noted is None else {tuple(row.values()) for row in noted.to_pylist()}
    new = [(row.source, row.line, STEP, row.reason) for row in rows]
    fresh = [row for row in new if row not in told]
    schema = pa.schema(
        [
            ("source", pa.string()),
            ("line", pa.int64()),
            ("step", pa.string()),
            ("reason", pa.string()),
        ]
    )
    added = (
        pa.table(
            dict(zip(schema.names, map(list, zip(*fresh, strict=True)), strict=True)), schema=schema
        )
        if fresh
        else schema.empty_table()
    )
    whole = added if noted is None else pa.concat_tables([noted, added], promote_options="default")
    _replace_table(path, whole)


def _replace_table(path: Path, table: pa.Table) -> None:
    """Write a table as prepare does: in one chunk, so that the same rows give the same bytes."""
    import pyarrow.parquet as pq

    with replace_file(path, private=True) as temporary:
        pq.write_table(
            table.combine_chunks(), temporary, row_group_size=_ROW_GROUP, compression="zstd"
        )


def _file(folder: Path, split: str) -> Path:
    return folder / f"{split}.parquet"


def read_split(folder: Path, split: str) -> pa.Table:
    """Return a split of a prepared folder.

    Raises:
        DataError: if it has none, or it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _file(folder, split)
    if not path.is_file():
        there = [name for name in SPLITS if _file(folder, name).is_file()]
        raise DataError(f"{folder} has no {split} split; it has {', '.join(there) or 'none'}.")
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as err:
        raise DataError(f"{path} is damaged ({type(err).__name__}); run prepare again.") from err


def texts_of(table: pa.Table) -> list[str]:
    """Return what a model of single texts reads: the text, of a pair both, one a line."""
    texts: list[str] = table["text"].to_pylist()
    if "text_pair" not in table.column_names:
        return texts
    return [
        f"{text}\n{pair}" for text, pair in zip(texts, table["text_pair"].to_pylist(), strict=True)
    ]


def labels_of(table: pa.Table) -> list[Label]:
    """Return the labels: names, numbers, or in multi-label data tuples of names.

    Raises:
        DataError: if the table has none.
    """
    if "label" not in table.column_names:
        raise DataError("the data has no labels; prepare it with --label.")
    return [tuple(one) if isinstance(one, list) else one for one in table["label"].to_pylist()]

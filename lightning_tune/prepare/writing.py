"""The prepared folder, whole or not at all; only its owner may look into it.

`train.parquet`, `val.parquet`, `test.parquet` and `prepare.json` are what `fit` reads;
`suspects.csv` is for a person. Where a limit is missed, the folder holds the report and the dropped
rows alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lightning_tune import __version__
from lightning_tune.prepare.pipeline import Found
from lightning_tune.prepare.quality.review import write_review
from lightning_tune.prepare.report.page import report_html
from lightning_tune.prepare.report.record import SCHEMA, PrepareReport
from lightning_tune.prepare.report.text import report_markdown
from lightning_tune.prepare.rows import joined, ordered
from lightning_tune.reports.page import write_page
from lightning_tune.tables import digest
from lightning_tune.tables.folders import appearing

SUSPECTS = "suspects.csv"
"""The table that `review --apply` takes back."""
_ROW_GROUP = 65_536
_FIELDS = ("text", "text_pair", "label", "weight", "group", "time")


def write_prepared(output: Path, found: Found, report: PrepareReport) -> None:
    """Write the folder.

    Raises:
        ConfigError: if something is there already, or it cannot be written.
        OSError: if the disk is full.
    """
    with appearing(output, private=True) as folder:
        _write_table(folder / "dropped.parquet", joined(found.dropped))
        if report.verdict != "FAIL":
            for split, table in found.written.items():
                _write_table(folder / f"{split}.parquet", ordered(table))
            _write_suspects(folder / SUSPECTS, found)
            _write_json(folder / "prepare.json", manifest(folder, found, report))
        _write_json(folder / "report.json", report.to_dict())
        write_page(folder / "report.html", report_html(report, output.name))
        text = report_markdown(report, output.name)
        (folder / "report.md").write_text(text, encoding="utf-8")


def manifest(folder: Path, found: Found, report: PrepareReport) -> dict[str, Any]:
    """Return prepare.json: what the columns mean, and where the rows come from."""
    columns = {name for table in found.splits.values() for name in table.column_names}
    files = [f"{split}.parquet" for split in found.splits]
    written = found.written
    return {
        "schema": SCHEMA,
        "version": __version__,
        "fields": {name: name if name in columns else None for name in _FIELDS},
        "task": report.task,
        "labels": list(report.labels),
        "rows": {split: table.num_rows for split, table in written.items()},
        "inputs": [
            {"name": one.name, "split": one.split, "sha256": one.digest()} for one in found.opened
        ],
        "recipe": report.recipe,
        "files": {name: digest(str(folder / name)) for name in (*files, "dropped.parquet")},
    }


def has_suspects(found: Found) -> bool:
    """Whether there are rows to review: suspects that stay in train."""
    return found.looked is not None and found.looked.counts.get("suspects", 0) > (
        found.looked.counts.get("dropped", 0)
    )


def _write_suspects(path: Path, found: Found) -> None:
    """Write the rows to review, the most doubtful first, where there are any."""
    looked = found.looked
    if has_suspects(found) and looked is not None and looked.suspects is not None:
        ranked, places = looked.suspects.ranked(), looked.places.tolist()
        write_review(path, "train", found.splits["train"], looked.suspects, ranked, places=places)


def _write_table(path: Path, table: pa.Table) -> None:
    # One chunk, so that the file does not depend on how the rows came together.
    pq.write_table(table.combine_chunks(), path, row_group_size=_ROW_GROUP, compression="zstd")


def _write_json(path: Path, values: Mapping[str, Any] | Sequence[Any]) -> None:
    text = json.dumps(values, ensure_ascii=False, indent=2)
    path.write_text(f"{text}\n", encoding="utf-8")

"""Reading and writing rows: CSV, TSV, JSON Lines and Parquet, in constant memory.

Texts stay texts: "NA" is no missing value, labels "01" and "1" differ, every field is counted.
"""

from lightning_tune.tables.files import digest, expand
from lightning_tune.tables.formats import (
    Fields,
    FormatName,
    TableFormat,
    delimiter_hint,
    is_plain,
    other_delimiter,
)
from lightning_tune.tables.rows import (
    BadRow,
    BadRows,
    RowBatch,
    open_table,
    read_header,
    read_rows,
)
from lightning_tune.tables.writing import open_rows, replace_file, write_rows

__all__ = [
    "BadRow",
    "BadRows",
    "Fields",
    "FormatName",
    "RowBatch",
    "TableFormat",
    "delimiter_hint",
    "digest",
    "expand",
    "is_plain",
    "open_rows",
    "open_table",
    "other_delimiter",
    "read_header",
    "read_rows",
    "replace_file",
    "write_rows",
]

"""The rows of a query: SQLite by Python itself, read-only; any other database by SQLAlchemy.

An answer has the order that the query asks for: without `ORDER BY` two runs may number the rows
differently.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lightning_tune.errors import ConfigError, DataError, without_password
from lightning_tune.tables.files import missing_file
from lightning_tune.tables.records import Records

BATCH_ROWS = 4096
DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql")


def is_database(spec: str) -> bool:
    """Whether a URL names a database.

    >>> is_database("sqlite:///tickets.db"), is_database("s3://bucket/train.csv")
    (True, False)
    """
    scheme, separator, _ = spec.partition("://")
    return bool(separator) and scheme.partition("+")[0] in DIALECTS


def open_query(url: str, query: str) -> QueryTable:
    """Open the answer of a query.

    Args:
        url: `sqlite:///file.db`, or any other URL that SQLAlchemy knows (extra `sql`).
        query: A SELECT.

    Raises:
        DataError: if there is no such database, or the query fails.
        ConfigError: if SQLAlchemy is needed and missing.
    """
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///")).expanduser()
        if not path.is_file():
            raise missing_file(str(path))
        return SqliteTable(url, query, path)
    return AlchemyTable(url, query)


class QueryTable(ABC):
    """The answer of a query as a table; a record's line is its row, from 1.

    Args:
        url: The database.
        query: A SELECT.
    """

    def __init__(self, url: str, query: str) -> None:
        self.shown = without_password(url)
        self.query = query
        self.names: list[str] = []

    def records(self, wanted: Sequence[str]) -> Iterator[Records]:
        """Ask the query and read the wanted columns, some thousand rows at a time."""
        places = [(name, self.names.index(name)) for name in wanted]
        row = 1
        for batch in self._batches():
            columns = {name: [_plain(values[at]) for values in batch] for name, at in places}
            yield Records(range(row, row + len(batch)), columns)
            row += len(batch)

    @abstractmethod
    def _batches(self) -> Iterator[Sequence[Sequence[Any]]]: ...

    def _failed(self, err: Exception) -> DataError:
        reason = " ".join(str(getattr(err, "orig", None) or err).split())
        return DataError(f"{self.shown}: the query failed: {reason}; correct --query.")


class SqliteTable(QueryTable):
    """The answer of a SQLite file, which is opened read-only."""

    def __init__(self, url: str, query: str, path: Path) -> None:
        super().__init__(url, query)
        self._path = path
        with self._asked() as cursor:
            self.names = [column[0] for column in cursor.description or ()]
        if not self.names:
            raise DataError(f"{self.shown}: --query answers with no columns; write a SELECT.")

    @contextmanager
    def _asked(self) -> Iterator[sqlite3.Cursor]:
        address = f"file:{quote(str(self._path.absolute()))}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True)) as connection:
                # ATTACH and VACUUM INTO would make files beside the one that is read-only
                connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
                yield connection.execute(self.query)
        except (sqlite3.Error, sqlite3.Warning) as err:
            raise self._failed(err) from err

    def _batches(self) -> Iterator[Sequence[Sequence[Any]]]:
        with self._asked() as cursor:
            while batch := cursor.fetchmany(BATCH_ROWS):
                yield batch


class AlchemyTable(QueryTable):
    """The answer of any database that SQLAlchemy speaks to, streamed where its driver can."""

    def __init__(self, url: str, query: str) -> None:
        super().__init__(url, query)
        try:
            import sqlalchemy
        except ImportError as err:
            raise ConfigError(
                f"{self.shown} needs SQLAlchemy and the database's driver; "
                "pip install 'lightning-tune[sql]'."
            ) from err
        self._errors = (sqlalchemy.exc.SQLAlchemyError,)
        try:
            self._engine = sqlalchemy.create_engine(url)
        except (*self._errors, ImportError) as err:
            raise ConfigError(f"{self.shown} cannot be opened: {err}; correct the URL.") from err
        except ValueError:  # which quotes what may be a part of the password
            raise ConfigError(f"{self.shown}: its port is no number; correct the URL.") from None
        with self._asked() as answer:
            if not answer.returns_rows:
                raise DataError(f"{self.shown}: --query answers with no columns; write a SELECT.")
            self.names = list(answer.keys())

    @contextmanager
    def _asked(self) -> Iterator[Any]:
        from sqlalchemy import text

        try:
            with self._engine.connect() as connection:
                if self._engine.dialect.name == "sqlite":  # which commits CREATE and DROP by itself
                    connection.exec_driver_sql("PRAGMA query_only = ON")
                streamed = connection.execution_options(yield_per=BATCH_ROWS)
                yield streamed.execute(text(self.query))
        except self._errors as err:
            raise self._failed(err) from err

    def _batches(self) -> Iterator[Sequence[Sequence[Any]]]:
        with self._asked() as answer:
            for batch in answer.partitions():
                yield [tuple(row) for row in batch]


def _plain(value: Any) -> Any:
    """Return a value as JSON would hold it; a time stays what it is."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value

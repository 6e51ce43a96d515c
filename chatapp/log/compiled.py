"""Statements of SQLAlchemy's that are compiled once and run by the driver itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql import Executable

Row = tuple[Any, ...]


class Compiled:
    """A statement that a message or a join costs: SQLAlchemy takes 60 µs to run one, the driver 4.

    Only for columns that the driver gives as they are (numbers, texts, NULL), and without ``IN`` of a list of
    values, which SQLAlchemy writes out anew each time; rows are plain tuples. Raises the driver's errors,
    which `chatapp.log.database.Database` knows.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._sql: dict[str, tuple[str, list[str], Mapping[str, Any]]] = {}  # by dialect

    def run(self, tx: Connection, **values: Any) -> Any:
        """Execute it; return the driver's cursor."""
        sql, names, constants = self._compiled(tx)
        return driver(tx).execute(
            sql, [values[name] if name in values else constants[name] for name in names]
        )

    def rows(self, tx: Connection, **values: Any) -> list[Row]:
        """Return all rows."""
        found: list[Row] = self.run(tx, **values).fetchall()
        return found

    def row(self, tx: Connection, **values: Any) -> Row | None:
        """Return the first row, if there is one."""
        found = self.rows(tx, **values)
        return found[0] if found else None

    def _compiled(self, tx: Connection) -> tuple[str, list[str], Mapping[str, Any]]:
        dialect = tx.dialect
        compiled = self._sql.get(dialect.name)
        if compiled is None:
            made: Any = self._statement.compile(dialect=dialect)  # type: ignore[attr-defined]
            constants = {name: value for name, value in made.params.items() if value is not None}
            compiled = self._sql[dialect.name] = str(made), list(made.positiontup), constants
        return compiled


def driver(tx: Connection) -> Any:
    """Return the driver's own connection."""
    return tx.connection.driver_connection

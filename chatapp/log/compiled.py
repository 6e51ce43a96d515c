"""Statements of SQLAlchemy's that are compiled once and run by the driver itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql import Executable

Row = tuple[Any, ...]

#: The statement as the driver takes it, its parameters in their order, the values of those that are
#: constants, and what makes others what the driver takes.
_Sql = tuple[str, list[str], Mapping[str, Any], Mapping[str, Callable[[Any], Any]]]


class Compiled:
    """A statement that a message or a join costs: SQLAlchemy takes 60 µs to run one, SQLite's driver 4.

    Only for columns that the driver gives as they are (numbers, texts, NULL), and without ``IN`` of a list of
    values, which SQLAlchemy writes out anew each time (see `chatapp.log.lists`); rows are plain tuples.
    Raises the driver's errors, which the database that `tx` comes from knows.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._sql: dict[str, _Sql] = {}  # by dialect

    def run(self, tx: Connection, **values: Any) -> Any:
        """Execute it; return the driver's cursor."""
        sql, names, constants, processors = self._compiled(tx)
        for name, process in processors.items():
            values[name] = process(values[name])
        return execute(tx, sql, [values[name] if name in values else constants[name] for name in names])

    def rows(self, tx: Connection, **values: Any) -> Sequence[Row]:
        """Return all rows."""
        found: Sequence[Row] = self.run(tx, **values).fetchall()
        return found

    def row(self, tx: Connection, **values: Any) -> Row | None:
        """Return the first row, if there is one."""
        found = self.rows(tx, **values)
        return found[0] if found else None

    def _compiled(self, tx: Connection) -> _Sql:
        dialect = tx.dialect
        compiled = self._sql.get(dialect.name)
        if compiled is None:
            # A host's own engine may want its parameters by name.
            positional = dialect if dialect.positional else type(dialect)(paramstyle="format")  # type: ignore[call-arg]
            made: Any = self._statement.compile(dialect=positional)  # type: ignore[attr-defined]
            constants = {name: value for name, value in made.params.items() if value is not None}
            processors = {
                name: process
                for name, bind in made.binds.items()
                if (process := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
            }
            compiled = self._sql[dialect.name] = str(made), list(made.positiontup), constants, processors
        return compiled


def execute(tx: Connection, sql: str, values: Sequence[Any] = ()) -> Any:
    """Have the driver itself execute `sql`, with parameters as it writes them; return its cursor."""
    connection = driver(tx)
    if tx.dialect.name == "sqlite":
        return connection.execute(sql, values)
    cursor = connection.cursor()
    cursor.execute(sql, values)
    return cursor


def driver(tx: Connection) -> Any:
    """Return the driver's own connection."""
    return tx.connection.driver_connection

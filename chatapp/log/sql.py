"""The log in an SQL database: one `SqlStore`, made of users, rooms and entries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from sqlalchemy import Connection

from chatapp.log.compiled import execute
from chatapp.log.database import Database
from chatapp.log.server_database import ServerDatabase
from chatapp.log.sql_entries import SqlEntries
from chatapp.log.sql_rooms import SqlRooms
from chatapp.log.sql_users import SqlUsers


class SqlStore(SqlUsers, SqlRooms, SqlEntries):
    """See `chatapp.log.store.Store`; `tx` is an SQLAlchemy connection inside a transaction."""

    def __init__(self, database: Database | ServerDatabase, *, reactions_per_message: int) -> None:
        super().__init__(reactions_per_message)
        self._database = database

    @property
    def blocks(self) -> bool:
        return self._database.blocks

    def transaction(self, *, write: bool) -> AbstractContextManager[Connection]:
        return self._database.transaction(write=write)

    @contextmanager
    def savepoint(self, tx: Connection) -> Iterator[None]:
        execute(tx, "SAVEPOINT job")
        try:
            yield
        except BaseException:
            with suppress(tx.dialect.loaded_dbapi.Error):  # it may have ended with what went wrong
                execute(tx, "ROLLBACK TO SAVEPOINT job")
                execute(tx, "RELEASE SAVEPOINT job")
            raise
        execute(tx, "RELEASE SAVEPOINT job")

    def close(self) -> None:
        self._database.close()

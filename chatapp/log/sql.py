"""The log in an SQL database: one `SqlStore`, made of users, rooms, entries and workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from sqlite3 import DatabaseError

from sqlalchemy import Connection

from chatapp.log.compiled import driver
from chatapp.log.database import Database
from chatapp.log.sql_entries import SqlEntries
from chatapp.log.sql_rooms import SqlRooms
from chatapp.log.sql_users import SqlUsers
from chatapp.log.sql_workers import SqlWorkers


class SqlStore(SqlUsers, SqlRooms, SqlEntries, SqlWorkers):
    """See `chatapp.log.store.Store`; `tx` is an SQLAlchemy connection inside a transaction."""

    def __init__(self, database: Database, *, reactions_per_message: int) -> None:
        super().__init__(reactions_per_message)
        self._database = database

    def transaction(self, *, write: bool) -> AbstractContextManager[Connection]:
        return self._database.transaction(write=write)

    @contextmanager
    def savepoint(self, tx: Connection) -> Iterator[None]:
        database = driver(tx)
        database.execute("SAVEPOINT job")
        try:
            yield
        except BaseException:
            with suppress(DatabaseError):  # it may have ended with what went wrong
                database.execute("ROLLBACK TO job")
                database.execute("RELEASE job")
            raise
        database.execute("RELEASE job")

    def close(self) -> None:
        self._database.close()

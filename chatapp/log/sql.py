"""The log in an SQL database: one `SqlStore`, made of users, rooms, entries and workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from sqlite3 import DatabaseError

from sqlalchemy import Connection, inspect, update

from chatapp.errors import HostingError
from chatapp.log.compiled import driver
from chatapp.log.database import Database
from chatapp.log.schema import entries, rooms
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


class BorrowedStore(SqlUsers, SqlRooms, SqlEntries):
    """The log inside a transaction of the host's: what is written is there if that is committed.

    Raises HostingError for a connection to a database without a log.
    """

    def __init__(self, connection: Connection, *, reactions_per_message: int) -> None:
        super().__init__(reactions_per_message)
        if not inspect(connection).has_table(entries.name):
            raise HostingError(
                "The connection leads to a database that holds no chat: it has to be the one that [storage]"
                " url names."
            )
        self._connection = connection

    def transaction(self, *, write: bool) -> AbstractContextManager[Connection]:
        if write:
            # Changes nothing, but begins the transaction, for SQLAlchemy and as one that writes: in SQLite
            # what is read before the first write may be outdated by the time of it.
            self._connection.execute(update(rooms).where(rooms.c.id < 0).values(last_seq=0))
        return nullcontext(self._connection)

    def savepoint(self, tx: Connection) -> AbstractContextManager[object]:
        return tx.begin_nested()

    def close(self) -> None:
        """It is the host's to close."""

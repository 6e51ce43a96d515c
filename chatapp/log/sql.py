"""The log in an SQL database: one `SqlStore`, made of users, rooms and entries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection

from chatapp.log.database import Database
from chatapp.log.sql_entries import SqlEntries
from chatapp.log.sql_rooms import SqlRooms
from chatapp.log.sql_users import SqlUsers


class SqlStore(SqlUsers, SqlRooms, SqlEntries):
    """See `chatapp.log.store.Store`; `tx` is an SQLAlchemy connection inside a transaction."""

    def __init__(self, database: Database, *, reactions_per_message: int) -> None:
        super().__init__(reactions_per_message)
        self._database = database

    def transaction(self, *, write: bool) -> AbstractContextManager[Connection]:
        return self._database.transaction(write=write)

    @contextmanager
    def savepoint(self, tx: Connection) -> Iterator[None]:
        with tx.begin_nested():
            yield

    def close(self) -> None:
        self._database.close()

"""The SQLite database: its connections, its pragmas, and what its errors mean for a sender."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.pool import NullPool

from chatapp.errors import Refusal, StorageBusy, StorageUnavailable
from chatapp.log.migrate import migrate

logger = logging.getLogger("chatapp.log")

#: Seconds after which a client may try again when the database was busy, and when it could not be
#: used at all: a lock passes by itself, a full disk wants a person.
BUSY_RETRY_SECONDS = 1
UNAVAILABLE_RETRY_SECONDS = 5


class Database:
    """Hands out connections, each to one transaction in one native thread at a time.

    Opens the file at the first transaction, and brings it up to the newest schema then. A connection
    on which a transaction failed for the storage's sake is thrown away: SQLite keeps a file that was
    read-only when it was opened read-only for as long as the connection lives.
    """

    def __init__(self, url: str, *, synchronous: str, busy_seconds: float) -> None:
        self._url = make_url(url)
        self._synchronous = synchronous
        self._busy_seconds = busy_seconds
        self._engine = sqlalchemy.create_engine(
            self._url,
            poolclass=NullPool,
            connect_args={"timeout": busy_seconds, "check_same_thread": False},
        )
        event.listen(self._engine, "connect", self._set_pragmas)
        event.listen(self._engine, "begin", _begin)
        # A deque, not SQLAlchemy's pool: its append and pop need no lock, and a lock that gevent has
        # patched must not be waited for in a native thread.
        self._idle: collections.deque[Connection] = collections.deque()
        self._migrated = False

    @contextlib.contextmanager
    def transaction(self, *, write: bool) -> Iterator[Connection]:
        """Yield a connection inside a transaction that is committed at the end.

        Raises StorageBusy or StorageUnavailable for whatever the database could not do; any other
        exception passes. Blocks; meant for a native thread.
        """
        connection = None
        try:
            connection = self._idle.pop() if self._idle else self._connect()
            connection = connection.execution_options(chatapp_write=write)
            with connection.begin():
                yield connection
        except (DBAPIError, OSError) as error:
            _discard(connection)
            refusal = refusal_for(error)
            if refusal is None:
                raise
            raise refusal from error
        except BaseException:
            self._idle.append(connection) if connection is not None else None
            raise
        self._idle.append(connection)

    def _connect(self) -> Connection:
        if not self._migrated:
            if self._url.database and self._url.database != ":memory:":
                os.makedirs(os.path.dirname(self._url.database) or ".", exist_ok=True)
            with self._engine.connect() as connection:
                migrate(connection)
            self._migrated = True
        return self._engine.connect()

    def _set_pragmas(self, connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN, not the driver
        connection.execute("PRAGMA foreign_keys = ON")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # A database that cannot be written now can be read all the same.
            logger.warning("the database stays in its journal mode: %s", error)
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            _discard(self._idle.pop())


def _begin(connection: Connection) -> None:
    # IMMEDIATE: a transaction that starts by reading and then writes would fail at once, without
    # waiting for its turn, when another process wrote in between.
    write = connection.get_execution_options().get("chatapp_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _discard(connection: Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(DBAPIError):
            connection.invalidate()
            connection.close()


def refusal_for(error: DBAPIError | OSError) -> Refusal | None:
    """Return what to tell a sender whose message met this error; None if the fault is ours."""
    if isinstance(error, (IntegrityError, ProgrammingError)):
        return None
    logger.error("the database failed: %s", getattr(error, "orig", error))
    if "locked" in str(error) or "busy" in str(error):
        return StorageBusy(retry_after=BUSY_RETRY_SECONDS)
    return StorageUnavailable(retry_after=UNAVAILABLE_RETRY_SECONDS)

"""The SQLite database: its connections, its pragmas, and what its errors mean for a sender."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy
from gevent.monkey import get_original
from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError
from sqlalchemy.pool import NullPool

from chatapp.errors import Refusal, StorageBusy, StorageUnavailable
from chatapp.log.compiled import driver
from chatapp.log.migrate import migrate
from chatapp.log.quiet import silence

#: Seconds after which a client may try again when the database was busy, and when it could not be
#: used at all: a lock passes by itself, a full disk wants a person.
BUSY_RETRY_SECONDS = 1
UNAVAILABLE_RETRY_SECONDS = 5

#: Between two looks at something that takes a moment and that nobody tells us about.
_POLL_SECONDS = 0.002

#: What a wrong statement or a wrong value causes, as SQLAlchemy or the driver calls it.
_OUR_FAULTS = (
    DataError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)

# IMMEDIATE: a transaction that starts by reading and then writes would fail at once, without waiting for
# its turn, when another process wrote in between.
_BEGIN_WRITING = "BEGIN IMMEDIATE"

# As they are before gevent patches them: see `Database`.
_allocate_lock = get_original("_thread", "allocate_lock")
_sleep = get_original("time", "sleep")


class Database:
    """Hands out connections, each to one transaction in one native thread at a time.

    Opens the file at the first transaction, and brings it up to the newest schema then.

    Nothing that runs in a native thread may wait for a lock that gevent has patched: where two threads
    do, one can wait for ever. So the locks here are Python's own, connections are opened one at a time
    (SQLAlchemy's first takes a lock of its own), and nothing is logged, for a logging handler is a lock.
    """

    def __init__(self, url: str, *, synchronous: str, busy_seconds: float) -> None:
        self._url = make_url(url)
        self._synchronous = synchronous
        self._busy_seconds = busy_seconds
        self._engine = sqlalchemy.create_engine(
            self._url,
            poolclass=NullPool,
            connect_args={"timeout": busy_seconds, "check_same_thread": False},
            hide_parameters=True,  # an error that is logged shows nobody's message
            logging_name="chatapp",
            pool_logging_name="chatapp",
        )
        silence("sqlalchemy.engine.Engine.chatapp", "sqlalchemy.pool.impl.NullPool.chatapp")
        event.listen(self._engine, "connect", self._set_pragmas)
        event.listen(self._engine, "begin", _begin)
        self._opening = _allocate_lock()
        self._migrated = False
        # Guards what follows, and is held for no longer than it takes to look.
        self._lock = _allocate_lock()
        self._idle: list[Connection] = []
        self._in_use: set[Connection] = set()
        self._outdated: set[Connection] = set()  # of those in use: to be closed after it
        self._spare: Connection | None = None  # failed, and the only one: see _give_up

    @contextlib.contextmanager
    def transaction(self, *, write: bool) -> Iterator[Connection]:
        """Yield a connection inside a transaction that is committed at the end.

        Raises StorageBusy or StorageUnavailable for whatever the database could not do; any other
        exception passes. Blocks; meant for a native thread.
        """
        try:
            connection = self._take()
            try:
                # By the driver, for by SQLAlchemy these cost more than what is done between them. It believes
                # that it has begun a transaction, too, once it runs a statement: see `_begin`.
                driver(connection).execute(_BEGIN_WRITING if write else "BEGIN")
                yield connection
                driver(connection).execute("COMMIT")
                if connection.in_transaction():
                    connection.rollback()  # nothing is left to roll back, but SQLAlchemy does not know
            except BaseException as error:
                _roll_back(connection)
                self._take_back(connection, error)
                raise
            self._put_back(connection)
        except (DBAPIError, sqlite3.Error, OSError) as error:
            refusal = refusal_for(error)
            if refusal is None:
                raise
            raise refusal from error

    def close(self) -> None:
        """Close the connections; those in use, once they no longer are."""
        with self._lock:
            self._outdated |= self._in_use
            closing = [*self._idle, *([self._spare] if self._spare else [])]
            self._idle, self._spare = [], None
        for connection in closing:
            _close(connection)

    # Connections

    def _take(self) -> Connection:
        with self._lock:
            if self._idle:
                connection = self._idle.pop()
                self._in_use.add(connection)
                return connection
        with self._opening:
            self._wait_for_outdated()
            connection = self._open()
        with self._lock:
            self._in_use.add(connection)
        return connection

    def _put_back(self, connection: Connection) -> None:
        with self._lock:
            self._in_use.discard(connection)
            if connection in self._outdated:
                self._outdated.discard(connection)
                closing: Connection | None = connection
            else:
                self._idle.append(connection)
                closing, self._spare = self._spare, None
        _close(closing)

    def _take_back(self, connection: Connection, error: BaseException) -> None:
        """Decide what becomes of a connection after an error."""
        if isinstance(error, (DBAPIError, sqlite3.Error)):
            if isinstance(refusal_for(error), StorageUnavailable):
                self._give_up(connection, read_only="readonly" in str(getattr(error, "orig", error)))
                return
        self._put_back(connection)

    def _give_up(self, connection: Connection, *, read_only: bool) -> None:
        """Use a connection no more on which a transaction failed for the storage's sake.

        A file that was read-only when it was opened stays so for all connections of the process until
        the last of them is closed: so all are, and none is opened before. In other cases the last one
        is kept until there is another: with it SQLite would remove its files -wal and -shm, and on a
        full disk they cannot be made again, which ends the reading, too.
        """
        with self._lock:
            self._in_use.discard(connection)
            self._outdated.discard(connection)
            if read_only:
                closing = [connection, *self._idle]
                self._idle = []
                self._outdated |= self._in_use
            elif self._idle or self._in_use or self._spare:
                closing = [connection]
            else:
                closing = []
                self._spare = connection
        for each in closing:
            _close(each)

    def _wait_for_outdated(self) -> None:
        deadline = time.monotonic() + self._busy_seconds
        while self._outdated and time.monotonic() < deadline:
            _sleep(_POLL_SECONDS)

    def _open(self) -> Connection:
        if not self._migrated and self._url.database:
            os.makedirs(os.path.dirname(self._url.database) or ".", exist_ok=True)
        connection = self._engine.connect()
        try:
            if not self._migrated:
                migrate(connection)
                self._migrated = True
        except BaseException:
            _close(connection)
            raise
        return connection

    def _set_pragmas(self, connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN, not the driver
        connection.execute("PRAGMA foreign_keys = ON")
        self._use_wal(connection)
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "readonly" in str(error):
                    return  # a database that cannot be written now can be read all the same
                # For this lock SQLite does not wait by itself. Another process makes the file right now.
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
            _sleep(_POLL_SECONDS)


def _roll_back(connection: Connection) -> None:
    with contextlib.suppress(sqlite3.Error):  # the transaction may have ended with what went wrong
        driver(connection).execute("ROLLBACK")
    with contextlib.suppress(DBAPIError):
        connection.rollback()


def _begin(connection: Connection) -> None:
    if not driver(connection).in_transaction:
        writes = connection.get_execution_options().get("chatapp_write", True)  # see `migrate`
        connection.exec_driver_sql(_BEGIN_WRITING if writes else "BEGIN")


def _close(connection: Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(DBAPIError):
            connection.invalidate()
            connection.close()


def _is_busy(error: object) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def refusal_for(error: DBAPIError | sqlite3.Error | OSError) -> Refusal | None:
    """Return what to tell a sender whose message met this error; None if the fault is ours."""
    if isinstance(error, _OUR_FAULTS):
        return None
    # Not the whole error: it quotes the statement.
    if _is_busy(getattr(error, "orig", error)):
        return StorageBusy(retry_after=BUSY_RETRY_SECONDS)
    return StorageUnavailable(retry_after=UNAVAILABLE_RETRY_SECONDS)

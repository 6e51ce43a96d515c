"""A PostgreSQL, MySQL or MariaDB server as the log's database: its connections and its transactions."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import sqlalchemy
from gevent import monkey
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool, QueuePool

from chatapp.errors import Internal, Refusal, SettingsError, StorageBusy, StorageUnavailable
from chatapp.log import mysql, postgresql
from chatapp.log.compiled import driver
from chatapp.log.database import BUSY_RETRY_SECONDS, UNAVAILABLE_RETRY_SECONDS
from chatapp.log.migrate import migrate
from chatapp.log.quiet import silence
from chatapp.log.repeats import Undecided, Undone
from chatapp.log.verdicts import Verdict

#: How long a connection may take to be made. Who is sent to wait for a server that is away waits so long.
CONNECT_SECONDS = 3

#: After a connection could not be made, none is tried for so long: who waits behind that one need not wait as
#: long once more.
AWAY_SECONDS = 1

#: Transactions that write at a time. A server's process has one writer; those without gevent may have more.
WRITERS = 2

#: Proxies and servers end connections that nobody uses; this is well below what any of them is known to do.
RECYCLE_SECONDS = 280

KINDS: dict[str, ModuleType] = {"postgresql": postgresql, "mysql": mysql}


class ServerDatabase:
    """Hands out connections of a bounded pool, each to one transaction at a time.

    Connects at the first transaction, and brings the database up to the newest schema then. In a process that
    gevent has patched a transaction blocks its greenlet, in any other its thread. Raises SettingsError where
    the driver is not installed.
    """

    def __init__(self, url: str, *, busy_seconds: float, readers: int) -> None:
        self._url = make_url(url)
        self._kind = KINDS[self._url.get_backend_name()]
        self._busy_seconds = busy_seconds
        # The writer reads, too, where nothing of a batch writes.
        self._reading = self._engine(write=False, pool_size=readers + 1)
        self._writing = self._engine(write=True, pool_size=WRITERS)
        self._errors: type[Exception] = self._writing.dialect.loaded_dbapi.Error
        self._integrity_error: type[Exception] = self._writing.dialect.loaded_dbapi.IntegrityError
        #: Whether a transaction blocks its thread; if not, only its greenlet.
        self.blocks = not monkey.is_module_patched("socket")
        self._migrating = threading.Lock()
        self._migrated = False
        self._away_until_seconds = 0.0  # on the monotonic clock

    @contextlib.contextmanager
    def transaction(self, *, write: bool) -> Iterator[Connection]:
        """Yield a connection inside a transaction that is committed at the end.

        One that only reads sees the database as it is at its beginning. Raises StorageBusy or
        StorageUnavailable for whatever the database could not do, Undone and Undecided for what may be
        tried again; any other exception passes.
        """
        connection = self._connect(write)
        is_committing = False
        try:
            yield connection
            is_committing = write
            if connection.in_transaction():  # SQLAlchemy believes so once it has run a statement itself
                connection.commit()
            else:
                driver(connection).commit()
        except BaseException as error:
            meant = self._settle(connection, error, is_committing=is_committing)
            if meant is None:
                raise
            raise meant from error
        connection.close()

    def close(self) -> None:
        """Close the connections; those in use, once they no longer are."""
        for engine in (self._reading, self._writing):
            engine.dispose()

    # Connections

    def _engine(self, *, write: bool, pool_size: int) -> Engine:
        engine = _create_engine(
            self._url,
            self._kind,
            busy_seconds=self._busy_seconds,
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=self._busy_seconds,
            pool_recycle=RECYCLE_SECONDS,
            pool_use_lifo=True,
            pool_reset_on_return=None,  # a transaction is over when its connection comes back
        )

        def set_up(connection: Any, _record: Any) -> None:
            self._kind.set_up(connection, write=write, busy_seconds=self._busy_seconds)

        event.listen(engine, "connect", set_up)
        return engine

    def _connect(self, write: bool) -> Connection:
        if time.monotonic() < self._away_until_seconds:
            raise _refusal(Verdict.LOST)
        try:
            if not self._migrated:
                self._migrate()
            return (self._writing if write else self._reading).connect()
        except PoolTimeout as error:
            raise StorageBusy(retry_after=BUSY_RETRY_SECONDS) from error
        except (DBAPIError, self._errors, TimeoutError) as error:
            found = self._verdict(error)
            if found is Verdict.OURS:
                raise
            if found is Verdict.LOST:
                self._away_until_seconds = time.monotonic() + AWAY_SECONDS
            raise _refusal(found) from error

    def _migrate(self) -> None:
        # By a connection of its own, which may take its time. It is made before the lock is taken: while the
        # server is away all who come wait at the same time, rather than one after the other.
        engine = _create_engine(self._url, self._kind, busy_seconds=self._busy_seconds, poolclass=NullPool)
        event.listen(engine, "connect", lambda connection, _: self._kind.set_up_for_migrations(connection))
        with engine.connect() as connection, self._migrating:
            if not self._migrated:
                migrate(connection, self._kind.migrating)
                self._migrated = True

    # What became of a transaction

    def _settle(
        self, connection: Connection, error: BaseException, *, is_committing: bool
    ) -> Exception | None:
        """End a transaction that met `error`; return what that means, or None if it means what it is."""
        if not isinstance(error, Exception):  # it came from outside, in the middle of something
            _drop(connection)
            return None
        if not isinstance(error, (DBAPIError, self._errors)):
            self._roll_back(connection)
            return None
        found = self._verdict(error)
        if found is Verdict.LOST:
            _drop(connection)
            for engine in (self._reading, self._writing):  # the other connections are most likely gone, too
                engine.dispose()
            return Undecided(_refusal(found)) if is_committing else Undone(_refusal(found))
        self._roll_back(connection)
        if found is Verdict.CONFLICT:
            # Where trying again does not help, what is there is no work of others, but a fault of ours.
            is_duplicate = isinstance(getattr(error, "orig", error), self._integrity_error)
            return Undone(Internal() if is_duplicate else _refusal(found))
        return None if found is Verdict.OURS else _refusal(found)

    def _roll_back(self, connection: Connection) -> None:
        try:
            if connection.in_transaction():
                connection.rollback()
            driver(connection).rollback()
        except (DBAPIError, self._errors):
            _drop(connection)
        else:
            connection.close()

    def _verdict(self, error: Exception) -> Verdict:
        found: Verdict = self._kind.verdict(getattr(error, "orig", error))
        return found


def storage_fault(url: str) -> str | None:
    """Return why the database server at `url` cannot be used, in one sentence; None if it can."""
    url_ = make_url(url)
    kind = KINDS[url_.get_backend_name()]
    try:
        engine = _create_engine(url_, kind, busy_seconds=CONNECT_SECONDS, poolclass=NullPool)
        with engine.connect() as connection:
            why = kind.unsuitable(connection)
        return None if why is None else f"[storage] url: {_NAMES[kind]} cannot be used: {why}"
    except SettingsError as error:
        return error.message
    except DBAPIError as error:
        # The driver's own words name the user, the host and the database, and no password.
        said = error.orig.args[-1] if error.orig is not None and error.orig.args else error
        return f"[storage] url: {_NAMES[kind]} cannot be used: {_one_line(str(said), url_)}"


_NAMES = {postgresql: "PostgreSQL", mysql: "MySQL"}


def _one_line(said: str, url: URL) -> str:
    line = " ".join(said.split())
    return line.replace(str(url.password), "***") if url.password else line


def _create_engine(url: URL, kind: ModuleType, *, busy_seconds: float, **options: Any) -> Engine:
    try:
        engine = sqlalchemy.create_engine(
            url,
            connect_args=kind.connect_args(CONNECT_SECONDS, busy_seconds),
            paramstyle="format",  # see `Compiled`
            hide_parameters=True,  # an error that is logged shows nobody's message
            logging_name="chatapp",
            pool_logging_name="chatapp",
            **options,
        )
    except ModuleNotFoundError as error:
        raise SettingsError(
            [f"[storage] url: {kind.DRIVER} is not installed; run: pip install 'chatapp[{kind.EXTRA}]'"]
        ) from error
    pool = type(engine.pool).__name__
    silence("sqlalchemy.engine.Engine.chatapp", f"sqlalchemy.pool.impl.{pool}.chatapp")
    return engine


def _drop(connection: Connection) -> None:
    with contextlib.suppress(DBAPIError):
        connection.invalidate()
        connection.close()


def _refusal(verdict: Verdict) -> Refusal:
    if verdict in (Verdict.BUSY, Verdict.CONFLICT):
        return StorageBusy(retry_after=BUSY_RETRY_SECONDS)
    return StorageUnavailable(retry_after=UNAVAILABLE_RETRY_SECONDS)


__all__ = ["ServerDatabase", "storage_fault"]

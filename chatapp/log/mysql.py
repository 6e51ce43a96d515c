"""MySQL and MariaDB, by PyMySQL: how connections are set up, and what their errors mean."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text

from chatapp.log.verdicts import Verdict

DRIVER = "pymysql"
EXTRA = "mysql"

#: Longer than any statement of ours waits for a lock: a server that is silent for so long is gone.
_SILENCE_SECONDS = 10

#: After so long MariaDB ends a transaction whose process stands still, and with it the others' waiting.
_IDLE_SECONDS = 30

#: How long a process waits for another that runs migrations.
_MIGRATION_SECONDS = 60

# https://mariadb.com/kb/en/mariadb-error-code-reference/, and for 20xx the list of the client's errors
_CONFLICTS = {
    1020,  # record has changed since last read
    1062,  # duplicate entry: another process has just made the same room, user or member
    1213,  # deadlock
}
_LOST = {
    0,  # of the driver's own: the connection is closed
    1053,  # server shutdown in progress
    1152,  # aborted connection
    1158,  # network error
    1159,  # network timeout
    1160,  # network error
    1161,  # network timeout
    1184,  # aborted connection
    1927,  # connection was killed
    2006,  # server has gone away
    2013,  # lost connection during query
    2014,  # commands out of sync
    2055,  # lost connection
    4031,  # disconnected after inactivity
}
_BUSY = {
    1040,  # too many connections
    1203,  # too many connections of this user
    1205,  # lock wait timeout: it has waited for busy_seconds
    1226,  # a limit of this user's
    1317,  # query interrupted
    1969,  # max_statement_time exceeded
    3024,  # max_execution_time exceeded
}
_UNAVAILABLE = {
    1044,  # access denied to the database
    1045,  # access denied: wrong password
    1049,  # unknown database
    1142,  # command denied
    1698,  # access denied
}


def connect_args(connect_seconds: float, busy_seconds: float) -> dict[str, Any]:
    """Return what the driver's ``connect`` gets beside the URL."""
    return {
        "charset": "utf8mb4",
        "connect_timeout": connect_seconds,
        "read_timeout": connect_seconds,  # the server's greeting belongs to it
        "write_timeout": _lock_seconds(busy_seconds) + _SILENCE_SECONDS,
    }


def set_up(connection: Any, *, write: bool, busy_seconds: float) -> None:
    """Prepare a new connection of the driver's for transactions that write, or for those that only read:
    these see the database as it is when they begin, all the time."""
    # The driver takes it with `connect` only, where it has to be short.
    connection._read_timeout = _lock_seconds(busy_seconds) + _SILENCE_SECONDS
    level = "READ COMMITTED" if write else "REPEATABLE READ"
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
        cursor.execute(
            # Strict: what does not fit is an error, rather than cut off. What stands between /*M! and */ is
            # for MariaDB alone.
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
            f" innodb_lock_wait_timeout = {_lock_seconds(busy_seconds)}"
            f" /*M!100300 , idle_write_transaction_timeout = {_IDLE_SECONDS} */"
        )
    connection.commit()


def set_up_for_migrations(connection: Any) -> None:
    """Prepare a new connection of the driver's for statements that may take long."""
    connection._read_timeout = None


def _lock_seconds(busy_seconds: float) -> int:
    return max(1, round(busy_seconds))


def verdict(error: Any) -> Verdict:
    """Return what `error`, of the driver's, means."""
    import pymysql

    code = error.args[0] if error.args else None
    if not isinstance(code, int):  # the driver could make nothing of what it received, or was killed in it
        lost = isinstance(error, (pymysql.InternalError, pymysql.InterfaceError, pymysql.OperationalError))
        return Verdict.LOST if lost else Verdict.OURS
    for codes, found in (
        (_CONFLICTS, Verdict.CONFLICT),
        (_LOST, Verdict.LOST),
        (_BUSY, Verdict.BUSY),
        (_UNAVAILABLE, Verdict.UNAVAILABLE),
    ):
        if code in codes:
            return found
    # Full disks, tables that only can be read, and the like.
    is_theirs = isinstance(error, (pymysql.OperationalError, pymysql.InternalError))
    return Verdict.UNAVAILABLE if is_theirs else Verdict.OURS


def unsuitable(connection: Connection) -> str | None:
    """Return why this database cannot keep a log, if so, as the end of a sentence."""
    dialect: Any = connection.dialect
    name, least = ("MariaDB", (10, 6)) if dialect.is_mariadb else ("MySQL", (8, 0))
    version = dialect.server_version_info[:2]
    if version >= least:
        return None
    return f"it is {name} {'.'.join(map(str, version))}, and needs to be {'.'.join(map(str, least))} or newer"


@contextmanager
def migrating(connection: Connection) -> Iterator[None]:
    """Be in a transaction during which no other process runs migrations on this database."""
    # The name is the server's, not the database's, and has 64 characters at most.
    lock = "CONCAT('chatapp ', SHA1(DATABASE()))"
    deadline = time.monotonic() + _MIGRATION_SECONDS
    while connection.scalar(text(f"SELECT GET_LOCK({lock}, 1)")) != 1:
        if time.monotonic() > deadline:
            raise TimeoutError("another process has been running migrations for too long")
    connection.commit()
    try:
        with connection.begin():
            yield
    finally:
        # Not sooner, or the next would not see yet what has been done.
        connection.execute(text(f"SELECT RELEASE_LOCK({lock})"))

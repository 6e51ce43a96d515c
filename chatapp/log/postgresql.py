"""PostgreSQL, by psycopg 3: how connections are set up, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text

from chatapp.log.verdicts import Verdict

DRIVER = "psycopg"
EXTRA = "postgres"

#: A server that is gone without a word, a host that lost its power say, is given up after so long.
_KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # ms
}

#: After so long the server ends a transaction whose process stands still, and with it the others' waiting.
_IDLE_SECONDS = 30

#: Each of our statements has its index. But a plan is kept from the first executions on, and where a table is
#: empty then, one that reads all of it looks as good as any.
_PLANNING = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}

#: Any number, but always the same.
_MIGRATION_LOCK = 0x63686174

# By their classes and codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICTS = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "23505",  # unique_violation: another process has just made the same room, user or member
}
_LOST = {
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now
    "57P05",  # idle_session_timeout
    "25P03",  # idle_in_transaction_session_timeout
}
_BUSY = {
    "55P03",  # lock_not_available: it has waited for busy_seconds
    "57014",  # query_canceled, by a timeout of the server's
    "53300",  # too_many_connections
}
_UNAVAILABLE = {
    "25006",  # read_only_sql_transaction: a replica
    "42501",  # insufficient_privilege
}
#: insufficient resources, system error, configuration, internal error, unknown role, unknown database
_UNAVAILABLE_CLASSES = {"53", "58", "F0", "XX", "28", "3D"}


def connect_args(connect_seconds: float, busy_seconds: float) -> dict[str, Any]:
    """Return what the driver's ``connect`` gets beside the URL."""
    # libpq counts whole seconds, and takes 1 for 2.
    return {"connect_timeout": max(2, round(connect_seconds)), **_KEEPALIVE}


def set_up(connection: Any, *, write: bool, busy_seconds: float) -> None:
    """Prepare a new connection of the driver's for transactions that write, or for those that only read:
    these see the database as it is when they begin, all the time."""
    import psycopg

    settings = {
        "lock_timeout": f"{int(busy_seconds * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
        **_PLANNING,
    }
    values = [part for setting in settings.items() for part in setting]
    connection.execute(f"SELECT {', '.join(['set_config(%s, %s, false)'] * len(settings))}", values)
    connection.commit()
    connection.read_only = not write
    level = psycopg.IsolationLevel.READ_COMMITTED if write else psycopg.IsolationLevel.REPEATABLE_READ
    connection.isolation_level = level


def set_up_for_migrations(connection: Any) -> None:
    """Prepare a new connection of the driver's for statements that may take long: nothing hinders them."""


def verdict(error: Any) -> Verdict:
    """Return what `error`, of the driver's, means."""
    import psycopg

    state = getattr(error, "sqlstate", None)
    if state is None:
        lost = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
        return Verdict.LOST if lost else Verdict.OURS
    if state in _CONFLICTS:
        return Verdict.CONFLICT
    if state in _LOST or state[:2] == "08":
        return Verdict.LOST
    if state in _BUSY:
        return Verdict.BUSY
    if state in _UNAVAILABLE or state[:2] in _UNAVAILABLE_CLASSES:
        return Verdict.UNAVAILABLE
    return Verdict.OURS


def unsuitable(connection: Connection) -> str | None:
    """Return why this database cannot keep a log, if so, as the end of a sentence."""
    encoding = connection.scalar(text("SHOW server_encoding"))
    return None if encoding == "UTF8" else f"its encoding is {encoding}; make one with ENCODING 'UTF8'"


@contextmanager
def migrating(connection: Connection) -> Iterator[None]:
    """Be in a transaction in which no other process runs migrations on this database."""
    with connection.begin():
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        yield  # the end of the transaction lets it go

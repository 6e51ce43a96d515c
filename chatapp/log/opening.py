"""Which log the settings describe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from chatapp.log.database import Database
from chatapp.log.log import Log
from chatapp.log.memory import MemoryStore
from chatapp.log.server_database import ServerDatabase
from chatapp.log.sql import BorrowedStore, SqlStore
from chatapp.log.store import Store
from chatapp.settings import Settings


def open_log(
    settings: Settings,
    observe: Callable[[int, float], None] = lambda size, seconds: None,
    soon: Callable[[Callable[[], None]], None] | None = None,
) -> Log:
    """Return the log that ``[storage]`` and ``[history]`` describe. Opens nothing yet. For `observe` and
    `soon` see `GroupCommit`. Raises SettingsError where the database's driver is not installed."""
    is_stored = settings.storage_url is not None
    readers = settings.storage.readers if is_stored else 0
    return _log(settings, _store(settings), readers=readers, observe=observe, soon=soon)


def open_log_at_once(settings: Settings, connection: Connection | None = None) -> Log:
    """Return the log for a process that serves nobody, in which each call is a transaction in the thread that
    makes it; or, with a connection of the host's, a part of its transaction. Raises HostingError."""
    reactions = settings.limits.reactions_per_message
    store: Store
    if connection is None:
        store = _store(settings)
    else:
        store = BorrowedStore(connection, reactions_per_message=reactions)
    return _log(settings, store, readers=0, at_once=True)


def _store(settings: Settings) -> Store:
    url, storage = settings.storage_url, settings.storage
    if url is None:
        return MemoryStore()
    database: Database | ServerDatabase
    if url.startswith("sqlite"):
        database = Database(url, synchronous=storage.synchronous, busy_seconds=storage.busy_seconds)
    else:
        database = ServerDatabase(url, busy_seconds=storage.busy_seconds, readers=storage.readers)
    return SqlStore(database, reactions_per_message=settings.limits.reactions_per_message)


def _log(settings: Settings, store: Store, **options: Any) -> Log:
    return Log(
        store,
        max_waiting=settings.limits.waiting_writes,
        page_limit=settings.history.page_limit,
        catch_up=settings.history.catch_up,
        page_bytes=settings.history.page_bytes,
        **options,
    )

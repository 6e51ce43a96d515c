"""The native threads in which the database is asked: one that writes, several that read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool

from chatapp.errors import Internal, Refusal
from chatapp.log.store import Store
from chatapp.log.writer import Job, closing, log_failures

T = TypeVar("T")


class Threads:
    """Starts its threads at the first need. Without readers everything runs where it is called, for a
    store that never blocks."""

    def __init__(self, store: Store, readers: int) -> None:
        self._store = store
        self._readers = readers
        self._pools: tuple[ThreadPool, ThreadPool] | None = None  # of the readers, of the writer
        self._closed = False
        self._reading = 0
        self._idle = Event()
        self._idle.set()

    def write(self, work: Callable[[Sequence[Job]], list[Any]], batch: Sequence[Job]) -> list[Any]:
        """Run ``work(batch)`` in the writer's thread; only the event loop waits for nobody."""
        pools = self._started()
        if pools is None:
            return work(batch)
        outcomes: list[Any] = pools[1].apply(work, (batch,))
        return outcomes

    def read(self, work: Callable[[Any], T]) -> T:
        """Return ``work(tx)``, run in a transaction of its own. Raises the refusal."""
        if self._closed:
            raise closing()
        pools = self._started()
        self._reading += 1
        self._idle.clear()
        try:
            result, refusal = self._try(work) if pools is None else pools[0].apply(self._try, (work,))
        finally:
            self._reading -= 1
            if not self._reading:
                self._idle.set()
        if refusal is not None:
            log_failures([refusal])
            raise refusal.with_traceback(None)
        return cast(T, result)

    def close(self, timeout_seconds: float) -> None:
        """Refuse what comes from now on, and end the threads once they have done what came before."""
        self._closed = True
        pools, self._pools = self._pools, None
        # A pool that is killed forgets who waits for a thread of it.
        self._idle.wait(timeout_seconds)
        with gevent.Timeout(timeout_seconds, False):
            for pool in pools or ():
                pool.kill()

    def _started(self) -> tuple[ThreadPool, ThreadPool] | None:
        if self._pools is None and self._readers:
            self._pools = ThreadPool(self._readers), ThreadPool(1)
        return self._pools

    def _try(self, work: Callable[[Any], T]) -> tuple[T | None, Refusal | None]:
        """Return the result or the refusal: gevent prints the traceback of what a thread raises. Nothing
        is logged there, see `chatapp.log.database.Database`."""
        try:
            return self._read(work), None
        except Refusal as refusal:
            return None, refusal

    def _read(self, work: Callable[[Any], T]) -> T:
        try:
            with self._store.transaction(write=False) as tx:
                return work(tx)
        except Refusal:
            raise
        except Exception as error:
            raise Internal() from error

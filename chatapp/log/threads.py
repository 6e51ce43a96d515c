"""Where the database is asked: one native thread, or greenlet, that writes, and several that read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from gevent._hub_local import get_hub_if_exists
from gevent.event import AsyncResult, Event

from chatapp.errors import Internal, Refusal
from chatapp.log.batches import log_failures
from chatapp.log.greenlets import Greenlets
from chatapp.log.native import Done, NativeThread, NativeThreads, Work
from chatapp.log.repeats import until_done
from chatapp.log.store import Store
from chatapp.log.writer import closing

T = TypeVar("T")


class Threads:
    """Starts its threads at the first need; a store that blocks no thread has greenlets instead. Without
    readers everything runs where it is called, for a store that never blocks."""

    def __init__(self, store: Store, readers: int) -> None:
        self._store = store
        self._readers = readers
        self._writer: NativeThread | Greenlets = NativeThread() if store.blocks else Greenlets(1)
        self._pool = NativeThreads(readers) if store.blocks else Greenlets(readers)
        self._closed = False
        self._reading = 0
        self._idle = Event()
        self._idle.set()

    def write(self, work: Work, done: Done) -> None:
        """Run ``work()`` where the writer is and, in the event loop, ``done(result, error)``. One at a
        time: the next when the one before is done."""
        self._writer.do(work, done)

    def read(self, work: Callable[[Any], T]) -> T:
        """Return ``work(tx)``, run in a transaction of its own. Raises the refusal."""
        if self._closed:
            raise closing()
        # A thread without gevent's hub runs no event loop: that of a site in threads, which asks for the
        # chat's health. It may block, and must not share what belongs to another thread's loop.
        if not self._readers or get_hub_if_exists() is None:
            result, refusal = self._try(work)
        else:
            result, refusal = self._read_in_pool(work)
        if refusal is not None:
            log_failures([refusal])
            raise refusal.with_traceback(None)
        return cast(T, result)

    def close(self, timeout_seconds: float) -> None:
        """Refuse what comes from now on, and end the threads once they have done what came before."""
        self._closed = True
        self._writer.close(timeout_seconds)
        self._idle.wait(timeout_seconds)
        self._pool.close(timeout_seconds)

    def _read_in_pool(self, work: Callable[[Any], T]) -> tuple[T | None, Refusal | None]:
        found = AsyncResult()

        def done(result: Any, error: BaseException | None) -> None:
            self._reading -= 1
            if not self._reading:
                self._idle.set()
            if error is None:
                found.set(result)
            else:
                found.set_exception(error)

        self._pool.do(lambda: self._try(work), done)
        self._reading += 1
        self._idle.clear()
        outcome: tuple[T | None, Refusal | None] = found.get()
        return outcome

    def _try(self, work: Callable[[Any], T]) -> tuple[T | None, Refusal | None]:
        """Return the result or the refusal. Nothing is logged here: see `chatapp.log.database.Database`."""
        try:
            return self._read(work), None
        except Refusal as refusal:
            return None, refusal

    def _read(self, work: Callable[[Any], T]) -> T:
        def attempt() -> T:
            with self._store.transaction(write=False) as tx:
                return work(tx)

        try:
            return until_done(attempt)
        except Refusal:
            raise
        except Exception as error:
            raise Internal() from error

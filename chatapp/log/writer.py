"""Group commit: all that waits is written in one transaction and handed on in its order."""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from gevent import get_hub
from gevent.event import AsyncResult, Event

from chatapp.domain.messages import Draft
from chatapp.errors import Refusal, StorageBusy, StorageUnavailable
from chatapp.log.batches import Batches, Job, log_failures
from chatapp.log.native import Done, Work
from chatapp.log.store import Store

logger = logging.getLogger("chatapp.log")

#: The most jobs in one transaction: keeps the time that the native thread holds the interpreter,
#: and with it the event loop, short.
MAX_BATCH = 500


class GroupCommit:
    """Takes whatever waits and has it written in one transaction.

    There is no timer: while one batch is written the next one gathers, so batches grow with the load
    and a lone message waits for nobody. ``soon(call)`` has a batch begun in the loop, once what goes on in
    it now is over. ``run(work, done)`` calls `work` where it may block (a native
    thread) and then ``done(result, error)`` in the event loop. There is no greenlet either: a batch
    begins and ends in callbacks of the loop, for switching to one and waking it costs more than they do.
    """

    def __init__(
        self,
        store: Store,
        *,
        run: Callable[[Work, Done], None],
        max_waiting: int,
        clock: Callable[[], float] = time.time,
        observe: Callable[[int, float], None] = lambda size, seconds: None,
        soon: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self._batches = Batches(store, clock)
        self._soon = soon or _in_next_round
        self._run = run
        self._max_waiting = max_waiting
        self._observe = observe
        self._waiting: collections.deque[Job] = collections.deque()
        self._under_way: list[Job] = []
        self._began_seconds = 0.0
        self._is_busy = False  # a batch is under way, or the loop has been asked to begin one
        self._handed_on = 0  # jobs
        #: Who waits until so many jobs are handed on, in the order of these numbers.
        self._waiters: collections.deque[tuple[int, Event]] = collections.deque()
        self._closed = False
        #: Called when a batch is committed, before it is handed on. Set once.
        self.on_commit: Callable[[], None] = lambda: None

    @property
    def waiting(self) -> int:
        """How many jobs wait for their commit."""
        return len(self._waiting)

    @property
    def is_committing(self) -> bool:
        """Whether a batch is being written, after which `on_commit` will be called."""
        return bool(self._under_way)

    def append(self, draft: Draft, then: Callable[[Any], None]) -> None:
        """Submit the append of `draft`."""
        self.submit(Job(draft, then=then))

    def submit(self, job: Job) -> None:
        """Have `job` done after all that was submitted before. Raises the refusal if that cannot be."""
        if self._closed:
            raise closing()
        if len(self._waiting) >= self._max_waiting:
            raise StorageBusy(retry_after=1)
        self._waiting.append(job)
        if not self._is_busy:
            self._is_busy = True
            self._soon(self._begin)

    def carry_out(self, job: Job) -> Any:
        """Submit `job` and wait until it is handed on; return its outcome or raise its refusal."""
        result, then = AsyncResult(), job.then

        def finish(outcome: Any) -> None:
            try:
                if then is not None:
                    then(outcome)
            finally:
                result.set(outcome)

        job.then = finish
        self.submit(job)
        outcome = result.get()
        if isinstance(outcome, Refusal):
            # One refusal may be that of a whole batch: each sender starts its traceback anew.
            raise outcome.with_traceback(None)
        return outcome

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until all that was submitted before is handed on. Return whether it is."""
        ahead = len(self._under_way) + len(self._waiting)
        if not ahead:
            return True
        handed_on = Event()
        self._waiters.append((self._handed_on + ahead, handed_on))
        return bool(handed_on.wait(timeout_seconds))

    def close(self, timeout_seconds: float) -> None:
        """Take nothing more, and wait for what is under way; refuse what is not written in time."""
        self._closed = True
        if not self.wait(timeout_seconds):
            late = [*self._under_way, *self._waiting]
            logger.error("%d entries were not written in time", len(late))
            self._waiting.clear()
            self._hand_on(late, [closing() for _ in late])

    def _begin(self) -> None:
        if not self._waiting:
            return  # `close` has refused what the loop was asked to begin
        size = min(len(self._waiting), MAX_BATCH)
        batch = self._under_way = [self._waiting.popleft() for _ in range(size)]
        self._began_seconds = time.perf_counter()
        try:
            self._run(partial(self._batches.attempt, batch), partial(self._finish, batch))
        except Exception as error:  # noqa: BLE001 - the senders are told, and the log file
            self._finish(batch, None, error)

    def _finish(self, batch: list[Job], outcomes: list[Any] | None, error: BaseException | None) -> None:
        if batch is not self._under_way:
            return  # `close` has refused it
        if outcomes is None:
            _log_soon(lambda: logger.error("nothing can be written", exc_info=error))
            outcomes = [StorageUnavailable(retry_after=1) for _ in batch]
        elif any(isinstance(outcome, Refusal) for outcome in outcomes):
            _log_soon(partial(log_failures, outcomes))
        self._observe(len(batch), time.perf_counter() - self._began_seconds)
        try:
            self.on_commit()
        except Exception as failure:  # noqa: BLE001 - logged, with its traceback
            _log_soon(partial(_log_unhanded, failure))
        self._hand_on(batch, outcomes)
        if self._waiting:
            self._soon(self._begin)
        else:
            self._is_busy = False

    def _hand_on(self, batch: list[Job], outcomes: list[Any]) -> None:
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.then is not None:
                try:
                    job.then(outcome)
                except Exception as error:  # noqa: BLE001 - logged, with its traceback
                    _log_soon(partial(_log_unhanded, error))
        self._under_way = []
        self._handed_on += len(batch)
        while self._waiters and self._waiters[0][0] <= self._handed_on:
            self._waiters.popleft()[1].set()


def _in_next_round(call: Callable[[], None]) -> None:
    get_hub().loop.run_callback(call)


def closing() -> StorageUnavailable:
    """Return the refusal of whatever comes too late."""
    return StorageUnavailable("The server is shutting down.", retry_after=1)


def _log_unhanded(error: Exception) -> None:
    logger.error("a committed entry could not be handed on", exc_info=error)


def _log_soon(log: Callable[[], None]) -> None:
    """Log in a greenlet: the locks of a logging handler may have to be waited for, which the event loop
    cannot."""
    gevent.spawn(log)

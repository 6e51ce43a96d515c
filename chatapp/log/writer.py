"""Group commit: all that waits is written in one transaction and handed on in its order."""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.event import AsyncResult, Event

from chatapp.domain.messages import Draft
from chatapp.errors import Internal, Refusal, StorageBusy, StorageUnavailable
from chatapp.log.store import Store

logger = logging.getLogger("chatapp.log")

#: The most jobs in one transaction: keeps the time that the native thread holds the interpreter,
#: and with it the event loop, short.
MAX_BATCH = 500


@dataclass(slots=True)
class Job:
    """One thing to do in the log's order: a draft to append, or any other work.

    `then` gets the outcome in the order of the commits, before the sender goes on; it must not block.
    """

    draft: Draft | None = None
    work: Callable[[Any], Any] | None = None
    writes: bool = True
    then: Callable[[Any], None] | None = None
    outcome: AsyncResult = field(default_factory=AsyncResult)


class GroupCommit:
    """One greenlet that takes whatever waits and has it written in one transaction.

    There is no timer: while one batch is written the next one gathers, so batches grow with the load
    and a lone message waits for nobody. `run` calls a function where it may block (a native thread).
    """

    def __init__(
        self,
        store: Store,
        *,
        run: Callable[[Callable[[Sequence[Job]], list[Any]], Sequence[Job]], list[Any]],
        max_waiting: int,
        clock: Callable[[], float] = time.time,
        observe: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self._store = store
        self._run = run
        self._max_waiting = max_waiting
        self._clock = clock
        self._observe = observe
        self._waiting: collections.deque[Job] = collections.deque()
        self._under_way: list[Job] = []
        self._wake = Event()
        self._idle = Event()
        self._idle.set()
        self._greenlet: gevent.Greenlet | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many jobs wait for their commit."""
        return len(self._waiting)

    def submit(self, job: Job) -> Any:
        """Wait until `job` is committed and handed on; return its outcome or raise its refusal."""
        if self._closed:
            raise closing()
        if len(self._waiting) >= self._max_waiting:
            raise StorageBusy(retry_after=1)
        if not self._greenlet:
            self._greenlet = gevent.spawn(self._write_for_ever)
        self._waiting.append(job)
        self._idle.clear()
        self._wake.set()
        outcome = job.outcome.get()
        if isinstance(outcome, Refusal):
            # One refusal may be that of a whole batch: each sender starts its traceback anew.
            raise outcome.with_traceback(None)
        return outcome

    def close(self, timeout_seconds: float) -> None:
        """Take nothing more, and wait for what is under way; refuse what is not written in time."""
        self._closed = True
        if not self._idle.wait(timeout_seconds):
            logger.error("%d entries were not written in time", len(self._under_way) + len(self._waiting))
        if self._greenlet is not None:
            self._greenlet.kill()
        for job in (*self._under_way, *self._waiting):
            if not job.outcome.ready():
                job.outcome.set(closing())

    def _write_for_ever(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                size = min(len(self._waiting), MAX_BATCH)
                self._under_way = [self._waiting.popleft() for _ in range(size)]
                began = time.perf_counter()
                outcomes = self._outcomes(self._under_way)
                self._observe(size, time.perf_counter() - began)
                log_failures(outcomes)
                for job, outcome in zip(self._under_way, outcomes, strict=True):
                    _hand_on(job, outcome)
            self._under_way = []
            self._idle.set()

    def _outcomes(self, batch: Sequence[Job]) -> list[Any]:
        try:
            return self._run(self._attempt, batch)
        except Exception:
            logger.exception("nothing can be written")
            return [StorageUnavailable(retry_after=1) for _ in batch]

    def _attempt(self, batch: Sequence[Job]) -> list[Any]:
        """Run `batch` in one transaction; one outcome each, a `Refusal` for what was not done.

        Runs where it may block, and logs nothing there: see `chatapp.log.database.Database`.
        """
        try:
            return self._commit(batch)
        except Refusal as refusal:
            if len(batch) == 1:
                return [refusal]
            if isinstance(refusal, Internal):  # one of them is to blame: the others must not suffer
                half = len(batch) // 2
                return self._attempt(batch[:half]) + self._attempt(batch[half:])
            # The storage failed. What only reads may still succeed.
            reads = [job for job in batch if not job.writes]
            if not reads or len(reads) == len(batch):
                return [refusal for _ in batch]
            found = iter(self._attempt(reads))
            return [refusal if job.writes else next(found) for job in batch]

    def _commit(self, batch: Sequence[Job]) -> list[Any]:
        try:
            with self._store.transaction(write=any(job.writes for job in batch)) as tx:
                return self._work_through(tx, batch)
        except Refusal:
            raise
        except Exception as error:
            raise Internal() from error

    def _work_through(self, tx: Any, batch: Sequence[Job]) -> list[Any]:
        now = int(self._clock() * 1000)
        outcomes: list[Any] = []
        drafts: list[Draft] = []
        for job in batch:
            if job.draft is not None:
                drafts.append(job.draft)
                continue
            if drafts:
                outcomes += self._store.append(tx, drafts, now)
                drafts = []
            outcomes.append(self._work(tx, job))
        if drafts:
            outcomes += self._store.append(tx, drafts, now)
        return outcomes

    def _work(self, tx: Any, job: Job) -> Any:
        assert job.work is not None
        try:
            if not job.writes:
                return job.work(tx)
            with self._store.savepoint(tx):
                return job.work(tx)
        except (StorageBusy, StorageUnavailable):
            raise
        except Refusal as refusal:
            return refusal


def closing() -> StorageUnavailable:
    """Return the refusal of whatever comes too late."""
    return StorageUnavailable("The server is shutting down.", retry_after=1)


def log_failures(outcomes: Iterable[Any]) -> None:
    """Log why the storage failed and what bugs there were, once each, for what ran in a native thread."""
    causes = {id(outcome.__cause__): outcome for outcome in outcomes if isinstance(outcome, Refusal)}
    for outcome in causes.values():
        cause = outcome.__cause__
        if isinstance(outcome, Internal) and cause is not None:
            logger.error("work on the database failed", exc_info=cause)
        elif cause is not None:
            logger.error("the database failed: %s", getattr(cause, "orig", cause))


def _hand_on(job: Job, outcome: Any) -> None:
    if job.then is not None and not isinstance(outcome, Refusal):
        try:
            job.then(outcome)
        except Exception:
            logger.exception("a committed entry could not be handed on")
    job.outcome.set(outcome)

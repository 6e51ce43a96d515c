"""Group commit: all that waits is written in one transaction and handed on in its order."""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable, Sequence
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
            raise StorageUnavailable("The server is shutting down.", retry_after=1)
        if len(self._waiting) >= self._max_waiting:
            raise StorageBusy(retry_after=1)
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._write_for_ever)
        self._waiting.append(job)
        self._idle.clear()
        self._wake.set()
        outcome = job.outcome.get()
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    def close(self, timeout_seconds: float) -> None:
        """Take nothing more, and wait for what is under way."""
        self._closed = True
        if not self._idle.wait(timeout_seconds):
            logger.error("%d entries were not written in time", len(self._waiting))
        if self._greenlet is not None:
            self._greenlet.kill()

    def _write_for_ever(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                size = min(len(self._waiting), MAX_BATCH)
                batch = [self._waiting.popleft() for _ in range(size)]
                began = time.perf_counter()
                outcomes = self._run(self._attempt, batch)
                self._observe(size, time.perf_counter() - began)
                for job, outcome in zip(batch, outcomes, strict=True):
                    _hand_on(job, outcome)
            self._idle.set()

    def _attempt(self, batch: Sequence[Job]) -> list[Any]:
        """Run `batch` in one transaction; one outcome each, a `Refusal` for what was not done."""
        try:
            with self._store.transaction(write=any(job.writes for job in batch)) as tx:
                return self._work_through(tx, batch)
        except Refusal as refusal:
            # The storage failed. What only reads may still succeed by itself.
            alone = len(batch) == 1
            return [refusal if job.writes or alone else self._attempt([job])[0] for job in batch]
        except Exception:
            if len(batch) > 1:  # one of them is to blame: the others must not suffer
                return [self._attempt([job])[0] for job in batch]
            logger.exception("a write failed")
            return [Internal()]

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


def _hand_on(job: Job, outcome: Any) -> None:
    if job.then is not None and not isinstance(outcome, Refusal):
        try:
            job.then(outcome)
        except Exception:
            logger.exception("a committed entry could not be handed on")
    job.outcome.set(outcome)

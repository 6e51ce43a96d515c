"""What is submitted is done at once, where it is called: for the store in memory, which never blocks, and for
processes that serve nobody, which may."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from chatapp.domain.messages import Draft
from chatapp.errors import Internal, Refusal
from chatapp.log.batches import Batches, Job, log_failures
from chatapp.log.memory import MemoryStore
from chatapp.log.store import Store
from chatapp.log.writer import closing

logger = logging.getLogger("chatapp.log")


class Immediate:
    """`GroupCommit` in memory. The order of the calls is the log's order, so nothing ever waits."""

    waiting = 0
    is_committing = False

    def __init__(self, store: MemoryStore, clock: Callable[[], float] = time.time) -> None:
        self.on_commit: Callable[[], None] = lambda: None  # never called
        self._store = store
        self._clock = clock
        self._closed = False

    def append(self, draft: Draft, then: Callable[[Any], None]) -> None:
        """Append `draft`, and hand on what it became. See `submit`."""
        if self._closed:
            raise closing()
        try:
            (outcome,) = self._store.append(None, (draft,), int(self._clock() * 1000))
        except Exception as error:  # noqa: BLE001 - logged, and the sender is told
            outcome = _refusal(error)
        _hand_on(then, outcome)

    def submit(self, job: Job) -> None:
        """Do `job`. Raises the refusal only if nothing is taken any more."""
        if self._closed:
            raise closing()
        outcome = self._outcome(job)
        if job.then is not None:
            _hand_on(job.then, outcome)

    def carry_out(self, job: Job) -> Any:
        """Do `job`; return its outcome or raise its refusal."""
        return _carried_out(self.submit, job)

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Return that nothing waits."""
        return True

    def close(self, timeout_seconds: float) -> None:
        """Take nothing more."""
        self._closed = True

    def _outcome(self, job: Job) -> Any:
        try:
            return self._do(job)
        except Exception as error:  # noqa: BLE001 - logged, and who waits is told
            return _refusal(error)

    def _do(self, job: Job) -> Any:
        if job.draft is not None:
            return self._store.append(None, [job.draft], int(self._clock() * 1000))[0]
        if job.visit is not None:
            (visited,) = self._store.visit(None, [job.visit])
            return visited if job.work is None else job.work(None, visited)
        assert job.work is not None
        return job.work(None)


class AtOnce:
    """`GroupCommit` for a process that serves nobody: each job is a transaction of its own, in the thread
    that submits it, of which there may be several."""

    waiting = 0
    is_committing = False

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self.on_commit: Callable[[], None] = lambda: None  # never called
        self._batches = Batches(store, clock)
        self._closed = False

    def append(self, draft: Draft, then: Callable[[Any], None]) -> None:
        """Append `draft`, and hand on what it became. See `submit`."""
        self.submit(Job(draft, then=then))

    def submit(self, job: Job) -> None:
        """Do `job`. Raises the refusal only if nothing is taken any more."""
        if self._closed:
            raise closing()
        (outcome,) = self._batches.attempt([job])
        log_failures([outcome])
        if job.then is not None:
            _hand_on(job.then, outcome)

    def carry_out(self, job: Job) -> Any:
        """Do `job`; return its outcome or raise its refusal."""
        return _carried_out(self.submit, job)

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Return that nothing waits."""
        return True

    def close(self, timeout_seconds: float) -> None:
        """Take nothing more."""
        self._closed = True


def _carried_out(submit: Callable[[Job], None], job: Job) -> Any:
    outcomes: list[Any] = []
    then, job.then = job.then, outcomes.append
    submit(job)
    if then is not None:
        then(outcomes[0])
    if isinstance(outcomes[0], Refusal):
        raise outcomes[0]
    return outcomes[0]


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    logger.error("work on the store failed", exc_info=error)
    return Internal()


def _hand_on(then: Callable[[Any], None], outcome: Any) -> None:
    try:
        then(outcome)
    except Exception:
        logger.exception("a committed entry could not be handed on")

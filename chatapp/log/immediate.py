"""What is submitted is done at once, where it is called: for the store in memory, which never blocks, and for
processes that serve nobody, which may."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from chatapp.domain.messages import Draft
from chatapp.errors import Internal, Refusal
from chatapp.log.store import Store
from chatapp.log.writer import Job, closing

logger = logging.getLogger("chatapp.log")


class Immediate:
    """Has the face of `GroupCommit`. The order of the calls is the log's order, so nothing ever waits."""

    waiting = 0
    is_committing = False

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self.on_commit: Callable[[], None] = lambda: None  # never called
        self._store = store
        self._clock = clock
        self._closed = False

    def append(self, draft: Draft, then: Callable[[Any], None]) -> None:
        """Append `draft`, and hand on what it became. See `submit`."""
        if self._closed:
            raise closing()
        try:
            with self._store.transaction(write=True) as tx:
                (outcome,) = self._store.append(tx, (draft,), int(self._clock() * 1000))
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
        outcomes: list[Any] = []
        then, job.then = job.then, outcomes.append
        self.submit(job)
        if then is not None:
            then(outcomes[0])
        if isinstance(outcomes[0], Refusal):
            raise outcomes[0]
        return outcomes[0]

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
        with self._store.transaction(write=job.writes) as tx:
            if job.draft is not None:
                return self._store.append(tx, [job.draft], int(self._clock() * 1000))[0]
            if job.visit is not None:
                (visited,) = self._store.visit(tx, [job.visit])
                return visited if job.work is None else job.work(tx, visited)
            assert job.work is not None
            return job.work(tx)


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    logger.error("work on the store failed", exc_info=error)
    refusal = Internal()
    refusal.__cause__ = error
    return refusal


def _hand_on(then: Callable[[Any], None], outcome: Any) -> None:
    try:
        then(outcome)
    except Exception:
        logger.exception("a committed entry could not be handed on")

"""`GroupCommit` for a store that never blocks: what is submitted is done at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from chatapp.errors import Internal, Refusal
from chatapp.log.store import Store
from chatapp.log.writer import Job, closing

logger = logging.getLogger("chatapp.log")


class Immediate:
    """The order of the calls is the log's order, so nothing ever waits."""

    waiting = 0

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._closed = False

    def submit(self, job: Job) -> None:
        """Do `job`. Raises the refusal only if nothing is taken any more."""
        if self._closed:
            raise closing()
        outcome = self._outcome(job)
        if job.then is not None:
            try:
                job.then(outcome)
            except Exception:
                logger.exception("a committed entry could not be handed on")

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
            with self._store.transaction(write=job.writes) as tx:
                return self._do(tx, job)
        except Refusal as refusal:
            return refusal
        except Exception:
            logger.exception("work on the store failed")
            return Internal()

    def _do(self, tx: Any, job: Job) -> Any:
        if job.draft is not None:
            return self._store.append(tx, [job.draft], int(self._clock() * 1000))[0]
        if job.visit is not None:
            (visited,) = self._store.visit(tx, [job.visit])
            return visited if job.work is None else job.work(tx, visited)
        assert job.work is not None
        return job.work(tx)

"""A batch of jobs as one transaction: what became of each, whatever the database did meanwhile."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chatapp.domain.messages import Draft
from chatapp.errors import Internal, Refusal, StorageBusy, StorageUnavailable
from chatapp.log.repeats import Undecided, until_done
from chatapp.log.store import Appended, Store, Visit, Visited

logger = logging.getLogger("chatapp.log")


@dataclass(slots=True)
class Job:
    """One thing to do in the log's order: a draft to append, a visit, or any other work.

    Drafts and visits of a batch are done together. The work of a visit is given what it found, too, and
    only reads.

    `then` gets the outcome or the refusal, once, in the event loop, in the order of the commits. It must
    not block.
    """

    draft: Draft | None = None
    visit: Visit | None = None
    work: Callable[..., Any] | None = None
    writes: bool = True
    #: whether `work` may refuse when it has written something already, which then has to be undone
    refuses_late: bool = True
    then: Callable[[Any], None] | None = None


class Batches:
    """Does batches on a store, each where it is asked to: it may block."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def attempt(self, batch: Sequence[Job]) -> list[Any]:
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
                return self.attempt(batch[:half]) + self.attempt(batch[half:])
            # The storage failed. What only reads may still succeed.
            reads = [job for job in batch if not job.writes]
            if not reads or len(reads) == len(batch):
                return [refusal for _ in batch]
            found = iter(self.attempt(reads))
            return [refusal if job.writes else next(found) for job in batch]

    def _commit(self, batch: Sequence[Job]) -> list[Any]:
        outcomes: list[Any] = []

        def attempt() -> list[Any]:
            nonlocal outcomes
            with self._store.transaction(write=any(job.writes for job in batch)) as tx:
                outcomes = self._work_through(tx, batch)
            return outcomes

        try:
            return until_done(attempt)
        except Refusal:
            raise
        except Undecided as undecided:
            return self._find_out(batch, outcomes, undecided.refusal)
        except Exception as error:
            raise Internal() from error

    def _find_out(self, batch: Sequence[Job], outcomes: list[Any], refusal: Refusal) -> list[Any]:
        """Return what became of a batch whose commit was not answered, with `outcomes` if it was kept.

        What can be done twice without harm is done again. A draft that is there by now, where it was put,
        tells that all of the batch is. If none does, the others are refused: nobody knows.
        """
        again = [number for number, job in enumerate(batch) if _can_be_repeated(job)]
        if not again:
            return [refusal for _ in batch]
        found = dict(zip(again, self.attempt([batch[number] for number in again]), strict=True))
        if any(_is_kept(outcomes[number], outcome) for number, outcome in found.items()):
            return outcomes
        return [found.get(number, refusal) for number in range(len(batch))]

    def _work_through(self, tx: Any, batch: Sequence[Job]) -> list[Any]:
        outcomes: list[Any] = []
        groups = [(kind, list(group)) for kind, group in itertools.groupby(batch, _kind)]
        if len(groups) > 1 or groups[0][0] is None:
            self._lock(tx, groups)
        for kind, jobs in groups:
            if kind is Draft:
                now = int(self._clock() * 1000)
                outcomes += self._store.append(tx, [job.draft for job in jobs], now)  # type: ignore[misc]
            elif kind is Visit:
                found = self._store.visit(tx, [job.visit for job in jobs])  # type: ignore[misc]
                outcomes += [
                    self._look_on(tx, job, visited) for job, visited in zip(jobs, found, strict=True)
                ]
            else:
                outcomes += [self._work(tx, job, is_alone=len(batch) == 1) for job in jobs]
        return outcomes

    def _lock(self, tx: Any, groups: Sequence[tuple[Any, Sequence[Job]]]) -> None:
        others = sum(kind is not Draft and job.writes for kind, jobs in groups for job in _steps(kind, jobs))
        if len(groups) > 1 or others > 1:
            jobs = itertools.chain.from_iterable(jobs for _, jobs in groups)
            room_ids = {room_id for job in jobs if (room_id := _room_id(job)) is not None}
            self._store.lock(tx, room_ids, others=others > 1)

    @staticmethod
    def _look_on(tx: Any, job: Job, visited: Visited) -> Any:
        return visited if job.work is None else job.work(tx, visited)

    def _work(self, tx: Any, job: Job, *, is_alone: bool) -> Any:
        assert job.work is not None
        if is_alone:  # its refusal undoes the transaction
            return job.work(tx)
        try:
            if not job.writes or not job.refuses_late:
                return job.work(tx)
            with self._store.savepoint(tx):
                return job.work(tx)
        except (StorageBusy, StorageUnavailable):
            raise
        except Refusal as refusal:
            return refusal


def _kind(job: Job) -> type[Draft] | type[Visit] | None:
    if job.draft is not None:
        return Draft
    return None if job.visit is None else Visit


def _room_id(job: Job) -> int | None:
    """Return the room whose row `job` locks, as one who appends or as one who joins."""
    if job.draft is not None:
        return job.draft.room.id
    return job.visit.room_id if job.visit is not None and job.visit.joins else None


def _steps(kind: Any, jobs: Sequence[Job]) -> Sequence[Job]:
    """Return a job for each thing that is done for these: the visits are one."""
    return [max(jobs, key=lambda job: job.writes)] if kind is Visit else jobs


def _can_be_repeated(job: Job) -> bool:
    if job.draft is not None:
        return job.draft.client_id is not None
    return job.visit is not None or not job.writes


def _is_kept(outcome: Any, later: Any) -> bool:
    """Return whether `later`, the outcome of the same job done again, shows that `outcome` was committed."""
    if not isinstance(outcome, Appended) or not isinstance(later, Appended) or outcome.repeated:
        return False
    return later.repeated and later.entry == outcome.entry


def log_failures(outcomes: Iterable[Any]) -> None:
    """Log why the storage failed and what bugs there were, once each, for what ran in a native thread."""
    causes = {id(outcome.__cause__): outcome for outcome in outcomes if isinstance(outcome, Refusal)}
    for outcome in causes.values():
        cause = outcome.__cause__
        if isinstance(outcome, Internal) and cause is not None:
            logger.error("work on the database failed", exc_info=cause)
        elif cause is not None:
            logger.error("the database failed: %s", getattr(cause, "orig", cause))

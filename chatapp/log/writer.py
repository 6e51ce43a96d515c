"""Group commit: all that waits is written in one transaction and handed on in its order."""

from __future__ import annotations

import collections
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gevent
from gevent import get_hub
from gevent.event import AsyncResult, Event

from chatapp.domain.messages import Draft
from chatapp.errors import Internal, Refusal, StorageBusy, StorageUnavailable
from chatapp.log.native import Done, Work
from chatapp.log.repeats import Undecided, until_done
from chatapp.log.store import Appended, Store, Visit, Visited

logger = logging.getLogger("chatapp.log")

#: The most jobs in one transaction: keeps the time that the native thread holds the interpreter,
#: and with it the event loop, short.
MAX_BATCH = 500


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
        self._store = store
        self._soon = soon or _in_next_round
        self._run = run
        self._max_waiting = max_waiting
        self._clock = clock
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
            self._run(partial(self._attempt, batch), partial(self._finish, batch))
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
        found = dict(zip(again, self._attempt([batch[number] for number in again]), strict=True))
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


def _in_next_round(call: Callable[[], None]) -> None:
    get_hub().loop.run_callback(call)


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


def _log_unhanded(error: Exception) -> None:
    logger.error("a committed entry could not be handed on", exc_info=error)


def _log_soon(log: Callable[[], None]) -> None:
    """Log in a greenlet: the locks of a logging handler may have to be waited for, which the event loop
    cannot."""
    gevent.spawn(log)

"""Group commit: batches, their order, and who suffers from whose fault."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from chatapp.domain.messages import Draft, Kind, Room, User
from chatapp.domain.names import parse_room_name, site_name
from chatapp.errors import Internal, NotFound, Refusal, StorageBusy, StorageUnavailable
from chatapp.log.batches import Job
from chatapp.log.database import Database
from chatapp.log.memory import MemoryStore
from chatapp.log.native import Done, Work
from chatapp.log.sql import SqlStore
from chatapp.log.store import Appended, Store, Visit
from chatapp.log.writer import MAX_BATCH, GroupCommit

PATIENCE_SECONDS = 20
NOW_SECONDS = 1_700_000_000.5


class Gate:
    """Runs batches one by one, each when it is let pass."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._open = Event()

    def run(self, work: Work, done: Done) -> None:
        def pass_gate() -> None:
            assert self._open.wait(PATIENCE_SECONDS)
            outcomes = work()
            self.sizes.append(len(outcomes))
            done(outcomes, None)

        gevent.spawn(pass_gate)

    def open(self) -> None:
        self._open.set()


def run_at_once(work: Work, done: Done) -> None:
    done(work(), None)


class FailingStore(MemoryStore):
    """A store that cannot be written, or not even read."""

    def __init__(self, refusal: Refusal, *, reads: bool = True) -> None:
        super().__init__()
        self._refusal = refusal
        self._reads = reads
        self.fails = True

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[None]:
        if self.fails and (write or not self._reads):
            raise self._refusal
        yield None


def commit(store: Store, run: Any = None, max_waiting: int = 10_000) -> GroupCommit:
    return GroupCommit(
        store,
        run=run or run_at_once,
        max_waiting=max_waiting,
        clock=lambda: NOW_SECONDS,
    )


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[SqlStore]:
    database = Database(f"sqlite:///{tmp_path}/chat.db", synchronous="normal", busy_seconds=1)
    store = SqlStore(database, reactions_per_message=3)
    yield store
    store.close()


def lobby(store: Store) -> tuple[Room, User]:
    with store.transaction(write=True) as tx:
        ann = store.sign_in(tx, "site:1", site_name("ann", 32), 0)
        return store.open_room(tx, parse_room_name("lobby", 64), "e1"), ann


def message(store: Store, text: str = "x", then: Any = None) -> Callable[[], Job]:
    room, ann = lobby(store)
    return lambda: Job(draft=Draft(room, ann, Kind.MESSAGE, text), then=then)


def submitted(writer: GroupCommit, jobs: Sequence[Job]) -> list[gevent.Greenlet]:
    """Let a greenlet for each job submit it, in this order."""
    senders = [gevent.spawn(outcome_of, writer, job) for job in jobs]
    gevent.sleep(0)  # they start
    return senders


def outcome_of(writer: GroupCommit, job: Job) -> Any:
    """Return the outcome or the refusal."""
    try:
        return writer.carry_out(job)
    except Refusal as refusal:
        return refusal


def outcomes(senders: Sequence[gevent.Greenlet]) -> list[Any]:
    gevent.joinall(senders, timeout=PATIENCE_SECONDS, raise_error=True)
    return [sender.get(block=False) for sender in senders]


def fail(error: Exception) -> Callable[[Any], Any]:
    def work(tx: Any) -> Any:
        raise error

    return work


def test_what_waits_while_a_batch_is_written_is_the_next_batch(memory: MemoryStore) -> None:
    gate = Gate()
    writer, job = commit(memory, gate.run), message(memory)
    senders = submitted(writer, [job() for _ in range(1)])
    senders += submitted(writer, [job() for _ in range(5)])
    assert writer.waiting == 5
    gate.open()
    assert [outcome.entry.seq for outcome in outcomes(senders)] == [1, 2, 3, 4, 5, 6]
    assert gate.sizes == [1, 5] and writer.waiting == 0


def test_a_batch_holds_only_so_many_jobs(memory: MemoryStore) -> None:
    gate = Gate()
    writer, job = commit(memory, gate.run), message(memory)
    senders = submitted(writer, [job() for _ in range(2 * MAX_BATCH + 11)])
    gate.open()
    outcomes(senders)
    assert gate.sizes == [MAX_BATCH, MAX_BATCH, 11]


def test_each_batch_is_observed_with_its_size_and_its_seconds(memory: MemoryStore) -> None:
    observed: list[tuple[int, float]] = []
    writer = GroupCommit(
        memory,
        run=run_at_once,
        max_waiting=10,
        observe=lambda size, seconds: observed.append((size, seconds)),
    )
    job = message(memory)
    outcomes(submitted(writer, [job(), job()]))
    [(size, seconds)] = observed
    assert size == 2 and 0 < seconds < PATIENCE_SECONDS


def test_outcomes_are_handed_on_in_order_and_before_their_senders_go_on(memory: MemoryStore) -> None:
    events: list[str] = []
    room, ann = lobby(memory)
    writer = commit(memory)

    def send(number: int) -> None:
        job = Job(draft=Draft(room, ann, Kind.MESSAGE)) if number % 3 else Job(work=lambda tx: number)
        job.then = lambda outcome: events.append(f"then {number}")
        writer.carry_out(job)
        events.append(f"sent {number}")

    gevent.joinall([gevent.spawn(send, number) for number in range(10)], timeout=PATIENCE_SECONDS)
    assert [event for event in events if event.startswith("then")] == [f"then {n}" for n in range(10)]
    assert len(events) == 20
    assert all(events.index(f"then {n}") < events.index(f"sent {n}") for n in range(10))


def test_drafts_and_other_work_of_a_batch_are_done_in_the_order_they_came(sql: SqlStore) -> None:
    room, ann = lobby(sql)
    writer, job = commit(sql), message(sql)

    def last_seq(tx: Any) -> int:
        return sql.head(tx, room.id).last_seq

    jobs = [job(), Job(work=last_seq), job(), job(), Job(work=last_seq, writes=False), job()]
    found = outcomes(submitted(writer, jobs))
    places = [outcome if isinstance(outcome, int) else outcome.entry.seq for outcome in found]
    assert places == [1, 1, 2, 3, 3, 4]
    assert found[0].entry.sent_at_ms == NOW_SECONDS * 1000
    assert found[0].entry.user == ann


def test_a_refusal_refuses_its_own_job_only(sql: SqlStore) -> None:
    room, ann = lobby(sql)
    writer, job = commit(sql), message(sql)

    def half_done(tx: Any) -> None:
        sql.add_member(tx, room.id, ann.id)
        raise NotFound("never mind")

    edit = Job(draft=Draft(room, ann, Kind.EDIT, "y", target_seq=99))
    handed_on: list[Any] = []
    found = outcomes(submitted(writer, [job(), edit, Job(work=half_done, then=handed_on.append), job()]))
    assert [type(outcome) for outcome in found] == [Appended, NotFound, NotFound, Appended]
    assert [found[0].entry.seq, found[3].entry.seq] == [1, 2]
    assert handed_on == [found[2]]
    with sql.transaction(write=False) as tx:
        assert not sql.is_member(tx, room.id, ann.id)


def test_a_bug_in_one_job_hurts_no_other_and_is_logged(
    sql: SqlStore, caplog: pytest.LogCaptureFixture
) -> None:
    writer, job = commit(sql), message(sql)
    jobs = [job() for _ in range(20)]
    jobs[7] = Job(work=fail(ZeroDivisionError("a bug")))
    jobs[11] = Job(work=fail(LookupError("another")), writes=False)
    found = outcomes(submitted(writer, jobs))
    assert isinstance(found.pop(11), Internal) and isinstance(found.pop(7), Internal)
    assert [outcome.entry.seq for outcome in found] == list(range(1, 19))
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [
        ZeroDivisionError,
        LookupError,
    ]


def test_a_callback_that_fails_is_logged_and_its_sender_goes_on(
    memory: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    writer, job = commit(memory), message(memory, then=fail(KeyError("callback")))
    found = outcomes(submitted(writer, [job(), job()]))
    assert [outcome.entry.seq for outcome in found] == [1, 2]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [KeyError, KeyError]


@pytest.mark.parametrize("refusal", [StorageBusy(retry_after=1), StorageUnavailable(retry_after=5)])
def test_when_the_storage_fails_all_writes_are_refused_and_reads_succeed(refusal: Refusal) -> None:
    store = FailingStore(refusal)
    store.fails = False
    writer, job = commit(store), message(store)
    store.fails = True
    handed_on: list[Any] = []
    jobs = [job(), Job(work=lambda tx: "read", writes=False, then=handed_on.append), job()]
    jobs += [Job(work=lambda tx: "written"), Job(work=lambda tx: "read, too", writes=False)]
    found = outcomes(submitted(writer, jobs))
    assert [outcome if isinstance(outcome, str) else outcome.to_wire() for outcome in found] == [
        refusal.to_wire(),
        "read",
        refusal.to_wire(),
        refusal.to_wire(),
        "read, too",
    ]
    assert handed_on == ["read"]
    store.fails = False
    assert writer.carry_out(job()).entry.seq == 1


def test_when_not_even_reading_works_all_are_refused() -> None:
    store = FailingStore(StorageUnavailable(retry_after=5), reads=False)
    writer = commit(store)
    jobs = [Job(work=lambda tx: None, writes=writes) for writes in (False, True, False)]
    assert [type(outcome) for outcome in outcomes(submitted(writer, jobs))] == [StorageUnavailable] * 3


def test_why_the_storage_failed_is_logged_once_for_a_batch(caplog: pytest.LogCaptureFixture) -> None:
    refusal = StorageUnavailable(retry_after=5)
    refusal.__cause__ = OSError("the disk is gone")
    writer = commit(FailingStore(refusal))
    outcomes(submitted(writer, [Job(work=lambda tx: None) for _ in range(9)]))
    assert [record.getMessage() for record in caplog.records] == ["the database failed: the disk is gone"]


def test_a_refusal_that_many_senders_share_does_not_grow_with_each_of_them() -> None:
    writer = commit(FailingStore(StorageBusy(retry_after=1)))
    depths = []
    for outcome in outcomes(submitted(writer, [Job(work=lambda tx: None) for _ in range(50)])):
        depth, trace = 0, outcome.__traceback__
        while trace is not None:
            depth, trace = depth + 1, trace.tb_next
        depths.append(depth)
    assert max(depths) < 5


def test_when_batches_cannot_be_run_at_all_their_senders_are_refused_and_later_ones_are_not(
    memory: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [RuntimeError("can't start new thread")]

    def run(work: Work, done: Done) -> None:
        if faults:
            raise faults.pop()
        done(work(), None)

    writer, job = commit(memory, run), message(memory)
    assert isinstance(outcome_of(writer, job()), StorageUnavailable)
    assert writer.carry_out(job()).entry.seq == 1
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [RuntimeError]


def test_above_max_waiting_who_comes_is_refused_at_once(memory: MemoryStore) -> None:
    gate = Gate()
    writer, job = commit(memory, gate.run, max_waiting=3), message(memory)
    senders = submitted(writer, [job()])
    senders += submitted(writer, [job() for _ in range(3)])
    with pytest.raises(StorageBusy) as busy:
        writer.submit(job())
    assert busy.value.retry_after
    gate.open()
    assert [outcome.entry.seq for outcome in outcomes(senders)] == [1, 2, 3, 4]
    assert writer.carry_out(job()).entry.seq == 5


def test_close_writes_what_waits_and_refuses_what_comes_later(memory: MemoryStore) -> None:
    gate = Gate()
    writer, job = commit(memory, gate.run), message(memory)
    senders = submitted(writer, [job()])
    senders += submitted(writer, [job() for _ in range(2)])
    closing = gevent.spawn(writer.close, PATIENCE_SECONDS)
    gevent.sleep(0)
    with pytest.raises(StorageUnavailable) as refused:
        writer.submit(job())
    assert refused.value.retry_after
    gate.open()
    assert [outcome.entry.seq for outcome in outcomes(senders)] == [1, 2, 3]
    closing.join(PATIENCE_SECONDS)
    assert closing.successful()


def test_what_cannot_be_written_before_the_end_is_refused(
    memory: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    writer, job = commit(memory, Gate().run), message(memory)
    senders = submitted(writer, [job()])
    senders += submitted(writer, [job() for _ in range(2)])
    writer.close(0.01)
    assert [type(outcome) for outcome in outcomes(senders)] == [StorageUnavailable] * 3
    assert [record.getMessage() for record in caplog.records] == ["3 entries were not written in time"]
    assert caplog.records[0].levelno == logging.ERROR


def test_a_writer_that_was_never_used_closes(memory: MemoryStore) -> None:
    commit(memory).close(PATIENCE_SECONDS)


def test_a_job_is_submitted_without_waiting_and_its_outcome_or_refusal_handed_on_once(
    sql: SqlStore,
) -> None:
    room, ann = lobby(sql)
    writer, handed_on = commit(sql), []
    for target_seq in (None, 99, None):
        kind = Kind.MESSAGE if target_seq is None else Kind.EDIT
        writer.submit(Job(Draft(room, ann, kind, "x", target_seq), then=handed_on.append))
    assert handed_on == []
    assert writer.wait(PATIENCE_SECONDS)
    assert [type(outcome) for outcome in handed_on] == [Appended, NotFound, Appended]
    assert writer.wait(PATIENCE_SECONDS) and len(handed_on) == 3


def test_what_is_submitted_in_one_round_of_the_loop_is_one_batch(memory: MemoryStore) -> None:
    sizes: list[int] = []

    def run(work: Work, done: Done) -> None:
        outcomes = work()
        sizes.append(len(outcomes))
        done(outcomes, None)

    writer, job = commit(memory, run), message(memory)
    for _ in range(7):
        writer.submit(job())
    writer.wait()
    assert sizes == [7]


def test_wait_ends_when_what_was_submitted_before_is_handed_on_whatever_comes_later(
    memory: MemoryStore,
) -> None:
    handed_on: list[Any] = []
    writer, job = commit(memory, max_waiting=10 * MAX_BATCH), message(memory, then=handed_on.append)
    for _ in range(2 * MAX_BATCH):
        writer.submit(job())

    def talk() -> None:
        while len(handed_on) < 5 * MAX_BATCH:
            writer.submit(job())
            gevent.sleep(0)

    talking = gevent.spawn(talk)
    assert writer.wait(PATIENCE_SECONDS)
    assert len(handed_on) >= 2 * MAX_BATCH
    assert not talking.ready()
    talking.join(PATIENCE_SECONDS)


def test_wait_gives_up_in_time(memory: MemoryStore) -> None:
    gate = Gate()
    writer, job = commit(memory, gate.run), message(memory)
    writer.submit(job())
    assert not writer.wait(0.01)
    gate.open()
    assert writer.wait(PATIENCE_SECONDS)


def test_what_was_refused_at_the_end_is_not_handed_on_again_when_it_is_written_after_all(
    memory: MemoryStore,
) -> None:
    gate, handed_on = Gate(), []
    writer, job = commit(memory, gate.run), message(memory, then=handed_on.append)
    writer.submit(job())
    gevent.sleep(0)
    writer.close(0.01)
    gate.open()
    gevent.sleep(0)
    gevent.sleep(0)
    assert [type(outcome) for outcome in handed_on] == [StorageUnavailable]


def test_what_was_refused_at_the_end_is_not_begun_any_more(memory: MemoryStore) -> None:
    gate, handed_on = Gate(), []
    writer, job = commit(memory, gate.run), message(memory, then=handed_on.append)
    writer.submit(job())
    closing = gevent.spawn(writer.close, 0)
    closing.join(PATIENCE_SECONDS)
    gate.open()
    for _ in range(5):
        gevent.sleep(0)
    assert len(handed_on) == 1 and len(gate.sizes) <= 1


def test_visits_of_a_batch_are_looked_up_together_and_in_the_order_of_the_log(sql: SqlStore) -> None:
    room, ann = lobby(sql)
    writer, job = commit(sql), message(sql)

    def visit(joins: bool) -> Job:
        return Job(visit=Visit(room.id, ann.id, joins), writes=joins)

    work = Job(visit=Visit(room.id, ann.id, False), work=lambda tx, visited: ("seen", visited), writes=False)
    jobs = [visit(False), job(), visit(True), work, job(), visit(False)]
    found = outcomes(submitted(writer, jobs))
    assert [found[0], *found[2:4], found[5]] == [(0, 0), (1, 1), ("seen", (1, 1)), (2, 1)]


def test_a_visit_that_meets_a_bug_hurts_no_other(sql: SqlStore, caplog: pytest.LogCaptureFixture) -> None:
    room, ann = lobby(sql)

    def fail_on(tx: Any, visited: Any) -> Any:
        raise ZeroDivisionError("a bug")

    jobs = [Job(visit=Visit(room.id, ann.id, True)) for _ in range(4)]
    jobs[1].work = fail_on
    found = outcomes(submitted(commit(sql), jobs))
    assert isinstance(found.pop(1), Internal)
    assert found == [(0, 0)] * 3
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]

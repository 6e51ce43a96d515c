"""Database servers: what becomes of transactions that are in each other's way, or lose their connection."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Connection, NullPool, create_engine, event, make_url, text

import databases
from chatapp.domain.messages import Draft, Kind, Room, User
from chatapp.domain.names import parse_room_name, site_name
from chatapp.errors import StorageBusy, StorageUnavailable
from chatapp.log.batches import Job
from chatapp.log.opening import open_log_at_once
from chatapp.log.repeats import Undecided, Undone, until_done
from chatapp.log.server_database import CONNECT_SECONDS, KINDS, ServerDatabase
from chatapp.log.sql import SqlStore
from chatapp.log.store import Appended
from chatapp.log.writer import GroupCommit
from chatapp.settings import Settings, Storage
from servers import PATIENCE_SECONDS
from unit.cutting_proxy import CuttingProxy

NOW = 1_700_000_000_000


@pytest.fixture(params=databases.KINDS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with databases.emptied_database(request.param) as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    with closing(open_store(url)) as store:
        yield store


def open_store(url: str, **options: Any) -> SqlStore:
    database = ServerDatabase(url, **({"busy_seconds": PATIENCE_SECONDS, "readers": 2} | options))
    return SqlStore(database, reactions_per_message=3)


def people(store: SqlStore) -> tuple[Room, list[User]]:
    with store.transaction(write=True) as tx:
        users = [store.sign_in(tx, f"site:{n}", site_name(f"user {n}", 32), NOW) for n in range(2)]
        return store.open_room(tx, parse_room_name("lobby", 64), "e1"), users


def connection_id(tx: Connection) -> int:
    function = "pg_backend_pid" if tx.dialect.name == "postgresql" else "connection_id"
    return int(tx.scalar(text(f"SELECT {function}()")) or 0)


def end_connection(url: str, number: int) -> None:
    """Do what an administrator does to a connection, or a firewall."""
    with databases.connected(make_url(url)) as other:
        if other.dialect.name == "postgresql":
            other.exec_driver_sql(f"SELECT pg_terminate_backend({number}, 5000)")
        else:
            other.exec_driver_sql(f"KILL {number}")


def end_all_connections(url: str) -> None:
    """End all connections to a database."""
    with databases.connected(make_url(url)) as other:
        if other.dialect.name == "postgresql":
            of_others = "datname = current_database() AND pid <> pg_backend_pid()"
            found = f"SELECT pid FROM pg_stat_activity WHERE {of_others}"
        else:
            of_others = "db = DATABASE() AND id <> CONNECTION_ID()"
            found = f"SELECT id FROM information_schema.processlist WHERE {of_others}"
        numbers = list(other.exec_driver_sql(found).scalars())
    assert numbers
    for number in numbers:
        end_connection(url, number)


def outcomes_of(store: SqlStore, jobs: list[Job]) -> list[Any]:
    """Return what becomes of `jobs`, done in one batch."""
    found: list[Any] = []

    def run(work: Callable[[], Any], done: Callable[[Any, Any], None]) -> None:
        found.extend(work())

    begin: list[Callable[[], None]] = []
    writer = GroupCommit(store, run=run, max_waiting=100, clock=lambda: NOW / 1000, soon=begin.append)
    for job in jobs:
        writer.submit(job)
    begin[0]()
    return found


def test_two_that_wait_for_each_other_both_succeed_in_the_end(store: SqlStore) -> None:
    _, users = people(store)
    met = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    attempts = []

    def touch(first: User, second: User) -> None:
        def attempt() -> None:
            with store.transaction(write=True) as tx:
                attempts.append(first)
                store.touch(tx, [first.id], NOW + 1)
                if len(attempts) <= 2:
                    met.wait()  # each has locked what the other one wants
                store.touch(tx, [second.id], NOW + 1)

        until_done(attempt)

    threads = [threading.Thread(target=touch, args=pair) for pair in (users, users[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(attempts) == 3


def test_what_two_make_at_once_is_there_once_and_both_have_it(store: SqlStore) -> None:
    people(store)
    met = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    rooms, attempts = [], []

    def open_room(epoch: str) -> None:
        name = parse_room_name("den", 64)

        def attempt() -> Room:
            with store.transaction(write=True) as tx:
                attempts.append(epoch)
                assert len(attempts) > 2 or store.find_room(tx, name.key) is None
                if len(attempts) <= 2:
                    met.wait()
                return store.open_room(tx, name, epoch)

        rooms.append(until_done(attempt))

    threads = [threading.Thread(target=open_room, args=(epoch,)) for epoch in ("e1", "e2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rooms) == 2 and rooms[0] == rooms[1]
    assert len(attempts) in (2, 3)  # one may have been so slow as to see what the other had made


def test_a_read_sees_one_moment_of_the_database_whatever_is_written_meanwhile(store: SqlStore) -> None:
    room, (ann, _) = people(store)
    with store.transaction(write=False) as reading:
        assert store.head(reading, room.id).last_seq == 0
        with store.transaction(write=True) as tx:
            store.append(tx, [Draft(room, ann, Kind.MESSAGE, "x")], NOW)
        assert store.head(reading, room.id).last_seq == 0
        assert store.replay(reading, room.id, 0, None, 10) == ([], 0)


def test_who_waits_too_long_for_a_room_is_told_to_try_again(url: str, store: SqlStore) -> None:
    room, (ann, _) = people(store)
    with closing(open_store(url, busy_seconds=1)) as hasty, store.transaction(write=True) as tx:
        store.lock(tx, [room.id], others=False)
        began = time.monotonic()
        with pytest.raises(StorageBusy), hasty.transaction(write=True) as other:
            hasty.append(other, [Draft(room, ann, Kind.MESSAGE, "x")], NOW)
        assert time.monotonic() - began < 5
    with hasty.transaction(write=True) as other:
        assert isinstance(hasty.append(other, [Draft(room, ann, Kind.MESSAGE, "x")], NOW)[0], Appended)
    hasty.close()


def test_a_lost_connection_undoes_its_transaction_which_is_then_done_on_another(
    url: str, store: SqlStore
) -> None:
    room, (ann, _) = people(store)
    attempts = []

    def attempt() -> int:
        with store.transaction(write=True) as tx:
            (appended,) = store.append(tx, [Draft(room, ann, Kind.MESSAGE, "x")], NOW)
            attempts.append(appended)
            if len(attempts) == 1:
                end_connection(url, connection_id(tx))
                store.head(tx, room.id)
            assert isinstance(appended, Appended)
            return appended.entry.seq

    assert until_done(attempt) == 1 and len(attempts) == 2


def test_connections_that_ended_while_nobody_used_them_are_not_noticed(url: str, store: SqlStore) -> None:
    people(store)
    ids = set()
    for write in (False, True):
        with store.transaction(write=write) as tx:
            ids.add(connection_id(tx))
    for number in ids:
        end_connection(url, number)

    def read() -> int:
        with store.transaction(write=False) as tx:
            return len(list(store.room_ids(tx)))

    assert until_done(read) == 1
    assert len(people(store)[1]) == 2  # writes, and needs no second attempt: the pool knows by now


def test_connections_are_used_again_and_bounded(url: str) -> None:
    with closing(open_store(url, busy_seconds=0.2, readers=1)) as store:
        with store.transaction(write=False) as tx:
            first = connection_id(tx)
        with store.transaction(write=False) as tx, store.transaction(write=False):
            assert connection_id(tx) == first
            with pytest.raises(StorageBusy), store.transaction(write=False):
                pass


def test_many_plain_threads_share_a_store(store: SqlStore) -> None:
    room, users = people(store)
    faults: list[BaseException] = []

    def write(number: int) -> None:
        def attempt() -> None:
            with store.transaction(write=True) as tx:
                store.append(tx, [Draft(room, users[number % 2], Kind.MESSAGE, str(number))], NOW)

        try:
            for _ in range(10):
                until_done(attempt)
        except BaseException as fault:
            faults.append(fault)
            raise

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    with store.transaction(write=False) as tx:
        assert [item.entry.seq for item in store.replay(tx, room.id, 0, None, 100)[0]] == [*range(1, 81)]


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "mysql+pymysql"])
def test_only_the_first_waits_for_a_server_that_does_not_answer(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = open_store(f"{scheme}://chat@127.0.0.1:{silent.getsockname()[1]}/chat")
        seconds = []
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(StorageUnavailable) as raised, store.transaction(write=True):
                pass
            seconds.append(time.monotonic() - began)
            assert raised.value.retry_after
        assert CONNECT_SECONDS - 1 < seconds[0] < CONNECT_SECONDS + 2
        assert seconds[1] < 0.5
        store.close()


# A connection that breaks during the commit


@pytest.fixture
def proxy(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CuttingProxy]:
    directory = tmp_path_factory.mktemp("p", numbered=True)
    proxy = CuttingProxy(url, directory)
    yield proxy
    proxy.close()


@pytest.fixture
def cut_store(proxy: CuttingProxy) -> Iterator[SqlStore]:
    with closing(open_store(proxy.url)) as store:
        yield store


@pytest.mark.parametrize("when", ["before", "after"])
def test_nobody_knows_what_became_of_a_commit_that_was_not_answered(
    proxy: CuttingProxy, cut_store: SqlStore, when: str
) -> None:
    people(cut_store)
    proxy.cut(when)
    with pytest.raises(Undecided) as raised, cut_store.transaction(write=True) as tx:
        cut_store.open_room(tx, parse_room_name("den", 64), "e1")
    assert isinstance(raised.value.refusal, StorageUnavailable) and raised.value.refusal.retry_after


def test_a_read_whose_end_was_not_answered_is_done_again(proxy: CuttingProxy, cut_store: SqlStore) -> None:
    people(cut_store)
    with cut_store.transaction(write=False) as tx:
        assert len(list(cut_store.room_ids(tx))) == 1
    proxy.cut("before")
    with pytest.raises(Undone), cut_store.transaction(write=False) as tx:
        assert len(list(cut_store.room_ids(tx))) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_draft_with_a_client_id_is_stored_once_though_its_commit_was_not_answered(
    proxy: CuttingProxy, cut_store: SqlStore, when: str
) -> None:
    room, (ann, _) = people(cut_store)
    jobs = [
        Job(Draft(room, ann, Kind.MESSAGE, "without")),
        Job(Draft(room, ann, Kind.MESSAGE, "with", client_id="c1")),
    ]
    proxy.cut(when)
    without, with_id = outcomes_of(cut_store, jobs)
    assert isinstance(with_id, Appended) and not with_id.repeated
    assert with_id.message is not None  # it goes to the room
    with cut_store.transaction(write=False) as tx:
        stored = [item.entry for item in cut_store.replay(tx, room.id, 0, None, 10)[0]]
    if when == "after":  # what was kept with it is known to be there
        assert isinstance(without, Appended) and stored == [without.entry, with_id.entry]
    else:
        assert isinstance(without, StorageUnavailable) and stored == [with_id.entry]


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_cannot_be_looked_up_is_refused_when_its_commit_was_not_answered(
    proxy: CuttingProxy, cut_store: SqlStore, when: str
) -> None:
    room, (ann, _) = people(cut_store)
    proxy.cut(when)
    jobs = [
        Job(Draft(room, ann, Kind.MESSAGE, "x")),
        Job(work=lambda tx: cut_store.head(tx, room.id), writes=False),
    ]
    draft, read = outcomes_of(cut_store, jobs)
    assert isinstance(draft, StorageUnavailable) and draft.retry_after
    assert read.last_seq == (1 if when == "after" else 0)


def test_a_process_that_serves_nobody_writes_again_after_its_connection_was_ended(url: str) -> None:
    log = open_log_at_once(Settings(storage=Storage(url=url)))
    try:
        room = log.open_room(parse_room_name("lobby", 64))
        user = log.sign_in("host:shop", site_name("shop", 32))
        for seq in (1, 2, 3):
            assert log.append_and_wait(Draft(room, user, Kind.MESSAGE, "hello")).entry.seq == seq
            end_all_connections(url)
    finally:
        log.close()


def test_nobody_else_runs_migrations_before_they_are_committed(url: str) -> None:
    kind = KINDS[make_url(url).get_backend_name()]
    engine = create_engine(url, poolclass=NullPool)
    has_entered, is_in_time = threading.Event(), []

    def come_second() -> None:
        with engine.connect() as other, kind.migrating(other):
            has_entered.set()

    second = threading.Thread(target=come_second, daemon=True)
    with engine.connect() as first:

        @event.listens_for(first, "commit")
        def commit(_: Connection) -> None:
            if second.ident is not None:
                is_in_time.append(not has_entered.wait(0.5))

        with kind.migrating(first):
            second.start()
    assert has_entered.wait(PATIENCE_SECONDS)
    second.join(PATIENCE_SECONDS)
    assert is_in_time == [True]

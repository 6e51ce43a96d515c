"""The SQLite database: what its errors mean, its connections, and what it makes of our statements."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import IntegrityError

from chatapp.domain.messages import Draft, Kind
from chatapp.domain.names import parse_guest_name, parse_room_name, site_name
from chatapp.errors import NotFound, StorageBusy, StorageUnavailable
from chatapp.log.compiled import driver
from chatapp.log.database import Database
from chatapp.log.sql import SqlStore
from servers import PATIENCE_SECONDS, ROOT

INSERT = "INSERT INTO users (id, name, name_key, seen_at) VALUES (abs(random()), ?, ?, 1)"


def open_database(directory: Path, **options: Any) -> Database:
    url = f"sqlite:///{directory}/chat.db"
    return Database(url, **({"synchronous": "normal", "busy_seconds": 0.2} | options))


def add(tx: Connection, name: str) -> None:
    tx.exec_driver_sql(INSERT, (name, name))


def write(database: Database, name: str) -> None:
    with database.transaction(write=True) as tx:
        add(tx, name)


def names(database: Database) -> list[str]:
    with database.transaction(write=False) as tx:
        return list(tx.exec_driver_sql("SELECT name FROM users ORDER BY rowid").scalars())


def pragma(database: Database, name: str) -> Any:
    with database.transaction(write=False) as tx:
        return tx.exec_driver_sql(f"PRAGMA {name}").scalar()


class Opened:
    """The connections that were opened. A count of open files would not tell which are closed: SQLite
    keeps the descriptors of locked files for later."""

    def __init__(self) -> None:
        self._connections: list[sqlite3.Connection] = []

    def connect(self, dialect: Any, record: Any, args: Any, options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = dialect.connect(*args, **options)
        self._connections.append(connection)
        return connection

    def __len__(self) -> int:
        """Return how many of them are open."""
        return sum(is_open(connection) for connection in self._connections)


def is_open(connection: sqlite3.Connection) -> bool:
    try:
        return connection.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False


@pytest.fixture
def opened() -> Iterator[Opened]:
    opened = Opened()
    event.listen(Engine, "do_connect", opened.connect)
    yield opened
    event.remove(Engine, "do_connect", opened.connect)


@pytest.fixture
def database(opened: Opened, tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path)
    yield database
    database.close()


@pytest.mark.parametrize(("synchronous", "value"), [("normal", 1), ("full", 2)])
def test_a_connection_has_its_pragmas(tmp_path: Path, synchronous: str, value: int) -> None:
    database = open_database(tmp_path, synchronous=synchronous)
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == value
    assert pragma(database, "foreign_keys") == 1
    assert pragma(database, "busy_timeout") == 200
    database.close()


def test_nothing_is_opened_before_the_first_transaction_and_missing_directories_are_made(
    tmp_path: Path,
) -> None:
    database = open_database(tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []
    write(database, "ann")
    assert names(database) == ["ann"]
    database.close()


def test_a_transaction_is_whole_or_not_at_all(database: Database) -> None:
    with pytest.raises(KeyError), database.transaction(write=True) as tx:
        add(tx, "ann")
        raise KeyError
    with pytest.raises(NotFound), database.transaction(write=True) as tx:
        add(tx, "bob")
        raise NotFound
    write(database, "cleo")
    assert names(database) == ["cleo"]


def test_a_connection_is_used_again(opened: Opened, database: Database, tmp_path: Path) -> None:
    for number in range(5):
        write(database, f"user {number}")
        assert names(database)
        with suppress(KeyError), database.transaction(write=True):
            raise KeyError
    assert len(opened) == 1


def test_transactions_at_once_have_a_connection_each_and_reads_do_not_wait_for_a_write(
    opened: Opened, database: Database, tmp_path: Path
) -> None:
    write(database, "ann")
    with database.transaction(write=True) as tx:
        add(tx, "bob")
        assert names(database) == ["ann"]
        assert len(opened) == 2
    assert names(database) == ["ann", "bob"]


def test_after_close_nothing_is_open_not_even_what_was_in_use(
    opened: Opened, database: Database, tmp_path: Path
) -> None:
    with database.transaction(write=False), database.transaction(write=True) as tx:
        add(tx, "ann")
        assert names(database) == []
        database.close()
        assert len(opened) == 2
    assert len(opened) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chat.db"]


# What errors mean


def test_a_lock_that_is_held_too_long_is_busy_and_passes_by_itself(
    opened: Opened, database: Database, tmp_path: Path
) -> None:
    write(database, "ann")
    with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy) as busy:
            write(database, "bob")
        assert names(database) == ["ann"]
        other.execute("ROLLBACK")
    assert busy.value.retry_after
    write(database, "bob")
    assert names(database) == ["ann", "bob"]
    assert len(opened) == 1


def test_a_file_that_another_process_is_just_making_is_waited_for(tmp_path: Path) -> None:
    database = open_database(tmp_path, busy_seconds=PATIENCE_SECONDS)
    with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # not in WAL mode yet
        opening = threading.Thread(target=write, args=(database, "ann"))
        opening.start()
        opening.join(0.1)
        assert opening.is_alive()
        other.execute("COMMIT")
    opening.join(PATIENCE_SECONDS)
    assert names(database) == ["ann"]
    assert pragma(database, "journal_mode") == "wal"
    database.close()


def test_a_full_disk_is_unavailable_and_the_connection_is_not_used_again(
    opened: Opened, database: Database, tmp_path: Path
) -> None:
    write(database, "ann")
    with pytest.raises(StorageUnavailable) as unavailable, database.transaction(write=True) as tx:
        tx.exec_driver_sql("PRAGMA max_page_count = 1")  # this connection finds the disk full from now on
        add(tx, "b" * 100_000)
    assert unavailable.value.retry_after
    # SQLite's own files are still there: who reads on a full disk needs them.
    assert {path.name for path in tmp_path.iterdir()} == {"chat.db", "chat.db-wal", "chat.db-shm"}
    assert names(database) == ["ann"]
    write(database, "b" * 100_000)
    assert len(opened) == 1


def test_connections_that_fail_one_after_the_other_do_not_pile_up(
    opened: Opened, database: Database, tmp_path: Path
) -> None:
    for _ in range(10):
        with pytest.raises(StorageUnavailable), database.transaction(write=True) as tx:
            tx.exec_driver_sql("PRAGMA max_page_count = 1")
            add(tx, "b" * 100_000)
        assert len(opened) <= 2
    assert names(database) == []
    assert len(opened) == 1


def test_once_the_database_is_read_only_no_old_connection_is_used_and_none_is_opened_beside_one(
    opened: Opened, tmp_path: Path
) -> None:
    database = open_database(tmp_path, busy_seconds=PATIENCE_SECONDS)
    events: list[str] = []

    def write_in_thread() -> None:
        write(database, "ann")
        events.append("written")

    with database.transaction(write=False), database.transaction(write=False):
        pass
    later = threading.Thread(target=write_in_thread)
    with database.transaction(write=False):
        with pytest.raises(StorageUnavailable), database.transaction(write=True) as tx:
            tx.exec_driver_sql("PRAGMA query_only = 1")  # this connection may only read from now on
            add(tx, "nobody")
        assert len(opened) == 1
        later.start()
        later.join(0.05)
        assert len(opened) == 1
        events.append("read")
    later.join(PATIENCE_SECONDS)
    assert events == ["read", "written"]
    assert names(database) == ["ann"]
    assert len(opened) == 1
    database.close()


def test_what_is_no_database_is_unavailable(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "chat.db").write_bytes(b"this is no database, whatever its name says" * 100)
    database = open_database(tmp_path)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            names(database)
    assert len(opened) == 0


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    database = open_database(tmp_path / "file")
    with pytest.raises(StorageUnavailable):
        names(database)


def test_our_own_faults_are_no_refusals_and_show_nobodys_text(
    opened: Opened, database: Database, tmp_path: Path
) -> None:
    write(database, "the database is locked, says ann")
    with pytest.raises(IntegrityError) as fault:
        write(database, "the database is locked, says ann")
    assert "says ann" not in str(fault.value)
    assert len(opened) == 1


def test_a_text_about_locks_does_not_make_a_full_disk_a_busy_one(database: Database) -> None:
    with pytest.raises(StorageUnavailable), database.transaction(write=True) as tx:
        tx.exec_driver_sql("PRAGMA max_page_count = 1")
        tx.exec_driver_sql(INSERT, ("locked and busy" * 10_000, "x"))


# Several at once

_FIRST_USE = """
import sys
from pathlib import Path
from chatapp.domain.messages import Draft, Kind
from chatapp.domain.names import parse_room_name, site_name
from chatapp.log.compiled import driver
from chatapp.log.database import Database
from chatapp.log.sql import SqlStore

who, url = sys.argv[1:]
store = SqlStore(Database(url, synchronous="normal", busy_seconds=20), reactions_per_message=3)
for number in range(40):
    with store.transaction(write=True) as tx:
        user = store.sign_in(tx, f"site:{who}", site_name(f"user {who}", 32), 0)
        room = store.open_room(tx, parse_room_name("lobby", 64), who)
        store.append(tx, [Draft(room, user, Kind.MESSAGE, f"{who} {number}")], 0)
store.close()
"""


def test_processes_that_start_at_once_share_a_database_and_number_its_entries_without_holes(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    others = [
        subprocess.Popen([sys.executable, "-c", _FIRST_USE, who, url], env=environ, stderr=subprocess.PIPE)
        for who in "ab"
    ]
    faults = [other.communicate(timeout=PATIENCE_SECONDS * 3)[1].decode() for other in others]
    assert [other.returncode for other in others] == [0, 0], faults
    store = SqlStore(open_database(tmp_path), reactions_per_message=3)
    with store.transaction(write=False) as tx:
        room = store.find_room(tx, parse_room_name("lobby", 64).key)
        assert room is not None
        log = [(item.entry.seq, item.entry.text) for item in store.replay(tx, room.id, 0, None, 1000)[0]]
    store.close()
    assert [seq for seq, _ in log] == list(range(1, 81))
    for who in "ab":
        assert [text for _, text in log if text.startswith(who)] == [f"{who} {n}" for n in range(40)]


def test_threads_that_start_at_once_share_a_database(tmp_path: Path) -> None:
    database = open_database(tmp_path, busy_seconds=PATIENCE_SECONDS)
    at_once = threading.Barrier(8)

    def work(name: str) -> None:
        at_once.wait(PATIENCE_SECONDS)
        for _ in range(20):
            names(database)
        write(database, name)

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(work, f"user {number}") for number in range(8)]:
            done.result(PATIENCE_SECONDS)
    assert sorted(names(database)) == [f"user {number}" for number in range(8)]
    database.close()


# What SQLite makes of our statements

#: What is read from one end to the other on purpose: the lists that are parameters, and the rooms when
#: the retention goes through them.
SCANS = {
    *(f"SCAN {name} VIRTUAL TABLE INDEX 1:" for name in ("keys", "seqs", "ids", "visits", "new")),
    "SCAN rooms USING COVERING INDEX ix_rooms_second_user_id",  # the ids of all rooms
}


@contextmanager
def recorded(store: SqlStore) -> Iterator[dict[str, None]]:
    """Collect the statements that are executed."""
    statements: dict[str, None] = {}

    def note(statement: str) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            statements[statement] = None

    with store.transaction(write=True) as tx:  # the only connection, which the others get, too
        connection = driver(tx)
    connection.set_trace_callback(note)
    try:
        yield statements
    finally:
        connection.set_trace_callback(None)


def use_every_verb(store: SqlStore) -> None:
    with store.transaction(write=True) as tx:
        ann, bob = (
            store.claim_name(tx, parse_guest_name(name, 32), None, 0, lambda user_id, seen_at: True)
            for name in ("ann", "bob")
        )
        store.claim_name(tx, parse_guest_name("anna", 32), ann.id, 0, lambda user_id, seen_at: True)
        for subject in ("site:1", "site:2"):
            store.sign_in(tx, subject, site_name("Kim", 32), 0)
        store.known_as(tx, "site:1", site_name("Kim", 32))
        store.user(tx, ann.id)
        store.find_user(tx, "bob")
        store.find_user(tx, "nobody")
        store.touch(tx, [ann.id, bob.id], 1)
        room = store.open_room(tx, parse_room_name("lobby", 64), "e1")
        conversation = store.open_conversation(tx, ann, bob, "e2")
        store.add_member(tx, room.id, ann.id)
        store.mark_read(tx, room.id, ann.id, 1)
        store.standings(tx, ann.id)
        store.append(tx, [Draft(room, ann, Kind.MESSAGE, "x", client_id=str(n)) for n in range(9)], 1)
        changes = [Draft(room, ann, Kind.EDIT, "y", 1), Draft(room, ann, Kind.DELETE, "", 2)]
        store.append(tx, changes, 1)
        store.append(tx, [Draft(each, ann, Kind.MESSAGE, "x") for each in (room, conversation)], 1)
        for before in (None, 5):
            store.replay(tx, room.id, 0, before, 5)
            store.page_back(tx, room.id, before, 5)
        store.trim(tx, room.id, 5, 1, 100)
        store.remove_member(tx, room.id, ann.id)
        store.room_ids(tx)


def test_no_statement_reads_a_whole_table_nor_a_whole_room(tmp_path: Path) -> None:
    store = SqlStore(open_database(tmp_path), reactions_per_message=3)
    with recorded(store) as statements:
        use_every_verb(store)
    assert len(statements) > 30
    store.close()
    with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
        for statement in statements:
            values = [None] * statement.count("?")
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
            assert not any(step.startswith("SCAN") and step not in SCANS for step in plan), (statement, plan)
            if any(step.endswith("entries USING PRIMARY KEY (room_id=?)") for step in plan):
                # Reads a room from one end, which is fine where it stops soon.
                assert re.search(r"LIMIT|(min|max)\(entries\.seq\)", statement), (statement, plan)

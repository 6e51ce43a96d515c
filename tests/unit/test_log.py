"""The log as the chat uses it: joins, pages, gaps, retention, its threads and its end."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import gevent
import gevent.monkey
import pytest
from gevent.event import Event

from chatapp.domain.messages import Change, Draft, Item, Kind, Room, User
from chatapp.domain.names import parse_guest_name, parse_room_name, site_name
from chatapp.errors import Internal, NameTaken, StorageBusy, StorageUnavailable
from chatapp.log.database import Database
from chatapp.log.log import Log
from chatapp.log.memory import MemoryStore
from chatapp.log.opening import open_log
from chatapp.log.pages import Since, place
from chatapp.log.sql import SqlStore
from chatapp.settings import load_settings
from servers import PATIENCE_SECONDS

LOBBY = parse_room_name("Lobby", 64)
NOW_SECONDS = 1_700_000_000.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_seconds = NOW_SECONDS

    def __call__(self) -> float:
        return self.now_seconds


def sql_store(directory: Path) -> SqlStore:
    database = Database(f"sqlite:///{directory}/chat.db", synchronous="normal", busy_seconds=0.2)
    return SqlStore(database, reactions_per_message=3)


def make_log(store: Any, **options: Any) -> Log:
    options = {"readers": 2, "max_waiting": 1000, "page_limit": 10, "catch_up": 20} | options
    return Log(store, **options)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[Log]:
    log = make_log(sql_store(tmp_path), clock=clock)
    yield log
    log.close()


def guest(log: Log, name: str = "ann") -> User:
    return log.claim_name(parse_guest_name(name, 32), None, lambda user_id, seen_at: True)


def say(log: Log, room: Room, user: User, *texts: str) -> None:
    for text in texts:
        log.append_and_wait(Draft(room, user, Kind.MESSAGE, text))


def numbers(start: int, end: int) -> list[str]:
    return [str(number) for number in range(start, end + 1)]


def texts(items: Sequence[Item]) -> list[str]:
    return [item.message.text if isinstance(item, Change) else item.text for item in items]


# Joining


def test_a_join_makes_the_room_and_the_membership_and_without_since_nothing_is_missed(log: Log) -> None:
    ann = guest(log)
    entered = log.enter(LOBBY, ann, None)
    assert (entered.room.name, entered.last_seq, entered.read_seq) == ("Lobby", 0, 0)
    assert entered.missed is None
    assert [standing.room for standing in log.standings(ann.id)] == [entered.room]
    assert log.enter(LOBBY, guest(log, "bob"), None).room == entered.room
    log.leave(entered.room.id, ann.id)
    assert log.standings(ann.id) == []


def test_who_comes_back_gets_what_followed_changes_included(log: Log) -> None:
    ann, bob = guest(log), guest(log, "bob")
    room = log.enter(LOBBY, ann, None).room
    say(log, room, bob, *numbers(1, 5))
    log.append_and_wait(Draft(room, bob, Kind.EDIT, "two", target_seq=2))
    missed = log.enter(LOBBY, ann, Since(room.epoch, 3)).missed
    assert missed is not None and not missed.gap and not missed.more
    assert [place(item) for item in missed.items] == [4, 5, 6]
    assert texts(missed.items) == ["4", "5", "two"]
    missed = log.enter(LOBBY, ann, Since(room.epoch, 6)).missed
    assert missed is not None and not missed.gap and not missed.items


class Interrupted(SqlStore):
    """Lets somebody do something between the two halves of a join."""

    meanwhile: Any = None

    def is_member(self, tx: Any, room_id: int, user_id: int) -> bool:
        is_member = super().is_member(tx, room_id, user_id)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return is_member


def test_what_is_said_between_the_two_halves_of_a_join_is_neither_missed_nor_doubled(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/chat.db", synchronous="normal", busy_seconds=5)
    store = Interrupted(database, reactions_per_message=3)
    log, others = make_log(store), sql_store(tmp_path)
    ann = guest(log)
    room = log.enter(LOBBY, ann, None).room
    say(log, room, ann, *numbers(1, 5))

    def meanwhile() -> None:
        with others.transaction(write=True) as tx:
            others.append(tx, [Draft(room, ann, Kind.MESSAGE, text) for text in numbers(6, 8)], 0)

    store.meanwhile = meanwhile
    entered = log.enter(LOBBY, ann, Since(room.epoch, 3))
    assert entered.missed is not None and not entered.missed.more
    assert texts(entered.missed.items) == numbers(4, 8) and entered.last_seq == 8

    def cut() -> None:
        meanwhile()
        with others.transaction(write=True) as tx:
            others.trim(tx, room.id, 1, None, 1000)

    store.meanwhile = cut
    entered = log.enter(LOBBY, ann, Since(room.epoch, 3))
    assert entered.missed is not None and entered.missed.gap
    log.close()
    others.close()


def test_what_follows_a_join_is_handed_on_after_it_and_what_is_in_it_before(tmp_path: Path) -> None:
    log = make_log(sql_store(tmp_path), catch_up=100)
    ann = guest(log)
    room = log.enter(LOBBY, ann, None).room
    heard: list[Any] = []

    def speak(number: int) -> None:
        log.append_and_wait(Draft(room, ann, Kind.MESSAGE, str(number)), lambda a: heard.append(a.entry.seq))

    def join() -> None:
        log.enter(LOBBY, ann, Since(room.epoch, 0), heard.append)

    speakers = [gevent.spawn(speak, number) for number in range(1, 21)]
    joining = [gevent.spawn(join) for _ in range(5)]
    later = [gevent.spawn(speak, number) for number in range(21, 41)]
    gevent.joinall([*speakers, *joining, *later], timeout=PATIENCE_SECONDS, raise_error=True)
    joins = [index for index, event in enumerate(heard) if not isinstance(event, int)]
    assert len(joins) == 5
    for index in joins:
        seqs = [event for event in heard[index:] if isinstance(event, int)]
        assert [place(item) for item in heard[index].missed.items] + seqs == list(range(1, 41))
    log.close()


def test_a_catch_up_is_cut_at_its_limit_and_says_where_it_goes_on(log: Log) -> None:
    ann = guest(log)
    room = log.enter(LOBBY, ann, None).room
    say(log, room, ann, *numbers(1, 25))
    missed = log.enter(LOBBY, ann, Since(room.epoch, 2)).missed
    assert missed is not None and missed.more and missed.reached == 22
    assert texts(missed.items) == numbers(3, 22)
    page = log.history(room.id, None, missed.reached, 10)
    assert texts(page.items) == numbers(23, 25) and not page.more and page.reached == 25
    # Exactly the limit: there is no more.
    missed = log.enter(LOBBY, ann, Since(room.epoch, 5)).missed
    assert missed is not None and not missed.more and texts(missed.items) == numbers(6, 25)


@pytest.mark.parametrize("since", [("another", 3), (None, 26), (None, 2**63 - 1)])
def test_a_place_that_is_not_in_this_log_is_a_gap_and_brings_the_latest_page(
    log: Log, since: tuple[str | None, int]
) -> None:
    ann = guest(log)
    room = log.enter(LOBBY, ann, None).room
    say(log, room, ann, *numbers(1, 25))
    epoch, seq = since
    missed = log.enter(LOBBY, ann, Since(epoch or room.epoch, seq)).missed
    assert missed is not None and missed.gap and not missed.more
    assert texts(missed.items) == numbers(16, 25)


def test_a_first_join_with_since_of_a_room_that_is_not_there_is_a_gap(log: Log) -> None:
    missed = log.enter(LOBBY, guest(log), Since("gone", 7)).missed
    assert missed is not None and missed.gap and not missed.items


def test_a_conversation_is_revisited_like_a_room(log: Log) -> None:
    ann, bob = guest(log), guest(log, "bob")
    assert log.find_conversation(ann, "bob") == (bob, None)
    assert log.find_conversation(ann, "nobody") == (None, None)
    room = log.conversation(ann, bob)
    assert log.find_conversation(bob, "ann") == (ann, room)
    say(log, room, bob, "1", "2", "3")
    assert log.mark_read(room.id, ann.id, 2) == 2
    entered = log.revisit(room, ann, Since(room.epoch, 1))
    assert (entered.last_seq, entered.read_seq) == (3, 2)
    assert entered.missed is not None and texts(entered.missed.items) == ["2", "3"]
    assert entered.their_read_seq == 0
    again = log.revisit(room, bob, None)
    assert (again.missed, again.read_seq, again.their_read_seq) == (None, 0, 2)
    alone = log.conversation(ann, ann)
    assert log.revisit(alone, ann, None).their_read_seq is None


# Reading


def test_history_pages_back_and_forth_within_its_limits(log: Log) -> None:
    ann = guest(log)
    room = log.open_room(LOBBY)
    assert log.open_room(LOBBY) == room == log.find_room(LOBBY.key)
    assert log.history(room.id, None, None, 5).items == []
    say(log, room, ann, *numbers(1, 25))
    page = log.history(room.id, None, None, 5)
    assert (texts(page.items), page.more) == (numbers(21, 25), True)
    page = log.history(room.id, 21, None, 1000)
    assert (texts(page.items), page.more) == (numbers(11, 20), True)
    page = log.history(room.id, 6, None, 5)
    assert (texts(page.items), page.more) == (numbers(1, 5), False)
    page = log.history(room.id, None, 20, 5)
    assert (texts(page.items), page.more, page.reached) == (numbers(21, 25), False, 25)
    page = log.history(room.id, 10, 3, 5)
    assert (texts(page.items), page.more) == (numbers(4, 8), True)
    page = log.history(room.id, 10, 4, 5)
    assert (texts(page.items), page.more) == (numbers(5, 9), False)
    page = log.history(room.id, None, 25, 5)
    assert (page.items, page.more, page.gap) == ([], False, False)


def test_a_page_of_long_texts_ends_early_and_says_where_it_goes_on(tmp_path: Path) -> None:
    log = make_log(sql_store(tmp_path), page_bytes=1000)
    ann = guest(log)
    room = log.enter(LOBBY, ann, None).room
    say(log, room, ann, *(letter * 400 for letter in "abcde"), "é" * 400, "f" * 4000)
    read, after = [], 0
    while True:
        page = log.history(room.id, None, after, 10)
        read.append("".join(text[0] for text in texts(page.items)))
        after = page.reached
        if not page.more:
            break
    assert read == ["ab", "cd", "e", "é", "f"]
    page = log.history(room.id, None, None, 10)
    assert [text[0] for text in texts(page.items)] == ["f"] and page.more
    page = log.history(room.id, 7, None, 10)
    assert [text[0] for text in texts(page.items)] == ["é"] and page.more
    page = log.history(room.id, 3, None, 10)
    assert [text[0] for text in texts(page.items)] == ["a", "b"] and not page.more
    missed = log.enter(LOBBY, ann, Since(room.epoch, 2)).missed
    assert missed is not None and missed.more and missed.reached == 4 and not missed.gap
    assert [text[0] for text in texts(missed.items)] == ["c", "d"]
    missed = log.enter(LOBBY, ann, Since("another", 2)).missed
    assert missed is not None and missed.gap and [text[0] for text in texts(missed.items)] == ["f"]
    log.close()


def test_the_changes_of_a_long_message_count_with_what_they_show(tmp_path: Path) -> None:
    log = make_log(sql_store(tmp_path), page_bytes=1000)
    ann = guest(log)
    room = log.enter(LOBBY, ann, None).room
    say(log, room, ann, "a" * 400)
    for emoji in "👍🎉🚀":
        log.append_and_wait(Draft(room, ann, Kind.REACT, emoji, target_seq=1))
    page = log.history(room.id, None, 0, 10)
    assert [place(item) for item in page.items] == [1, 2] and page.more and page.reached == 2
    log.close()


def test_a_user_of_the_site_is_written_only_when_something_is_new(tmp_path: Path) -> None:
    writes: list[bool] = []

    class Counting(SqlStore):
        def transaction(self, *, write: bool) -> Any:
            writes.append(write)
            return super().transaction(write=write)

    database = Database(f"sqlite:///{tmp_path}/chat.db", synchronous="normal", busy_seconds=1)
    log = make_log(Counting(database, reactions_per_message=3))
    kim = log.sign_in("site:1", site_name("Kim", 32))
    del writes[:]
    assert log.sign_in("site:1", site_name("Kim", 32)) == kim == log.user(kim.id)
    assert writes == [False, False]
    assert log.sign_in("site:1", site_name("Kim B", 32)) == User(kim.id, "Kim B")
    assert True in writes
    log.close()


def test_a_name_is_held_by_who_is_noted_as_here(log: Log, clock: Clock) -> None:
    ann = guest(log)
    clock.now_seconds += 100
    log.touch([ann.id])
    log.touch([])
    held_since = int(clock.now_seconds * 1000)

    def is_held(user_id: int, seen_at: int) -> bool:
        return seen_at >= held_since

    with pytest.raises(NameTaken):
        log.claim_name(parse_guest_name("ann", 32), None, is_held)
    held_since += 1
    assert log.claim_name(parse_guest_name("ann", 32), None, is_held).id != ann.id


# Retention


def test_retention_cuts_by_count_and_by_age_in_all_rooms(log: Log, clock: Clock) -> None:
    ann = guest(log)
    rooms = [log.enter(parse_room_name(name, 64), ann, None).room for name in ("one", "two")]
    for room in rooms:
        say(log, room, ann, *numbers(1, 12))
    assert log.trim(10, None) == 4
    clock.now_seconds += 3600
    say(log, rooms[0], ann, "13")
    assert log.trim(None, 1800) == 20
    assert log.trim(None, 1800) == 0
    assert texts(log.history(rooms[0].id, None, None, 10).items) == ["13"]
    assert log.history(rooms[1].id, None, None, 10).items == []
    missed = log.enter(parse_room_name("one", 64), ann, Since(rooms[0].epoch, 11)).missed
    assert missed is not None and missed.gap and texts(missed.items) == ["13"]
    page = log.history(rooms[0].id, None, 11, 10)
    assert page.gap and texts(page.items) == ["13"]
    missed = log.enter(parse_room_name("two", 64), ann, Since(rooms[1].epoch, 12)).missed
    assert missed is not None and not missed.gap
    say(log, rooms[1], ann, "13")
    assert place(log.history(rooms[1].id, None, None, 10).items[0]) == 13


# The threads


class Slow(SqlStore):
    """Writes no entry, and reads no page, before it is let."""

    def __init__(self, directory: Path) -> None:
        database = Database(f"sqlite:///{directory}/chat.db", synchronous="normal", busy_seconds=1)
        super().__init__(database, reactions_per_message=3)
        self._entered, self._let = threading.Event(), threading.Event()

    def append(self, *args: Any) -> Any:
        self._wait()
        return super().append(*args)

    def page_back(self, *args: Any) -> Any:
        self._wait()
        return super().page_back(*args)

    def _wait(self) -> None:
        self._entered.set()
        assert self._let.wait(PATIENCE_SECONDS)

    def wait_for_call(self) -> None:
        with gevent.Timeout(PATIENCE_SECONDS):
            while not self._entered.is_set():
                gevent.sleep(0.001)

    def let(self) -> None:
        self._let.set()


def test_reads_and_the_event_loop_go_on_while_a_write_takes_its_time(tmp_path: Path) -> None:
    store = Slow(tmp_path)
    log = make_log(store)
    ann = guest(log)
    room = log.enter(LOBBY, ann, None).room
    writing = gevent.spawn(log.append_and_wait, Draft(room, ann, Kind.MESSAGE, "x"))
    store.wait_for_call()
    assert log.history(room.id, None, 0, 10).items == []
    assert not writing.ready()
    store.let()
    assert writing.get(timeout=PATIENCE_SECONDS).entry.seq == 1
    log.close()


def test_a_lock_that_is_held_too_long_refuses_and_says_why_in_the_log_file_without_a_traceback(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    ann = guest(log)
    room = log.enter(LOBBY, ann, None).room
    with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy):
            say(log, room, ann, "x")
    say(log, room, ann, "y")
    assert texts(log.history(room.id, None, None, 10).items) == ["y"]
    assert [record.getMessage() for record in caplog.records] == ["the database failed: database is locked"]
    assert capfd.readouterr().err == ""


def test_a_database_that_cannot_be_read_refuses_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chat.db").write_bytes(b"no database" * 1000)
    log = make_log(sql_store(tmp_path))
    for ask in (log.check, lambda: guest(log)):
        with pytest.raises(StorageUnavailable):
            ask()
    log.close()
    assert [record.getMessage() for record in caplog.records] == [
        "the database failed: file is not a database"
    ] * 2
    assert capfd.readouterr().err == ""


def test_threads_of_a_site_without_event_loop_may_ask_too(log: Log) -> None:
    get_original = gevent.monkey.get_original
    asked: list[int] = []

    def ask() -> None:
        log.check()
        asked.append(threading.get_ident())

    log.check()
    for number in range(1, 4):
        get_original("_thread", "start_new_thread")(ask, ())
        with gevent.Timeout(PATIENCE_SECONDS):
            while len(asked) < number:
                gevent.sleep(0.001)
    log.check()
    assert threading.get_ident() not in asked


def test_a_bug_in_reading_is_an_internal_error_that_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    class Buggy(SqlStore):
        def standings(self, tx: Any, user_id: int) -> Any:
            return 1 / 0

    database = Database(f"sqlite:///{tmp_path}/chat.db", synchronous="normal", busy_seconds=1)
    log = make_log(Buggy(database, reactions_per_message=3))
    with pytest.raises(Internal):
        log.standings(1)
    log.close()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]
    assert capfd.readouterr().err == ""


class Listener(logging.Handler):
    """Notes in which threads something is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.threads[threading.get_ident()] = record.name


def test_nothing_is_logged_in_a_native_thread_not_even_by_the_libraries(tmp_path: Path) -> None:
    listener, root = Listener(), logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.INFO)  # as [log] level has it
    try:
        log = make_log(sql_store(tmp_path))
        room = log.enter(LOBBY, guest(log), None).room  # makes the database, with Alembic
        with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageBusy):
                log.leave(room.id, 1)
        with closing(sqlite3.connect(tmp_path / "chat.db")) as other:
            other.executescript("DROP TABLE members; DROP TABLE entries")
        with pytest.raises(StorageUnavailable):
            log.history(room.id, None, None, 1)
        log.close()
    finally:
        root.removeHandler(listener)
        root.setLevel(level)
    assert listener.threads == {threading.get_ident(): "chatapp.log"}


# The end


def test_close_writes_what_waits_and_leaves_no_thread_and_no_file_behind(tmp_path: Path) -> None:
    before = set(Path("/proc/self/task").iterdir())
    log = make_log(sql_store(tmp_path))
    ann = guest(log)
    room = log.enter(LOBBY, ann, None).room
    senders = [
        gevent.spawn(log.append_and_wait, Draft(room, ann, Kind.MESSAGE, str(number))) for number in range(50)
    ]
    gevent.sleep(0)
    log.close()
    gevent.joinall(senders, timeout=PATIENCE_SECONDS, raise_error=True)
    assert [sender.value.entry.seq for sender in senders] == list(range(1, 51))
    with gevent.Timeout(PATIENCE_SECONDS):
        while set(Path("/proc/self/task").iterdir()) - before:  # a thread ends a moment after its work
            gevent.sleep(0.005)
    assert [path.name for path in tmp_path.iterdir()] == ["chat.db"]
    for ask in (log.check, lambda: say(log, room, ann, "late"), lambda: log.enter(LOBBY, ann, None)):
        with pytest.raises(StorageUnavailable) as refused:
            ask()
        assert refused.value.retry_after
    log.close()


def test_close_waits_for_the_reads_that_came_before_it(tmp_path: Path) -> None:
    store = Slow(tmp_path)
    log = make_log(store)
    room = log.open_room(LOBBY)
    readers = [gevent.spawn(log.history, room.id, None, None, 10) for _ in range(20)]
    store.wait_for_call()
    closing = gevent.spawn(log.close)
    for _ in range(10):
        gevent.sleep(0)  # until it waits
    store.let()
    assert [reader.get(timeout=PATIENCE_SECONDS).items for reader in readers] == [[]] * 20
    closing.get(timeout=PATIENCE_SECONDS)


def test_a_log_that_was_never_used_opens_nothing(tmp_path: Path) -> None:
    make_log(sql_store(tmp_path)).close()
    assert list(tmp_path.iterdir()) == []


def test_waiting_says_how_many_writes_wait(tmp_path: Path) -> None:
    store = Slow(tmp_path)
    log = make_log(store)
    ann = guest(log)
    room = log.open_room(LOBBY)
    senders = [gevent.spawn(log.append_and_wait, Draft(room, ann, Kind.MESSAGE, "1"))]
    store.wait_for_call()
    senders += [gevent.spawn(log.append_and_wait, Draft(room, ann, Kind.MESSAGE, "2")) for _ in range(3)]
    gevent.sleep(0)
    assert log.waiting == 3
    store.let()
    gevent.joinall(senders, timeout=PATIENCE_SECONDS, raise_error=True)
    assert log.waiting == 0
    log.close()


# What the settings say


@pytest.mark.parametrize(("synchronous", "value"), [("normal", 1), ("full", 2)])
def test_the_storage_that_the_settings_describe_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synchronous: str, value: int
) -> None:
    monkeypatch.setenv("CHATAPP_APP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CHATAPP_STORAGE_SYNCHRONOUS", synchronous)
    monkeypatch.setenv("CHATAPP_HISTORY_PAGE_LIMIT", "60")
    monkeypatch.setenv("CHATAPP_HISTORY_PAGE_BYTES", "1024")
    observed: list[int] = []
    log = open_log(load_settings(), lambda size, seconds: observed.append(size))
    ann = guest(log)
    room = log.open_room(LOBBY)
    say(log, room, ann, *numbers(1, 70))
    assert len(log.history(room.id, None, None, 1000).items) == 60
    say(log, room, ann, "x" * 1000, "y" * 1000)
    assert len(log.history(room.id, None, None, 1000).items) == 1
    assert log._read(lambda tx: tx.exec_driver_sql("PRAGMA synchronous").scalar()) == value
    log.close()
    assert sum(observed) == 74
    assert [path.name for path in tmp_path.iterdir()] == ["chatapp.db"]


def test_without_storage_everything_but_the_past_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPP_APP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CHATAPP_STORAGE_URL", "none")
    log = open_log(load_settings())
    ann = guest(log)
    room = log.enter(LOBBY, ann, None).room
    say(log, room, ann, "1", "2")
    assert log.history(room.id, None, None, 10).items == []
    entered = log.enter(LOBBY, ann, Since(room.epoch, 1))
    assert entered.missed is not None and entered.missed.gap and entered.last_seq == 2
    entered = log.enter(LOBBY, ann, Since(room.epoch, 2))
    assert entered.missed is not None and not entered.missed.gap
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_never_blocks_needs_no_threads() -> None:
    before = set(Path("/proc/self/task").iterdir())
    log = make_log(MemoryStore(), readers=0)
    done = Event()
    room = log.enter(LOBBY, guest(log), None, lambda entered: done.set()).room
    assert done.is_set() and log.find_room(LOBBY.key) == room
    assert set(Path("/proc/self/task").iterdir()) <= before
    log.close()

"""What happens by itself, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from chatapp import housekeeping
from chatapp.domain.names import parse_guest_name
from chatapp.errors import NameTaken, StorageUnavailable
from chatapp.housekeeping import Housekeeping
from chatapp.log.database import Database
from chatapp.log.sql import SqlStore
from chatapp.settings import History, Limits, Settings
from unit.chat_parts import Parts, put_together

#: How long a test waits for what should happen at once.
PATIENCE_SECONDS = 20


def wait_until(condition: Callable[[], object]) -> None:
    """Let the greenlets run until the condition holds."""
    with gevent.Timeout(PATIENCE_SECONDS, AssertionError("waited in vain")):
        while not condition():
            gevent.sleep(0.001)


def let_run() -> None:
    """Let every greenlet that can run do so, until each of them waits."""
    for _ in range(5):
        gevent.sleep(0)


@pytest.fixture
def chat() -> Iterator[Parts]:
    with put_together(Settings(limits=Limits(enabled=False, leave_grace_seconds=10))) as chat:
        yield chat


@pytest.fixture
def keeper(chat: Parts) -> Iterator[Housekeeping]:
    keeper = Housekeeping(chat.context, chat.rooms)
    chat.context.wake = keeper.wake
    yield keeper
    keeper.stop()


def presence_of(chat: Parts, sid: str) -> list[Any]:
    return chat.outbox.received(sid, "presence")


def test_an_arrival_is_announced_when_it_is_due_by_the_clock(chat: Parts, keeper: Housekeeping) -> None:
    keeper.start()
    ann = chat.join("a", "lobby", "ann")["user"]
    let_run()
    assert presence_of(chat, "a") == []
    chat.clock.now += 1
    wait_until(lambda: presence_of(chat, "a"))
    joined = [{"user_id": ann["id"], "username": "ann"}]
    assert presence_of(chat, "a") == [{"room": "lobby", "joined": joined, "left": [], "online": 1}]


def test_who_does_not_come_back_leaves_when_the_grace_is_over(chat: Parts, keeper: Housekeeping) -> None:
    left: list[Any] = []
    chat.context.hooks.add("on_leave", lambda user, room: left.append((user.name, room)))
    chat.join("a", "lobby", "ann")
    chat.join("b", "lobby", "bob")
    keeper.start()
    chat.clock.now += 1
    keeper.wake()
    wait_until(lambda: presence_of(chat, "b"))
    chat.handlers.disconnect("a", "transport close")
    chat.clock.now += 9.9
    keeper.wake()
    let_run()
    assert (left, len(presence_of(chat, "b"))) == ([], 1)
    chat.clock.now += 0.1
    keeper.wake()
    wait_until(lambda: left)
    chat.clock.now += 1
    keeper.wake()
    wait_until(lambda: len(presence_of(chat, "b")) == 2)
    assert left == [("ann", "lobby")]
    assert [user["username"] for user in presence_of(chat, "b")[1]["left"]] == ["ann"]


def test_with_nothing_to_do_it_sleeps_until_it_is_woken(
    chat: Parts, keeper: Housekeeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(chat.rooms, "tick", asked.append)
    keeper.start()
    let_run()
    assert asked == [chat.clock.now]
    keeper.start()  # again: it is started already
    let_run()
    assert len(asked) == 1
    keeper.wake()
    let_run()
    assert len(asked) == 2
    keeper.stop()
    keeper.wake()
    let_run()
    assert len(asked) == 2


def test_a_fault_is_logged_and_does_not_end_it(
    chat: Parts, keeper: Housekeeping, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[float] = []

    def fail(now: float) -> None:
        asked.append(now)
        raise ZeroDivisionError

    monkeypatch.setattr(chat.rooms, "tick", fail)
    keeper.start()
    let_run()
    keeper.wake()
    let_run()
    assert len(asked) == 2
    assert [record.getMessage() for record in caplog.records] == ["housekeeping failed"] * 2


def seen_at(chat: Parts, name: str) -> float:
    """Return when, in seconds, the log knows the owner of a name to have been here."""
    seen: list[int] = []

    def is_held(user_id: int, seen_at_ms: int) -> bool:
        seen.append(seen_at_ms)
        return True

    with pytest.raises(NameTaken):
        chat.context.log.claim_name(parse_guest_name(name, 32), None, is_held)
    return seen[0] / 1000


def test_a_name_is_held_from_its_owners_last_minute_on(chat: Parts, keeper: Housekeeping) -> None:
    came = chat.clock.now
    chat.join("a", "lobby", "ann")
    assert seen_at(chat, "ann") == came
    chat.clock.now += 60
    keeper.keep_names()
    assert seen_at(chat, "ann") == came + 60
    chat.handlers.disconnect("a", "transport close")  # somewhere within the next minute
    chat.clock.now += 60
    keeper.keep_names()
    assert seen_at(chat, "ann") == came + 120
    chat.clock.now += 60
    keeper.keep_names()
    assert seen_at(chat, "ann") == came + 120


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    database = Database(f"sqlite:///{tmp_path}/chat.db", synchronous="normal", busy_seconds=1)
    return SqlStore(database, reactions_per_message=20)


def talk(chat: Parts, room: str, count: int) -> None:
    chat.join(f"sid in {room}", room, f"guest-{room}")
    for number in range(count):
        assert chat.call(f"sid in {room}", "new message", f"message {number}")["ok"]
        chat.clock.now += 3600


def texts(chat: Parts, room: str) -> list[str]:
    page = chat.call(f"sid in {room}", "history", {"room": room})
    return [message["message"] for message in page["messages"]]


def trimmed(chat: Parts) -> float | None:
    return chat.context.metrics.registry.get_sample_value("chatapp_trimmed_entries_total")


@pytest.mark.parametrize(
    ("history", "kept"),
    [
        (History(), 10),
        (History(retention_entries=4), 4),
        (History(retention_entries=100), 10),
        (History(retention_days=0.25), 6),  # one an hour, the last an hour ago
        (History(retention_days=0.25, retention_entries=3), 3),
    ],
    ids=["all", "entries", "more entries", "days", "days and entries"],
)
def test_old_messages_go_as_the_retention_says(store: SqlStore, history: History, kept: int) -> None:
    settings = Settings(history=history, limits=Limits(enabled=False))
    with put_together(settings, store=store) as chat:
        talk(chat, "lobby", 10)
        Housekeeping(chat.context, chat.rooms).trim()
        assert texts(chat, "lobby") == [f"message {number}" for number in range(10 - kept, 10)]
        assert trimmed(chat) == 10 - kept


def test_the_rounds_go_on_after_one_that_had_to_wait(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "ROUND_SECONDS", 0.001)
    settings = Settings(history=History(retention_entries=1), limits=Limits(enabled=False))
    with put_together(settings, store=store) as chat:
        talk(chat, "lobby", 3)
        outcomes: list[Any] = [StorageUnavailable("no room on the disk"), ZeroDivisionError()]

        def touch(user_ids: Collection[int]) -> None:
            if outcomes:
                raise outcomes.pop(0)

        monkeypatch.setattr(chat.context.log, "touch", touch)
        keeper = Housekeeping(chat.context, chat.rooms)
        keeper.start()
        wait_until(lambda: not outcomes and trimmed(chat) == 2)
        keeper.stop()
        assert texts(chat, "lobby") == ["message 2"]
    said = [record.getMessage() for record in caplog.records if record.name == "chatapp.housekeeping"]
    assert said == ["housekeeping has to wait: no room on the disk", "housekeeping failed"]

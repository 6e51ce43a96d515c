"""Several workers: one order in each room, nothing missed and nothing doubled, whatever the bus loses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from socketio.exceptions import ConnectionRefusedError

from chatapp.chat.distribution import TOGETHER_SECONDS
from chatapp.cluster.bus import room_topic, user_topic
from chatapp.cluster.envelopes import EntryNews, Part, encode
from chatapp.errors import StorageBusy
from chatapp.settings import Limits, Settings
from unit.worker_town import Town, Worker, a_town, until


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with a_town(tmp_path) as town:
        yield town


def texts(worker: Worker, sid: str) -> list[str]:
    return [message["message"] for message in worker.parts.outbox.received(sid, "new message")]


def test_what_is_said_by_one_worker_is_heard_by_the_other(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    second.parts.join("b", "lobby", "bob")
    receipt = first.say("a", {"message": "hello", "client_id": "c1"})
    until(lambda: second.seqs("b"), "the message")
    (heard,) = second.parts.outbox.received("b", "new message")
    assert {key: heard[key] for key in ("room", "seq", "id", "sent_at")} == {
        key: receipt[key] for key in ("room", "seq", "id", "sent_at")
    }
    assert (heard["username"], heard["message"], heard["client_id"]) == ("ann", "hello", "c1")
    assert first.seqs("a") == []  # it was acknowledged


@pytest.mark.parametrize("delay_seconds", [0.0, 0.03])
@pytest.mark.parametrize("loses", [0.0, 0.3, 1.0])
def test_every_worker_hands_on_one_order_without_holes_or_doubles(
    town: Town, loses: float, delay_seconds: float
) -> None:
    workers = [town.worker() for _ in range(3)]
    for worker in workers:
        worker.parts.join("speaker", "lobby", f"speaker of {worker.name}")
        worker.parts.join("hearer", "lobby", f"hearer of {worker.name}")
    town.loses, town.delay_seconds = loses, delay_seconds

    def speak(worker: Worker) -> list[Any]:
        return [worker.say("speaker", f"{worker.name} {number}") for number in range(30)]

    speaking = [gevent.spawn(speak, worker) for worker in workers]
    gevent.joinall(speaking, timeout=20, raise_error=True)
    town.loses = 0
    for worker in workers:
        until(
            lambda worker=worker: worker.parts.housekeeping.compare() or len(worker.seqs("hearer")) >= 90,
            f"all at {worker.name}",
        )
    for worker, acks in zip(workers, speaking, strict=True):
        assert worker.seqs("hearer") == list(range(1, 91))
        own = [answer["seq"] for answer in acks.value]
        assert own == sorted(own)
        assert worker.seqs("speaker") == [seq for seq in range(1, 91) if seq not in own]


def test_a_gap_is_filled_without_waiting_for_a_comparison(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    second.parts.join("b", "lobby", "bob")
    town.loses = 1
    first.say("a", "lost")
    edited = first.parts.call("a", "edit message", {"room": "lobby", "seq": 1, "message": "lost, edited"})
    assert edited["ok"]
    town.loses = 0
    first.say("a", "heard")
    until(lambda: len(second.seqs("b")) >= 2, "both")
    assert texts(second, "b") == ["lost, edited", "heard"]
    (change,) = second.parts.outbox.received("b", "message changed")
    assert change["change"]["kind"] == "edit" and change["change"]["seq"] == 2
    assert second.parts.context.distribution.filled == 2


def test_a_bell_without_a_message_has_it_read(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    room = first.parts.context.log.find_room("lobby")
    assert room is not None
    second.parts.join("b", "lobby", "bob")
    town.loses = 1
    first.say("a", "hello")
    bell = EntryNews(room.id, 1, [Part("r", room.id, "new message", {})]).bell()
    second.bus.on_payload(encode(bell))
    until(lambda: second.seqs("b"), "the message")
    assert texts(second, "b") == ["hello"]


def test_a_place_that_nobody_has_committed_is_not_waited_for(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    second.parts.join("b", "lobby", "bob")
    room = first.parts.context.log.find_room("lobby")
    assert room is not None
    forged = EntryNews(room.id, 1_000_000, [Part("r", room.id, "new message", {"seq": 1_000_000})])
    second.bus.on_payload(encode(forged))
    first.say("a", "hello")
    until(lambda: second.seqs("b"), "the message")
    feed = second.parts.context.distribution.feed
    until(lambda: feed.waits_for(room.id) is None, "the forged one is dropped")
    assert second.seqs("b") == [1] and feed.head(room.id) == 1


def test_who_comes_in_while_another_worker_goes_on_gets_each_message_once(town: Town) -> None:
    first, second = town.worker(), town.worker()
    joined = first.parts.join("a", "lobby", "ann")
    town.delay_seconds = 0.01
    is_over = False

    def speak() -> None:
        while not is_over:
            first.say("a", "on and on")

    speaking = gevent.spawn(speak)
    try:
        for number in range(25):
            sid, since = f"b{number}", {"epoch": joined["epoch"], "seq": 0}
            second.parts.handlers.connect(sid, {})
            answers: list[Any] = []
            request = {"roomname": "lobby", "username": f"bob{number}", "since": since}
            second.parts.handlers.dispatch(sid, "join room", (request,), answers.append)
            until(lambda sid=sid: len(second.seqs(sid)) >= 3, "live messages")
            (answer,) = answers
            caught_up = [message["seq"] for message in answer["messages"]]
            assert caught_up == list(range(1, answer["last_seq"] + 1))
            live = second.seqs(sid)
            assert live == list(range(answer["last_seq"] + 1, answer["last_seq"] + 1 + len(live)))
    finally:
        is_over = True
        speaking.join()


@pytest.mark.parametrize("loses", [0.0, 1.0])
def test_private_messages_reach_all_of_both_users_connections(town: Town, loses: float) -> None:
    workers = [town.worker() for _ in range(3)]
    tokens = {}
    for name in ("ann", "bob"):
        for worker in workers:
            worker.parts.handlers.connect(name, {})
            request = {"roomname": "lobby", "username": name, "token": tokens.get(name)}
            tokens[name] = worker.parts.call(name, "join room", request)["token"]
    workers[2].parts.join("cid", "lobby", "cid")
    town.loses = loses
    for number, worker in enumerate(workers):
        assert worker.call("ann", "new pm", f"@bob psst {number}")["ok"]
        assert worker.call("bob", "new pm", f"@ann psst {number}")["ok"]
    town.loses = 0
    for worker in workers:
        for name in ("ann", "bob"):

            def count(worker: Worker = worker, name: str = name) -> bool:
                worker.parts.housekeeping.compare()
                return len(worker.seqs(name)) >= 5

            until(count, f"all of {name}'s at {worker.name}")
    for number, worker in enumerate(workers):
        assert worker.seqs("ann") == [seq for seq in range(1, 7) if seq != 2 * number + 1]
        assert worker.seqs("bob") == [seq for seq in range(1, 7) if seq != 2 * number + 2]
    assert workers[2].seqs("cid") == []
    rooms = {message["room"] for message in workers[0].parts.outbox.received("ann", "new message")}
    assert rooms == {"@bob"}


def test_signals_reach_other_workers(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    second.parts.join("b", "lobby", "bob")
    assert first.parts.call("a", "typing", {"room": "lobby", "typing": True})["ok"]
    until(lambda: second.parts.outbox.received("b", "typing"), "typing")
    (typing,) = second.parts.outbox.received("b", "typing")
    assert (typing["username"], typing["typing"], typing["room"]) == ("ann", True, "lobby")
    assert first.parts.outbox.received("a", "typing") == []


def test_rooms_and_users_that_nobody_here_hears_are_given_up(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    second.parts.join("b", "lobby", "bob")
    assert first.parts.call("a", "new pm", "@bob psst")["ok"]
    until(lambda: second.seqs("b"), "the private message")
    assert len(second.bus.topics) == 2
    second.parts.handlers.disconnect("b", "gone")
    second.parts.housekeeping.compare()
    assert len(second.bus.topics) == 2  # the grace is not over
    second.parts.clock.now += 60
    second.parts.rooms.tick(second.parts.clock())
    second.parts.housekeeping.compare()
    assert second.bus.topics == set() and second.parts.context.distribution.feed.rooms() == {}
    assert second.parts.context.presence.workers() == []
    second.parts.join("b2", "lobby", "bob2")
    first.say("a", "welcome")
    until(lambda: second.seqs("b2"), "the message")
    assert second.seqs("b2") == [1]


def test_the_first_message_of_a_conversation_is_heard_whoever_comes_meanwhile(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    token = second.parts.join("b", "lobby", "bob")["token"]
    town.delay_seconds = 0.5
    assert second.parts.call("b", "new pm", "@ann psst")["ok"]
    request = {"roomname": "lobby", "username": "bob", "token": token}
    first.parts.handlers.connect("b", {})
    assert first.call("b", "join room", request)["ok"]  # which reads of a place that ann has not heard
    until(lambda: first.seqs("a"), "the private message")
    assert first.seqs("a") == [1]


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[str]:
    """Have a method fail the first time, after others had their turn; return who has called it."""
    calls: list[str] = []
    method = getattr(owner, name)

    def call(*args: Any) -> Any:
        calls.append(name)
        if len(calls) == 1:
            gevent.sleep(0.01)
            raise StorageBusy(retry_after=1)
        return method(*args)

    monkeypatch.setattr(owner, name, call)
    return calls


@pytest.mark.parametrize("method", ["listen", "conversations"])
def test_who_waits_for_one_that_fails_does_it_anew(
    town: Town, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    worker = town.worker()
    distribution, log = worker.parts.context.distribution, worker.parts.context.log
    calls = fail_once(monkeypatch, worker.bus if method == "listen" else log, method)
    refused: list[str] = []

    def follow() -> None:
        try:
            if method == "listen":
                distribution.open(7, lambda: None)
            else:
                distribution.follow_user(7)
        except StorageBusy:
            refused.append(method)

    gevent.joinall([gevent.spawn(follow) for _ in range(3)], raise_error=True)
    assert refused == [method] and calls == [method] * 2
    assert worker.bus.topics == {room_topic(7) if method == "listen" else user_topic(7)}
    assert method != "listen" or distribution.feed.follows(7)


def test_what_others_commit_waits_for_an_own_commit_but_not_for_long(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    second.parts.join("b", "lobby", "bob")
    log = second.parts.context.log
    is_committing = True
    monkeypatch.setattr(type(log), "is_committing", property(lambda self: self is log and is_committing))
    first.say("a", "one")
    gevent.sleep(TOGETHER_SECONDS / 4)
    assert second.seqs("b") == []
    log._writer.on_commit()
    assert second.seqs("b") == [1]  # in the same moment as what was committed
    first.say("a", "two")
    until(lambda: second.seqs("b") == [1, 2], "the end of the wait")


def test_nobody_has_more_connections_than_they_may_by_coming_at_once(town: Town) -> None:
    town.settings = Settings(limits=Limits(enabled=False, connections_per_user=1))
    worker = town.worker()
    token = worker.parts.join("first", "lobby", "ann")["token"]
    worker.parts.handlers.disconnect("first", "gone")
    worker.parts.clock.now += 60
    worker.parts.rooms.tick(worker.parts.clock())
    worker.parts.housekeeping.compare()  # nobody is listened for any more, so that whoever comes has to wait

    def come(sid: str) -> bool:
        try:
            worker.parts.handlers.connect(sid, {}, {"token": token})
        except ConnectionRefusedError:
            return False
        return True

    coming = [gevent.spawn(come, f"tab {number}") for number in range(4)]
    gevent.joinall(coming, timeout=10, raise_error=True)
    assert sorted(greenlet.value for greenlet in coming) == [False, False, False, True]

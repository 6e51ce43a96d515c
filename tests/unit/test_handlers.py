"""From an event to its answer: what is known, what is refused, and what a fault of ours looks like."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event
from prometheus_client import CollectorRegistry
from socketio.exceptions import ConnectionRefusedError

from chatapp.auth import SiteUser
from chatapp.domain.messages import User
from chatapp.errors import StorageUnavailable, Unauthorized
from chatapp.handlers import MAX_APPENDING
from chatapp.log.database import Database
from chatapp.log.sql import SqlStore
from chatapp.settings import Events, Limits, Settings
from servers import PATIENCE_SECONDS
from unit.chat_parts import Parts, put_together

SERVER_EVENTS = {"presence", "changed", "notice"}


@pytest.fixture
def chat() -> Iterator[Parts]:
    with put_together() as chat:
        yield chat


def counted(registry: CollectorRegistry, code: str) -> float | None:
    return registry.get_sample_value("chatapp_refusals_total", {"code": code})


def test_all_events_of_clients_are_known_by_their_configured_names() -> None:
    names = {field: f"talk {field}" for field in Events.model_fields}
    with put_together(Settings(events=Events(**names))) as chat:
        known = {field for field, name in names.items() if chat.handlers.knows(name)}
        assert known == set(names) - SERVER_EVENTS
        assert not chat.handlers.knows("new message")
        assert not chat.handlers.knows("connect")


def test_a_success_is_acknowledged_with_ok(chat: Parts) -> None:
    answer = chat.join("a", "lobby", "ann")
    assert (answer["ok"], answer["room"], answer["online"]) == (True, "lobby", 1)


def test_without_a_callback_a_success_is_silent(chat: Parts) -> None:
    chat.handlers.connect("a", {})
    chat.handlers.dispatch("a", "join room", ({"roomname": "lobby", "username": "ann"},), None)
    assert chat.outbox.sent == []
    assert chat.context.presence.user_ids() != []


def test_a_refusal_is_acknowledged_with_its_code_and_counted(chat: Parts) -> None:
    chat.handlers.connect("a", {})
    error = {"code": "not_in_room", "message": "You're not part of a room yet"}
    assert chat.call("a", "new message", "hello") == {"ok": False, "error": error}
    assert chat.outbox.sent == []
    assert counted(chat.context.metrics.registry, "not_in_room") == 1


def test_without_a_callback_a_refusal_goes_to_its_sender_in_the_articles_shape(chat: Parts) -> None:
    chat.handlers.connect("a", {})
    chat.handlers.connect("b", {})
    chat.handlers.dispatch("a", "new message", ("hello",), None)
    error = {"error": True, "msg": "You're not part of a room yet", "code": "not_in_room"}
    assert chat.outbox.sent == [("a", "new message", error)]


def test_a_refusal_goes_out_under_the_configured_name() -> None:
    with put_together(Settings(events=Events(newmsg="talk"))) as chat:
        chat.handlers.connect("a", {})
        chat.handlers.dispatch("a", "talk", ("hello",), None)
        assert [event for _, event, _ in chat.outbox.sent] == ["talk"]


@pytest.mark.parametrize("event", ["shout", "", "x" * 10_000, ["new message"], {"a": 1}, None, 7])
def test_an_unknown_event_is_refused_whatever_its_name_is(chat: Parts, event: Any) -> None:
    chat.handlers.connect("a", {})
    answer = chat.call("a", event, "hello")
    assert answer["error"]["code"] == "invalid_payload"
    assert answer["error"]["message"].startswith("There is no event ")
    assert len(answer["error"]["message"]) < 100


@pytest.mark.parametrize("args", [(), ("hello", "again"), (None,), (7,), ([],)])
def test_a_payload_of_another_shape_is_refused(chat: Parts, args: tuple[Any, ...]) -> None:
    chat.join("a", "lobby", "ann")
    answers: list[Any] = []
    chat.handlers.dispatch("a", "new message", args, answers.append)
    assert [answer["error"]["code"] for answer in answers] == ["invalid_payload"]


def test_what_comes_of_a_connection_that_is_gone_is_not_answered(chat: Parts) -> None:
    chat.join("a", "lobby", "ann")
    chat.handlers.disconnect("a", "transport close")
    answers: list[Any] = []
    chat.handlers.dispatch("a", "new message", ("hello",), answers.append)
    chat.handlers.dispatch("a", "new message", ("hello",), None)
    chat.handlers.dispatch("never seen", "new message", ("hello",), answers.append)
    assert (answers, chat.outbox.sent) == ([], [])


def test_a_fault_of_ours_refuses_the_event_and_the_log_says_what_but_not_whose(
    chat: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    chat.join("sid-of-ann", "lobby", "ann")

    def fail(*args: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(chat.context.log, "append", fail)
        answer = chat.call("sid-of-ann", "new message", "the secret text")
    assert answer["error"] == {"code": "internal_error", "message": "Something went wrong on the server."}
    assert counted(chat.context.metrics.registry, "internal_error") == 1
    (record,) = caplog.records
    assert record.getMessage() == "the event 'new message' failed"
    assert record.exc_info and record.exc_info[0] is ZeroDivisionError
    assert "secret" not in caplog.text and "sid-of-ann" not in caplog.text
    assert chat.call("sid-of-ann", "new message", "better now")["ok"]


# The order of what one connection sends


class Held(SqlStore):
    """Appends nothing before it is let."""

    def __init__(self, directory: Path) -> None:
        database = Database(f"sqlite:///{directory}/chat.db", synchronous="normal", busy_seconds=1)
        super().__init__(database, reactions_per_message=3)
        self._let = threading.Event()

    def append(self, *args: Any) -> Any:
        assert self._let.wait(PATIENCE_SECONDS)
        return super().append(*args)

    def let(self) -> None:
        self._let.set()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    store = Held(tmp_path)
    yield store
    store.let()


def test_what_is_said_does_not_wait_for_its_commit_and_is_answered_after_it(held: Held) -> None:
    with put_together(store=held) as chat:
        chat.join("a", "lobby", "ann")
        answers: list[Any] = []
        for number in range(3):
            chat.handlers.dispatch("a", "new message", (str(number),), answers.append)
        edit = {"room": "lobby", "seq": 99, "message": "there is none"}
        chat.handlers.dispatch("a", "edit message", (edit,), answers.append)
        chat.handlers.dispatch("a", "new message", ("last",), answers.append)
        gevent.sleep(0)
        assert answers == []
        held.let()
        chat.context.log.wait()
        assert [answer.get("seq") for answer in answers] == [1, 2, 3, None, 4]
        assert answers[3]["error"]["code"] == "not_found"
        assert counted(chat.context.metrics.registry, "not_found") == 1


def test_a_refusal_after_the_fact_goes_to_its_sender_without_a_callback_too(chat: Parts) -> None:
    chat.join("a", "lobby", "ann")
    chat.handlers.dispatch("a", "delete message", ({"room": "lobby", "seq": 99},), None)
    chat.context.log.wait()
    assert [error["code"] for error in chat.outbox.received("a", "new message")] == ["not_found"]


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("history", {"room": "lobby", "after": 0}),
        ("read", {"room": "lobby", "seq": 2}),
        ("rooms", None),
        ("leave room", {"roomname": "lobby"}),
        ("join room", {"roomname": "lobby"}),
        ("no such event", None),
    ],
)
def test_anything_else_comes_after_what_its_connection_has_said(held: Held, event: str, payload: Any) -> None:
    with put_together(store=held) as chat:
        chat.join("a", "lobby", "ann")
        answers: list[Any] = []

        def send() -> None:
            for number in range(2):
                chat.handlers.dispatch("a", "new message", (str(number),), answers.append)
            chat.handlers.dispatch("a", event, (payload,), answers.append)

        sending = gevent.spawn(send)
        gevent.sleep(0)
        waits = not sending.ready()
        held.let()
        sending.join(PATIENCE_SECONDS)
        if event == "no such event":  # refused at once
            assert not waits and not answers[0]["ok"]
            return
        assert waits and [answer.get("seq") for answer in answers[:2]] == [1, 2]
        (answer,) = answers[2:]
        assert answer["ok"]
        if event == "history":
            assert [message["message"] for message in answer["messages"]] == ["0", "1"]
        if event == "read":
            assert answer["read_seq"] == 2


def test_others_do_not_wait_for_what_somebody_has_said(held: Held) -> None:
    with put_together(store=held) as chat:
        chat.join("a", "lobby", "ann")
        chat.join("b", "lobby", "bob")
        chat.handlers.dispatch("a", "new message", ("hello",), None)
        answers: list[Any] = []
        with gevent.Timeout(PATIENCE_SECONDS):
            chat.handlers.dispatch("b", "history", ({"room": "lobby"},), answers.append)
        assert answers[0]["ok"] and answers[0]["messages"] == []
        held.let()


def test_a_connection_has_only_so_much_on_its_way(held: Held) -> None:
    with put_together(store=held) as chat:
        chat.join("a", "lobby", "ann")
        answers: list[Any] = []

        def send() -> None:
            for number in range(MAX_APPENDING + 1):
                chat.handlers.dispatch("a", "new message", (str(number),), answers.append)

        sending = gevent.spawn(send)
        gevent.sleep(0)
        connection = chat.context.presence.connection("a")
        assert connection is not None and connection.appending == MAX_APPENDING
        assert not sending.ready() and chat.context.log.waiting <= MAX_APPENDING
        held.let()
        sending.join(PATIENCE_SECONDS)
        chat.context.log.wait()
        assert [answer["seq"] for answer in answers] == list(range(1, MAX_APPENDING + 2))
        assert connection.appending == 0


def test_what_a_connection_sends_after_it_went_is_not_handled(held: Held) -> None:
    with put_together(store=held) as chat:
        chat.join("a", "lobby", "ann")
        chat.join("b", "lobby", "bob")
        answers: list[Any] = []

        def send() -> None:
            chat.handlers.dispatch("a", "new message", ("hello",), None)
            chat.handlers.dispatch("a", "leave room", ({"roomname": "lobby"},), answers.append)

        sending = gevent.spawn(send)
        gevent.sleep(0)
        chat.handlers.disconnect("a", "transport close")
        held.let()
        sending.get(timeout=PATIENCE_SECONDS)
        assert answers == []
        assert [message["message"] for message in chat.outbox.received("b", "new message")] == ["hello"]


def test_a_callback_that_blocks_holds_nobody_up_and_those_after_it_begin_in_order(chat: Parts) -> None:
    chat.join("a", "lobby", "ann")
    begun: list[str] = []
    may_end = Event()

    def block(message: Any) -> None:
        begun.append(message["message"])
        assert may_end.wait(PATIENCE_SECONDS)

    chat.context.hooks.add("on_message", block)
    for number in range(5):
        assert chat.call("a", "new message", str(number))["ok"]
    gevent.sleep(0)
    assert begun == ["0", "1", "2", "3", "4"]
    may_end.set()


def test_a_connection_may_be_refused_with_a_code() -> None:
    def nobody(environ: dict[str, Any], token: object) -> SiteUser:
        raise Unauthorized()

    with put_together(site_user=nobody) as chat:
        with pytest.raises(ConnectionRefusedError) as caught:
            chat.handlers.connect("a", {})
        assert caught.value.error_args == {
            "message": "Log in first.",
            "data": {"code": "unauthorized", "message": "Log in first."},
        }
        assert counted(chat.context.metrics.registry, "unauthorized") == 1
        assert chat.context.presence.connections() == 0


def test_a_connection_that_fails_is_refused_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    def broken(environ: dict[str, Any], token: object) -> SiteUser:
        raise ZeroDivisionError

    with put_together(site_user=broken) as chat:
        with pytest.raises(ConnectionRefusedError) as caught:
            chat.handlers.connect("a", {})
        assert caught.value.error_args["data"]["code"] == "internal_error"
        assert chat.context.presence.connections() == 0
    assert [record.getMessage() for record in caplog.records] == ["a connection failed"]


def test_a_connection_is_refused_while_the_storage_is_gone() -> None:
    def ann(environ: dict[str, Any], token: object) -> SiteUser:
        return SiteUser("site:1", "ann")

    with put_together(site_user=ann) as chat:
        chat.context.log.close()
        with pytest.raises(ConnectionRefusedError) as caught:
            chat.handlers.connect("a", {})
        assert caught.value.error_args["data"]["code"] == StorageUnavailable.code
        assert caught.value.error_args["data"]["retry_after"] > 0


def test_one_line_is_logged_for_each_connection_and_none_for_a_message(
    chat: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "chatapp"):
        chat.join("sid-of-ann", "lobby", "ann")
        chat.call("sid-of-ann", "new message", "the secret text")
        chat.call("sid-of-ann", "new message", None)
        chat.handlers.disconnect("sid-of-ann", "transport close")
    assert [record.getMessage() for record in caplog.records] == [
        "a client connected; 1 are",
        "a client disconnected (transport close); 0 are",
    ]


def test_a_disconnection_wakes_the_housekeeping_if_somebody_may_leave(chat: Parts) -> None:
    woken: list[int] = []
    chat.join("a", "lobby", "ann")
    chat.handlers.connect("stranger", {})
    chat.context.wake = lambda: woken.append(1)
    chat.handlers.disconnect("stranger", "transport close")
    assert woken == []
    chat.handlers.disconnect("a", "transport close")
    assert woken == [1]


def test_a_refusal_for_a_rate_says_when_to_come_again() -> None:
    with put_together(Settings(limits=Limits(messages="1/hour"))) as chat:
        chat.join("a", "lobby", "ann")
        assert chat.call("a", "new message", "one")["ok"]
        error = chat.call("a", "new message", "two")["error"]
        assert (error["code"], error["retry_after"]) == ("rate_limited", 3600)


def test_on_join_is_told_the_user_and_the_rooms_name(chat: Parts) -> None:
    joined: list[Any] = []
    chat.context.hooks.add("on_join", lambda user, room: joined.append((user, room)))
    answer = chat.join("a", "Lobby", "ann")
    assert joined == [(User(int(answer["user"]["id"]), "ann"), "Lobby")]

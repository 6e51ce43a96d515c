"""chatapp.js on bad networks and servers: nothing it tells is missing, doubled or out of order."""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients import TRANSPORTS, wait_until
from pages import Page
from party import Guest
from servers import ROOT, ServerProcess, running
from tcp_proxy import TcpProxy

ROOM = "lobby"
#: Each of both says so many.
TALK = 200
#: How often a piece that comes from the server is cut off, and the connection with it.
CUT_RATE = 0.03
#: For what takes as long as the network is bad.
LONG_SECONDS = 100

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {"LIMITS_ENABLED": "no", "HISTORY_CATCH_UP": "20", "HISTORY_PAGE_LIMIT": "50"}
    with running("serve", tmp_path_factory.mktemp("server"), **settings) as server:
        yield server


def log_of(url: str, room: str = ROOM) -> list[Any]:
    """Return all messages of a room as they are now, as the server's log has them."""
    guest = Guest(url, room, f"reader {next(_numbers)}")
    try:
        messages: list[Any] = []
        while True:
            before = {"before": messages[0]["seq"]} if messages else {}
            page = guest.history(limit=50, **before)
            messages = page["messages"] + messages
            if not page["more"]:
                return messages
    finally:
        guest.close()


def wait_for_places(page: Page, room: str, count: int) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while len(page.seqs(room)) < count:
        assert time.monotonic() < deadline, f"waited in vain: {len(page.seqs(room))} of {count}"
        time.sleep(0.05)


@pytest.mark.timeout(2 * LONG_SECONDS)
@pytest.mark.parametrize("transport", ["websocket", "polling", "upgrade"])
def test_two_who_talk_over_a_network_that_cuts_at_random_see_the_log(
    server: ServerProcess, transport: str
) -> None:
    room, dice, cuts, joined = f"cut {transport}", random.Random(transport), [0], threading.Event()

    def cut(asked: bytes, piece: bytes) -> int | None:
        # Not before both are in: who does not hear of it has no token, and the name is taken.
        if not joined.is_set() or dice.random() >= CUT_RATE:
            return None
        cuts[0] += 1
        return dice.randrange(len(piece))

    with TcpProxy(server.port, cut) as proxy:
        options = {"transports": TRANSPORTS[transport], "queue": TALK}
        with Page(proxy.url, **options) as ann, Page(proxy.url, **options) as bob:
            for page, name in ((ann, "ann"), (bob, "bob")):
                page.do("join", room, {"username": f"{name} {transport}"})
                page.wait_told(room, "joined")
            joined.set()
            for page, name in ((ann, "a"), (bob, "b")):
                page.do("burst", room, [f"{name}{number}" for number in range(TALK)])
            for page in (ann, bob):
                wait_for_places(page, room, 2 * TALK)
            log = log_of(server.url, room)
            assert cuts[0] > 10
            for page, name in ((ann, "a"), (bob, "b")):
                told = page.told(room, "message")
                assert [message["seq"] for message in told] == list(range(1, 2 * TALK + 1))
                assert told == log
                mine = [message["message"] for message in told if message["message"].startswith(name)]
                assert mine == [f"{name}{number}" for number in range(TALK)]
                assert {handle["state"] for handle in page.ask("handles")} == {"sent"}
                assert page.told(room, "failed") == page.told(room, "gap") == []


def test_who_was_away_gets_what_was_said_in_pages_and_says_what_waited(server: ServerProcess) -> None:
    room = "away"
    guest = Guest(server.url, room, "guest away")
    with TcpProxy(server.port) as proxy, Page(proxy.url) as ann:
        ann.join(room, "ann away")
        guest.say("before")
        ann.wait_for_texts(room, "before")
        proxy.block()
        assert ann.wait_for("offline")["seconds"] <= 0.5
        ann.do("burst", room, ["mine 1", "mine 2"])
        for number in range(130):
            guest.say(f"m{number}")
        guest.call("edit message", {"room": room, "seq": 1, "message": "before, edited"})
        guest.call("delete message", {"room": room, "seq": 3})
        proxy.unblock()
        ann.do("reconnect")
        wait_until(lambda: len(ann.seqs(room)) == 133, "all that was missed")
        ann.wait_for("online")
        guest.say("after")
        ann.wait_told(room, "message", 134)
        assert ann.seqs(room) == sorted(set(ann.seqs(room)))
        assert ann.texts(room)[-3:] == ["mine 1", "mine 2", "after"]
        assert ann.told(room, "message")[2]["deleted"] is True
        assert [message["message"] for message in ann.told(room, "changed")] == ["before, edited", ""]
        assert ann.ask("room", room)["messages"] == log_of(server.url, room)
        assert ann.told(room, "gap") == []
    guest.close()


def test_when_the_browser_has_a_network_again_it_does_not_wait(server: ServerProcess) -> None:
    with TcpProxy(server.port) as proxy, Page("", script=f"{proxy.url}/chat/assets/chatapp.js") as ann:
        ann.join("network", "ann network")
        proxy.block()
        # Until the wait is so long that it does not end by itself soon.
        wait_until(lambda: ann.state == "offline" and ann.detail()["seconds"] > 5, "a long wait")
        proxy.unblock()
        began = time.monotonic()
        ann.do("network")
        ann.wait_for("online")
        assert time.monotonic() - began < 3


def test_a_hole_on_a_live_connection_is_filled_before_what_came_after(server: ServerProcess) -> None:
    room = "hole"
    guest = Guest(server.url, room, "guest hole")
    with Page(server.url) as ann:
        ann.join(room, "ann hole")
        ann.do("double", "new message")
        ann.ask("known")
        guest.say("one")
        ann.wait_told(room, "message")
        ann.do("drop", "new message")
        ann.ask("known")
        guest.say("lost")
        guest.say("three")
        ann.wait_for_texts(room, "one", "lost", "three")
        ann.do("drop", "message changed")
        ann.ask("known")
        guest.call("edit message", {"room": room, "seq": 1, "message": "one, edited"})
        ann.do("send", room, "mine")
        ann.wait_for_texts(room, "one", "lost", "three", "mine")
        assert ann.told(room, "changed")[0]["message"] == "one, edited"
        assert ann.seqs(room) == [1, 2, 3, 5]
        assert ann.told(room, "gap") == []
    guest.close()


def test_what_came_twice_is_told_once(server: ServerProcess) -> None:
    room = "twice"
    with TcpProxy(server.port) as proxy, Page(proxy.url) as ann, Page(server.url) as bob:
        ann.join(room, "ann twice")
        bob.join(room, "bob twice")
        for number in range(6):
            proxy.cut()
            ann.do("send", room, f"a{number}")
            bob.do("send", room, f"b{number}")
            for page in (ann, bob):
                page.wait_told(room, "message", 2 * number + 2)
        assert ann.seqs(room) == bob.seqs(room) == list(range(1, 13))


def test_a_guest_whom_the_answer_to_the_first_join_never_reached_is_no_stranger(
    server: ServerProcess,
) -> None:
    room = "first"
    guest = Guest(server.url, room, "guest first")
    with TcpProxy(server.port) as proxy, Page(proxy.url, transports=["websocket"]) as ann:
        ann.wait_for("online")
        proxy.swallow(only_answers=True)
        ann.do("join", room, {"username": "ann first"})
        here = {"room": room}
        wait_until(lambda: len(guest.call("members", here)["members"]) == 2, "a join without an answer")
        proxy.cut()
        assert ann.wait_told(room, "joined")["user"]["name"] == "ann first"
        assert ann.told(room, "refused") == []
    guest.close()


def test_a_connection_on_which_nothing_is_answered_is_given_up(server: ServerProcess) -> None:
    room = "silence"
    with TcpProxy(server.port) as proxy, Page(proxy.url) as ann:
        ann.join(room, "ann silence")
        proxy.swallow()
        ann.do("send", room, "into the void")
        assert ann.wait_for("offline")["message"] == "The server does not answer."
        assert [handle["state"] for handle in ann.ask("handles")] == ["sending"]
        proxy.block()


def test_a_server_that_restarts_is_come_back_to_when_it_says(tmp_path: Path) -> None:
    with running("serve", tmp_path) as server, Page(server.url) as ann, Page(server.url) as bob:
        ann.join(ROOM, "ann")
        bob.join(ROOM, "bob")
        ann.do("send", ROOM, "before")
        bob.wait_told(ROOM, "message")
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        wait_until(lambda: [line for line in ann.lines if line[:2] == ["chat", "notice"]], "the notice")
        notice = next(line[2] for line in ann.lines if line[:2] == ["chat", "notice"])
        assert notice["code"] == "restarting"
        detail = ann.wait_for("offline")
        assert notice["retry_after"] - 1 < detail["seconds"] <= notice["retry_after"]
        ann.do("send", ROOM, "meanwhile")
        stopper.join()
        server.restart()
        for page in (ann, bob):
            page.wait_for("online")
        bob.do("send", ROOM, "after")
        for page in (ann, bob):
            wait_until(lambda page=page: len(page.texts(ROOM)) == 3, "all three")
            assert set(page.texts(ROOM)) == {"before", "meanwhile", "after"}
            assert page.seqs(ROOM) == [1, 2, 3]
            assert page.told(ROOM, "joined")[-1]["again"] is True


def test_what_waits_is_sent_after_a_reload(tmp_path: Path) -> None:
    with running("serve", tmp_path) as server, TcpProxy(server.port) as proxy, Page(proxy.url) as ann:
        user = ann.join(ROOM, "ann")["user"]
        proxy.block()
        ann.wait_for("offline")
        ann.do("burst", ROOM, ["one", "two"])
        ann.do("reload")
        proxy.unblock()
        ann.do("join", "another room")
        ann.join(ROOM.upper())
        ann.wait_told(ROOM.upper(), "message", 2)
        assert [handle["text"] for handle in ann.told(ROOM.upper(), "sending")] == ["one", "two"]
        ann.do("reload")
        ann.join(ROOM)
        assert ann.texts(ROOM) == ["one", "two"]
        assert {message["user_id"] for message in ann.told(ROOM, "message")} == {user["id"]}
        assert not [key for key in ann.ask("storage")["session"] if "queue" in key]


def test_what_waits_of_one_user_is_not_said_by_another(tmp_path: Path) -> None:
    with running("serve", tmp_path) as server, TcpProxy(server.port) as proxy, Page(proxy.url) as ann:
        ann.join(ROOM, "ann")
        proxy.block()
        ann.wait_for("offline")
        ann.do("send", ROOM, "a secret of ann's")
        session = {key: value for key, value in ann.ask("storage")["session"].items() if "queue" in key}
        # As where another user logs in, in the same tab.
        queue = {key.replace(proxy.url, server.url): value for key, value in session.items()}
        with Page(server.url, session=queue) as bob:
            bob.join(ROOM, "bob")
            failed = bob.wait_told(ROOM, "failed")
            assert (failed["text"], failed["error"]["code"]) == ("a secret of ann's", "name_mismatch")
            bob.do("send", ROOM, "my own")
            bob.wait_for_texts(ROOM, "my own")


def test_where_the_log_no_longer_reaches_back_the_room_begins_anew(tmp_path: Path) -> None:
    settings = {"HISTORY_RETENTION_ENTRIES": "5", "LIMITS_ENABLED": "no"}
    command = [sys.executable, str(ROOT / "tests" / "faults" / "trimming_server.py")]
    server_running = running(directory=tmp_path, command=command, **settings)
    with server_running as server, TcpProxy(server.port) as proxy, Page(proxy.url) as ann:
        guest = Guest(server.url, ROOM, "guest")
        ann.join(ROOM, "ann")
        guest.say("m1")
        ann.wait_told(ROOM, "message")
        proxy.block()
        ann.wait_for("offline")
        for number in range(2, 31):
            guest.say(f"m{number}")
        guest.close()
        wait_until(lambda: len(log_of(server.url)) == 5, "the log to be trimmed", every_seconds=0.2)
        proxy.unblock()
        ann.do("reconnect")
        assert ann.wait_told(ROOM, "gap") == {"reason": "too old"}
        ann.wait_for("online")
        lines = [line for line in ann.lines if line[0] == ROOM and line[1] in ("gap", "message")]
        assert [line[1] for line in lines] == ["message", "gap", *["message"] * 5]
        assert ann.texts(ROOM)[1:] == [f"m{number}" for number in range(26, 31)]
        assert ann.ask("room", ROOM)["messages"] == ann.told(ROOM, "message")[1:]


def test_where_the_log_is_another_the_room_begins_anew(tmp_path: Path) -> None:
    with running("serve", tmp_path) as server, Page(server.url) as ann:
        ann.join(ROOM, "ann")
        for number in range(3):
            ann.do("send", ROOM, f"old {number}")
        ann.wait_told(ROOM, "message", 3)
        server.kill()
        for path in tmp_path.glob("chatapp.db*"):
            path.unlink()
        ann.wait_for("offline")
        ann.do("send", ROOM, "new")
        server.restart()
        assert ann.wait_told(ROOM, "gap") == {"reason": "another log"}
        ann.wait_told(ROOM, "message", 4)
        assert ann.seqs(ROOM) == [1, 2, 3, 1]
        assert ann.ask("room", ROOM)["messages"] == ann.told(ROOM, "message")[3:]


def test_where_nothing_is_stored_it_goes_on_if_nothing_was_missed_and_else_says_so(tmp_path: Path) -> None:
    with running("serve", tmp_path, STORAGE_URL="none") as server, TcpProxy(server.port) as proxy:
        guest = Guest(server.url, ROOM, "guest")
        with Page(proxy.url) as ann:
            ann.join(ROOM, "ann")
            guest.say("one")
            ann.wait_told(ROOM, "message")
            proxy.cut()
            ann.wait_told(ROOM, "joined", 2)
            guest.say("two")
            ann.wait_for_texts(ROOM, "one", "two")
            assert ann.told(ROOM, "gap") == []
            proxy.block()
            ann.wait_for("offline")
            guest.say("lost")
            proxy.unblock()
            ann.wait_told(ROOM, "joined", 3)
            ann.wait_for("online")
            guest.say("three")
            ann.do("send", ROOM, "mine")
            wait_until(lambda: "mine" in ann.texts(ROOM), "one's own")
            assert ann.texts(ROOM) == ["one", "two", "three", "mine"]
            assert len(ann.told(ROOM, "gap")) == 1
        guest.close()

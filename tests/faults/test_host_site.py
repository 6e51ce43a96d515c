"""The site around the chat answers as before, whatever connections come to the chat."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from clients import Chatter
from faults.census import COMMANDS, running_census
from raw_polling import Exchange, RawPolling, knock, request
from raw_websocket import RawWebSocket, handshake
from servers import PATIENCE_SECONDS, ServerProcess

#: How long a page may take.
ANSWER_SECONDS = 1

#: gunicorn's ``--keep-alive`` by default.
KEEP_ALIVE_SECONDS = 2

#: Connections that ask for half a thing or for nothing.
IDLERS = 1000

#: Connections of each kind in the small worker, and what gunicorn lets it have.
CHATS = 50
WORKER_CONNECTIONS = 10

#: The close code for it: https://www.iana.org/assignments/websocket
TRY_AGAIN_LATER = 1013

QUIET = {"LIMITS_ENABLED": "no", "APP_PING_INTERVAL_SECONDS": "300"}


def check_site(server: ServerProcess) -> float:
    """Check that the site's page and the chat's answer in time; return the longest time."""
    longest = 0.0
    for path in ("/", "/chat/health"):
        began = time.monotonic()
        answer = requests.get(server.url + path, timeout=PATIENCE_SECONDS, headers={"Connection": "close"})
        longest = max(longest, time.monotonic() - began)
        assert answer.status_code == 200
    assert longest < ANSWER_SECONDS
    return longest


# Connections that ask for half a thing, or for nothing


def halves(session: RawPolling) -> list[bytes]:
    """What such connections send, each kind of it once."""
    url = session.url
    post = request(url, "POST", f"&sid={session.sid}", "4" + "x" * 1000)
    upgrade = handshake(url)
    unending = request(url, "POST", f"&sid={session.sid}", Transfer_Encoding="chunked") + b"40\r\n4"
    return [
        b"",
        b"GET",
        request(url, "GET", "")[:-2],
        upgrade[: len(upgrade) // 2],
        post[:-500],
        request(url, "POST", "", "4" + "x" * 1000)[:-500],
        unending,
    ]


def check_idlers(server: ServerProcess, count: int) -> None:
    with ExitStack() as stack:
        session = stack.enter_context(RawPolling(server.url))
        sent = halves(session)
        for number in range(count):
            idler = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            idler.sendall(sent[number % len(sent)])
            if number % 100 == 99:
                check_site(server)
        longest = max(check_site(server) for _ in range(10))
        print(f"with {count} idlers: at most {longest * 1000:.0f} ms")
        with Chatter(server.url) as ann:
            ann.join("room", "ann")
            assert ann.say("hello")["seq"] == 1


@pytest.mark.parametrize("hosting", ["serve", "conf"])
def test_a_thousand_connections_that_send_half_a_request_or_nothing_leave_the_site_answering(
    hosting: str, tmp_path: Path
) -> None:
    with running_census(hosting, tmp_path, **QUIET) as server:
        check_idlers(server, IDLERS)


@pytest.mark.parametrize("hosting", ["gevent", "geventwebsocket"])
def test_gunicorns_own_workers_need_places_for_connections_that_send_half_a_request(
    hosting: str, tmp_path: Path
) -> None:
    """A request that is not there yet is gunicorn's, not the chat's: each takes one of
    ``--worker-connections``, of which there are 1,000 unless one says otherwise."""
    with running_census(hosting, tmp_path, "--worker-connections", "1200", **QUIET) as server:
        check_idlers(server, IDLERS)


def test_with_no_more_places_than_gunicorn_has_by_default_the_site_is_back_in_seconds(tmp_path: Path) -> None:
    """gunicorn lets go of a connection whose request's head is not there in ``--keep-alive`` seconds."""
    with running_census("gevent", tmp_path, **QUIET) as server, ExitStack() as stack:
        for number in range(IDLERS):
            idler = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            idler.sendall(b"" if number % 2 else b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n")
        began = time.monotonic()
        assert requests.get(server.url, timeout=PATIENCE_SECONDS).status_code == 200
        assert time.monotonic() - began < KEEP_ALIVE_SECONDS + ANSWER_SECONDS
        check_site(server)


# Chats, idle and busy, and gunicorn's places for connections


@pytest.fixture(params=["gevent", "conf", "geventwebsocket"])
def small_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    """A worker that may have few connections at a time."""
    arguments = ("--worker-connections", str(WORKER_CONNECTIONS))
    with running_census(request.param, tmp_path, *arguments, **QUIET) as server:
        yield server


def test_idle_chats_take_none_of_gunicorns_places_for_connections(small_server: ServerProcess) -> None:
    server = small_server
    with ExitStack() as stack:
        for number in range(CHATS):
            client = stack.enter_context(RawWebSocket(server.url))
            client.open_session()
            assert client.call("join room", {"roomname": "room", "username": f"one-{number}"})["ok"]
            poller = stack.enter_context(RawPolling(server.url))
            poller.connect()
            assert poller.call("join room", {"roomname": f"room {number}", "username": f"two-{number}"})["ok"]
            poller.call("rooms", {}, number=2)
            poller.hold()
        for _ in range(3 * WORKER_CONNECTIONS):
            check_site(server)
        assert client.call("new message", {"message": "hello"}, number=3)["ok"]
        assert poller.call("new message", {"message": "hello"}, number=3)["ok"]


@pytest.fixture(params=COMMANDS)
def limited_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    settings = {"LIMITS_CONNECTIONS": str(2 * CHATS)}
    with running_census(request.param, tmp_path, **QUIET, **settings) as server:
        yield server


def check_refused(server: ServerProcess) -> None:
    """Ask for a session by either transport."""
    answers = [knock(server.url)]
    if "geventwebsocket" in "".join(server.output[:5]):  # its worker makes the handshake before it asks us
        with RawWebSocket(server.url) as client:
            assert client.closing()[0] == TRY_AGAIN_LATER
    else:
        answers.append(Exchange(server.url, handshake(server.url)).reply())
    for answer in answers:
        assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0


def test_above_the_limit_the_chat_answers_503_and_the_site_answers_as_before(
    limited_server: ServerProcess,
) -> None:
    url = limited_server.url
    with ExitStack() as stack:
        sockets = [stack.enter_context(RawWebSocket(url)) for _ in range(CHATS)]
        polls = [stack.enter_context(RawPolling(url)) for _ in range(CHATS)]
        sockets[0].open_session()
        for _ in range(3):
            check_refused(limited_server)
            check_site(limited_server)
        assert sockets[0].call("join room", {"roomname": "room", "username": "ann"})["ok"]
        polls[0].connect()  # who is in stays in
        assert polls[0].post("1").status == 200
        with RawPolling(url) as again:  # and has left a place
            again.connect()
            check_refused(limited_server)

"""Workers that die, stall or are lied to: nobody else notices, and nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients import wait_until
from faults.census import check_released, running_census, settled
from raw_polling import Exchange, RawPolling, request
from raw_websocket import RawWebSocket, handshake
from servers import HOSTINGS, ServerProcess
from siblings import handed_over, session_of, siblings, sockets, worker_id

#: How soon a request for a dead worker's session is answered.
DEAD_SECONDS = 0.1
#: What requests that are not concerned may take at most, on a busy machine.
QUICK_SECONDS = 2.0
#: More connections than a worker lets wait: see `chatapp.cluster.directory`.
MORE_THAN_MAY_WAIT = 600


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[list[ServerProcess]]:
    with siblings(tmp_path) as servers:
        yield servers
        for server in servers:
            assert "Traceback" not in "".join(server.output)


def seconds_of(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


@pytest.mark.parametrize("hosting", HOSTINGS)
def test_sessions_of_a_killed_worker_are_refused_at_once_and_its_socket_is_removed(
    hosting: str, tmp_path: Path
) -> None:
    with siblings(tmp_path, hosting) as (owner, other):
        lost = [session_of(owner, by=other) for _ in range(20)]
        left = session_of(other, by=other)
        for session in lost:
            session.connect()
        assert sockets(tmp_path) == {worker_id(lost[0]), worker_id(left)}
        owner.kill()
        took = []
        for session in lost[:10]:
            took.append(seconds_of(lambda session=session: check_refused(session.begin("GET"))))
            took.append(seconds_of(lambda session=session: check_refused(session.begin("POST", "2"))))
        assert statistics.median(took) < DEAD_SECONDS
        query = "EIO=4&transport=websocket&sid="
        if hosting == "geventwebsocket":  # which makes the handshake before it asks
            with RawWebSocket(other.url, query=query + lost[10].sid) as websocket:
                assert websocket.closed_with() == 1008
        else:
            check_refused(Exchange(other.url, handshake(other.url, query + lost[10].sid)))
        assert sockets(tmp_path) == {worker_id(left)}
        assert handed_over(other)["dead"] == 21
        left.connect()


def check_refused(exchange: Exchange) -> None:
    answer = exchange.reply()
    assert (answer.status, answer.text) == (400, '"There is no such session."')


def test_a_worker_that_begins_removes_what_killed_ones_have_left(tmp_path: Path) -> None:
    with siblings(tmp_path) as servers:
        dead = {worker_id(RawPolling(server.url)) for server in servers}
        assert sockets(tmp_path) == dead
        for server in servers:
            server.kill()
        assert sockets(tmp_path) == dead
        with siblings(tmp_path, count=1) as (fresh,):
            living = worker_id(RawPolling(fresh.url))
            assert sockets(tmp_path) == {living}


def test_a_stalled_worker_holds_up_nobody_elses_requests(pair: list[ServerProcess]) -> None:
    owner, other = pair
    waiting = [session_of(owner, by=other) for _ in range(100)]
    own = RawPolling(other.url)
    own.connect()
    os.kill(owner.pid, signal.SIGSTOP)
    try:
        held = [session.begin("POST", "40") for session in waiting]
        for number in range(20):
            assert seconds_of(lambda number=number: own.call("rooms", {}, number)) < QUICK_SECONDS
            assert seconds_of(lambda: RawPolling(other.url).post("1")) < QUICK_SECONDS
        wait_until(lambda: handed_over(other).get("sent") == len(waiting))
    finally:
        os.kill(owner.pid, signal.SIGCONT)
    assert [exchange.reply().text for exchange in held] == ["ok"] * len(waiting)
    assert "dead" not in handed_over(other)


def test_more_than_may_wait_for_a_stalled_worker_is_refused_at_once(pair: list[ServerProcess]) -> None:
    owner, other = pair
    session = session_of(owner, by=other)
    os.kill(owner.pid, signal.SIGSTOP)
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(MORE_THAN_MAY_WAIT):
                stack.callback(session.begin("GET").close)
            wait_until(lambda: sum(handed_over(other).values()) == MORE_THAN_MAY_WAIT, every_seconds=0.05)
            assert handed_over(other)["dead"] > 0
            took = seconds_of(lambda: check_refused(session.begin("GET")))
            assert took < QUICK_SECONDS
    finally:
        os.kill(owner.pid, signal.SIGCONT)
    fresh = session_of(owner, by=other)
    wait_until(lambda: fresh.begin("POST", "40").reply().status == 200)


def test_a_body_that_trickles_holds_up_neither_its_worker_nor_its_owner(pair: list[ServerProcess]) -> None:
    owner, other = pair
    slow, quick = session_of(owner, by=other), session_of(owner, by=other)
    head = request(other.url, "POST", f"&sid={slow.sid}", "x" * 100)[:-100]
    trickle = Exchange(other.url, head + b"4")
    quick.connect()
    for number in range(10):
        assert seconds_of(lambda number=number: quick.call("rooms", {}, number)) < QUICK_SECONDS
    trickle.socket.sendall(b"0")
    answer = trickle.reply()
    assert (answer.status, answer.text) == (400, '"The body breaks off."')
    slow.connect()  # its owner never heard of it


def test_what_is_no_request_is_refused_with_one_line_each_and_changes_nothing(
    pair: list[ServerProcess], tmp_path: Path
) -> None:
    owner, other = pair
    session = session_of(owner, by=other)
    path = str(tmp_path / "run" / f"{worker_id(session)}.hand")
    garbage = [b"GET / HTTP/1.1\r\n\r\n", b"hand" + b"\xff" * 8, b"\0", os.urandom(10_000)]
    for data in garbage:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(path)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                line.sendall(data)
                line.shutdown(socket.SHUT_WR)
                assert line.recv(1) == b""
    session.connect()

    def lines() -> list[str]:
        return [line for line in owner.output if "what was handed over is refused" in line]

    wait_until(lambda: len(lines()) >= len(garbage))
    assert len(lines()) == len(garbage)


@pytest.mark.parametrize("hosting", HOSTINGS)
def test_a_thousand_requests_that_changed_workers_leave_nothing_behind(hosting: str, tmp_path: Path) -> None:
    settings = {"LIMITS_ENABLED": "no", "WEB_METRICS": "yes"}
    with (
        running_census(hosting, tmp_path, **settings) as owner,
        running_census(hosting, tmp_path, **settings) as other,
    ):
        go_through(owner, other, 100)  # what pools keep is there then
        base = settled(owner), settled(other)
        go_through(owner, other, 1000)
        assert handed_over(other)["sent"] >= 1000
        for server, before in zip((owner, other), base, strict=True):
            check_released(server, before, spare_objects=5000)


def go_through(owner: ServerProcess, other: ServerProcess, count: int) -> None:
    """Hand over so many requests, of every kind."""
    for _ in range(count // 10):
        session = session_of(owner, by=other)
        session.connect()  # two
        session.call("rooms", {})  # two
        session.hold().reset()  # a poll whose client is gone
        session.held = None
        query = "EIO=4&transport=websocket&sid=" + session.sid
        with RawWebSocket(other.url, query=query) as websocket:
            websocket.say("2probe")
            assert websocket.receive_text() == "3probe"
        session.call("rooms", {}, 2)  # two
        session.post("1")
        check_refused(session.begin("GET"))

"""A server that stops tells everyone, takes nobody in, keeps what it acknowledged, and is gone in seconds."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import select
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from clients import Chatter, wait_until
from faults.crowd import crowd, hold, notices, polling_end, websocket_end
from faults.raw_client import GONE, RawClient
from raw_polling import knock, request
from raw_websocket import RawWebSocket
from servers import HOSTINGS, PATIENCE_SECONDS, ServerProcess, running

#: What a stop may take with so many clients.
STOP_SECONDS = 5
CLIENTS = 1000

#: gunicorn's own default: after that it would kill the worker, which must not be what ends it.
GRACEFUL_SECONDS = 30
FEWER_CLIENTS = 200

#: More than it takes to bring the clients in, and few enough to be reached soon.
MAX_REQUESTS = 6500

SENDERS = 4
#: Connections without a request yet when the stop begins.
NEWCOMERS = 10

SETTINGS = {"LIMITS_ENABLED": "no", "APP_PING_INTERVAL_SECONDS": "300"}

#: Begins the stop. Gets a socket that is readable once its client has been told, and returns connections
#: that the server took up before that and that have not asked for anything yet.
Trigger = Callable[[ServerProcess, socket.socket], list[socket.socket]]


class Senders:
    """Clients that speak as fast as they are acknowledged, up to the end of their connections.
    `acknowledged` maps what they said to its place in the room's log."""

    def __init__(self, port: int) -> None:
        self.acknowledged: dict[str, int] = {}
        self.faults: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(port, f"sender-{n}"), daemon=True)
            for n in range(SENDERS)
        ]

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self.acknowledged) > 10 * SENDERS or self.faults, "acknowledgements")
        return self

    def __exit__(self, *error: object) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def _run(self, port: int, name: str) -> None:
        try:
            with RawClient(port) as client:
                assert client.call("join room", {"roomname": "log", "username": name})["ok"]
                with contextlib.suppress(*GONE):
                    for number in range(1_000_000):
                        answer = client.call("new message", {"message": f"{name} {number}"})
                        if answer["ok"]:
                            self.acknowledged[f"{name} {number}"] = answer["seq"]
        except BaseException as fault:
            self.faults.append(fault)
            raise


def workers(server: ServerProcess, hosting: str) -> list[int]:
    """Return the processes that have the clients, at least one."""
    if hosting == "serve":
        return [server.pid]
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    return [int(pid) for pid in wait_until(lambda: children.read_text().split(), "a worker")]


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, be it that nobody has asked for its status yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def turned_away(newcomers: list[socket.socket], url: str) -> int:
    """Ask for a session on each of these connections; return how many get an answer, which has to be 503.
    An end without an answer will do too: the server is about to go."""
    answered = 0
    for newcomer in newcomers:
        with contextlib.suppress(ConnectionError):
            newcomer.sendall(request(url, "GET", ""))
    for newcomer in newcomers:
        with newcomer, http.client.HTTPResponse(newcomer) as answer, contextlib.suppress(ConnectionError):
            answer.begin()
            assert answer.status == 503, answer.status
            assert int(answer.headers["Retry-After"]) > 0
            answered += 1
    return answered


def check_farewell(
    server: ServerProcess, directory: Path, hosting: str, count: int, trigger: Trigger
) -> None:
    """Have the clients there, begin the stop, and check how it ends for each of them."""
    [worker] = workers(server, hosting)
    with ExitStack() as stack:
        sockets, polls = stack.enter_context(crowd(server.url, count))
        hold(polls)
        senders = stack.enter_context(Senders(server.port))
        sentinel = stack.enter_context(RawWebSocket(server.url))
        sentinel.open_session()
        newcomers = trigger(server, sentinel.socket)
        began = time.monotonic()
        for newcomer in newcomers:
            stack.enter_context(newcomer)
        notice = sentinel.receive_text()
        answered = turned_away(newcomers, server.url)
        ends = [websocket_end(client, is_polite=number % 2 > 0) for number, client in enumerate(sockets)]
        answers = [polling_end(client) for client in polls]
        wait_until(lambda: is_gone(worker), "the worker's end")
        took = time.monotonic() - began
    print(f"{hosting}: gone {took:.2f} s after the stop, {answered} newcomers answered")
    assert not senders.faults
    assert {end.code for end in ends} == {1012}
    assert {(end.status, end.has_close_packet) for end in answers} == {(200, True)}
    told = [notices([notice]), *(end.notices for end in [*ends, *answers])]
    assert {len(each) for each in told} == {1}
    assert {notice["code"] for [notice] in told} == {"restarting"}
    assert all(notice["message"] and notice["retry_after"] > 0 for [notice] in told)
    assert len({notice["retry_after"] for [notice] in told}) >= 10
    assert answered
    assert took < STOP_SECONDS
    check_log(directory, senders.acknowledged)


def check_log(directory: Path, acknowledged: dict[str, int]) -> None:
    with closing(sqlite3.connect(directory / "chatapp.db")) as connection:
        rows = connection.execute(
            "select text, seq from entries join rooms on rooms.id = room_id where rooms.name = 'log'"
        ).fetchall()
    stored = dict(rows)
    assert len(stored) == len(rows)
    lost = {text: seq for text, seq in acknowledged.items() if stored.get(text) != seq}
    assert acknowledged and not lost


def check_output(server: ServerProcess) -> None:
    output = "".join(server.output)
    assert not re.search("Traceback|Warning|graceful timeout", output), output


def come(server: ServerProcess) -> list[socket.socket]:
    """Connect, and ask for nothing. All are taken up when a page is answered that was asked for later."""
    newcomers = []
    with contextlib.suppress(ConnectionError, TimeoutError):  # then the server takes up none any more
        for _ in range(NEWCOMERS):
            newcomers.append(socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS))
        with contextlib.closing(browser(server)) as later:
            see_page(later)
    return newcomers


def browser(server: ServerProcess) -> http.client.HTTPConnection:
    """A visitor of the site, who gives up soon: while a worker ends, connections wait for the next one."""
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.5)


def see_page(browser: http.client.HTTPConnection) -> None:
    browser.request("GET", "/")
    browser.getresponse().read()


def terminate(server: ServerProcess, client: socket.socket) -> list[socket.socket]:
    newcomers = come(server)
    os.kill(server.pid, signal.SIGTERM)
    return newcomers


def hang_up(server: ServerProcess, client: socket.socket) -> list[socket.socket]:
    newcomers = come(server)
    os.kill(server.pid, signal.SIGHUP)
    return newcomers


def use_up_requests(server: ServerProcess, client: socket.socket) -> list[socket.socket]:
    """Ask for the site's page until the client hears of the stop. Newcomers are at most a second old,
    for gunicorn lets go of connections that ask for nothing in two."""
    newcomers, since = come(server), time.monotonic()
    told = select.poll()  # select() itself takes no descriptors above 1023
    told.register(client, select.POLLIN)
    with contextlib.closing(browser(server)) as visitor:
        for _ in range(MAX_REQUESTS):
            try:
                see_page(visitor)
            except (ConnectionError, TimeoutError, http.client.HTTPException):
                visitor.close()  # the next request opens it again
            if told.poll(0):
                return newcomers
            if time.monotonic() - since > 1:
                for newcomer in newcomers:
                    newcomer.close()
                newcomers, since = come(server), time.monotonic()
    for newcomer in newcomers:
        newcomer.close()
    raise AssertionError("the worker outlives its requests")


def check_successor(server: ServerProcess, hosting: str, predecessor: int) -> None:
    """Check that a new worker serves new clients, with the log as it was."""

    def is_let_in() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            status = knock(server.url).status
            assert status in (200, 503), status
            return status == 200
        return False

    wait_until(is_let_in, "a session", every_seconds=0.05)
    [worker] = wait_until(
        lambda: [pid for pid in workers(server, hosting) if pid != predecessor], "the next worker"
    )
    assert not is_gone(worker)
    with Chatter(server.url) as ann, Chatter(server.url, "polling") as bob:
        last = ann.join("log", "ann")["last_seq"]
        bob.join("log", "bob")
        assert ann.say("after all that")["seq"] == last + 1
        bob.wait_for_texts(["after all that"])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    with ExitStack() as stack:

        def start(hosting: str, *arguments: str) -> ServerProcess:
            command = list(HOSTINGS[hosting])
            if hosting != "serve":
                command[-1:-1] = [*arguments, "--graceful-timeout", str(GRACEFUL_SECONDS)]
            server = stack.enter_context(running(directory=tmp_path, command=command, **SETTINGS))
            return server

        yield start


@pytest.mark.parametrize("hosting", HOSTINGS)
def test_at_sigterm_everyone_is_told_and_the_server_is_gone_in_seconds(
    start: Callable[..., ServerProcess], tmp_path: Path, hosting: str
) -> None:
    server = start(hosting)
    check_farewell(server, tmp_path, hosting, CLIENTS, terminate)
    assert server.wait() == 0, "".join(server.output)[-4000:]
    check_output(server)


@pytest.mark.parametrize(
    ("hosting", "count"),
    [("conf", CLIENTS), ("gevent", FEWER_CLIENTS), ("geventwebsocket", FEWER_CLIENTS)],
)
def test_at_sighup_everyone_is_told_and_a_new_worker_serves_new_clients(
    start: Callable[..., ServerProcess], tmp_path: Path, hosting: str, count: int
) -> None:
    server = start(hosting)
    [worker] = workers(server, hosting)
    check_farewell(server, tmp_path, hosting, count, hang_up)
    check_successor(server, hosting, worker)
    assert server.stop() == 0
    check_output(server)


@pytest.mark.parametrize(("hosting", "count"), [("conf", CLIENTS), ("gevent", FEWER_CLIENTS)])
def test_at_max_requests_everyone_is_told_and_a_new_worker_serves_new_clients(
    start: Callable[..., ServerProcess], tmp_path: Path, hosting: str, count: int
) -> None:
    """gevent-websocket's worker knows no such limit."""
    server = start(hosting, "--max-requests", str(MAX_REQUESTS * count // CLIENTS))
    [worker] = workers(server, hosting)
    check_farewell(server, tmp_path, hosting, count, use_up_requests)
    check_successor(server, hosting, worker)
    assert server.stop() == 0
    check_output(server)

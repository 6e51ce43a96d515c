"""One connection: everything in order, every failure a sentence, every end noticed."""

from __future__ import annotations

import http.server
import inspect
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import engineio
import pytest
import requests
import socketio

from chatapp.client.link import GOODBYE_SECONDS, Link, LinkError, Listener, Target, _Http, allow_long_polls
from clients import wait_until
from servers import PATIENCE_SECONDS
from unit.chat_double import ChatDouble, running_double

TRANSPORTS = [None, ("websocket",), ("polling",)]


@pytest.fixture(autouse=True)
def _long_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = engineio.payload.Payload.max_decode_packets
    monkeypatch.setattr(engineio.payload.Payload, "max_decode_packets", bound)  # so that it is put back
    allow_long_polls()


@pytest.fixture
def double() -> Iterator[ChatDouble]:
    with running_double() as running:
        yield running


class Heard:
    """A link with what it tells, in order; `pump` does the work of the connection's thread."""

    def __init__(self, target: Target) -> None:
        self.work: queue.Queue[Callable[[], None]] = queue.Queue()
        self.events: list[Any] = []
        self.link = Link(
            target,
            self.work.put,
            Listener(
                opened=lambda: self.events.append("opened"),
                refused=lambda why: self.events.append(("refused", why)),
                received=lambda event, payload: self.events.append((event, payload)),
                lost=lambda: self.events.append("lost"),
            ),
        )

    def pump(self, until: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not until():
            assert time.monotonic() < deadline, f"waited in vain for {what}, heard {self.events}"
            try:
                self.work.get(timeout=0.05)()
            except queue.Empty:
                continue

    def connect(self) -> Heard:
        self.link.connect()
        self.pump(lambda: "opened" in self.events, "the connection")
        return self

    def pump_until_lost(self) -> None:
        self.pump(lambda: "lost" in self.events, "the loss")


@pytest.fixture(params=TRANSPORTS, ids=["auto", "websocket", "polling"])
def heard(request: pytest.FixtureRequest, double: ChatDouble) -> Iterator[Heard]:
    heard = Heard(Target(double.url, transports=request.param)).connect()
    yield heard
    heard.link.close()


def test_what_is_pushed_arrives_in_order(heard: Heard, double: ChatDouble) -> None:
    for number in range(300):
        double.sio.emit("news", number)
    heard.pump(lambda: ("news", 299) in heard.events, "the last push")
    assert [payload for event, payload in heard.events[1:] if event == "news"] == list(range(300))


def test_a_push_that_takes_long_to_read_is_not_overtaken(heard: Heard, double: ChatDouble) -> None:
    double.sio.emit("long", ["x"] * 500_000)
    double.sio.emit("short", 1)
    heard.pump(lambda: ("short", 1) in heard.events, "both pushes")
    assert [event[0] for event in heard.events[1:]] == ["long", "short"]


def test_a_connection_lost_is_closed_on_this_side_too(heard: Heard, double: ChatDouble) -> None:
    double.cut()
    heard.pump_until_lost()
    heard.link.close()
    websocket = heard.link._client.eio.ws
    assert websocket is None or websocket.sock is None


def test_a_call_gets_its_acknowledgement(heard: Heard) -> None:
    answers: list[Any] = []
    heard.link.call("join room", {"roomname": "lobby", "username": "ann"}, answers.append)
    heard.pump(lambda: answers, "the acknowledgement")
    assert answers[0]["ok"] is True


def test_a_cut_connection_is_noticed(heard: Heard, double: ChatDouble) -> None:
    double.cut()
    heard.pump_until_lost()
    heard.link.call("join room", {"roomname": "lobby"}, heard.events.append)


def test_being_disconnected_by_the_server_is_noticed(heard: Heard, double: ChatDouble) -> None:
    for namespace_sid in list(double.sio.manager.get_participants("/", None)):
        double.sio.disconnect(namespace_sid[0])
    heard.pump_until_lost()


def test_malformed_packets_end_the_connection(heard: Heard, double: ChatDouble) -> None:
    (engine_sid,) = double.sio.eio.sockets
    double.sio.eio.send(engine_sid, "no packet")
    heard.pump_until_lost()


def test_a_goodbye_is_heard_and_quick(heard: Heard, double: ChatDouble) -> None:
    begun_at = time.monotonic()
    heard.link.close()
    assert time.monotonic() - begun_at < GOODBYE_SECONDS / 2
    wait_until(
        lambda: not list(double.sio.manager.get_participants("/", None)), "the server to hear the goodbye"
    )


def test_a_goodbye_is_heard_while_a_request_is_under_way(heard: Heard, double: ChatDouble) -> None:
    entered, gate = threading.Event(), threading.Event()

    def linger(sid: str) -> None:
        entered.set()
        gate.wait(PATIENCE_SECONDS)

    double.sio.on("linger", linger)
    double.sio.on("disconnect", lambda sid, reason: gate.set())
    heard.link.call("linger", None, heard.events.append)
    assert entered.wait(PATIENCE_SECONDS)
    heard.link.close()
    if heard.link._target.transports == ("polling",):
        assert gate.wait(GOODBYE_SECONDS)
    gate.set()


@pytest.mark.parametrize("transports", TRANSPORTS, ids=["auto", "websocket", "polling"])
def test_cookies_and_user_agent_are_shown(double: ChatDouble, transports: tuple[str, ...] | None) -> None:
    cookies = (("session", "eyJ1IjoxfQ.abc-_"), ("b", "2"))
    heard = Heard(
        Target(double.url, transports=transports, cookies=cookies, user_agent="Browser/1")
    ).connect()
    heard.link.close()
    assert double.user_agents == ["Browser/1"]
    assert set(double.cookies[0].split("; ")) == {"session=eyJ1IjoxfQ.abc-_", "b=2"}


def test_cookies_are_shown_to_a_host_without_a_dot(double: ChatDouble) -> None:
    heard = Heard(Target(f"http://localhost:{double.port}", cookies=(("session", "x"),))).connect()
    heard.link.close()
    assert double.cookies == ["session=x"]


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "https://Chat.Example.org"]
)
def test_cookies_are_shown_to_the_site_and_to_no_other(url: str) -> None:
    with _Http(Target(url, cookies=(("session", "x"),))) as http_session:
        shown = [
            http_session.prepare_request(requests.Request("GET", f"{site}/socket.io/")).headers.get("Cookie")
            for site in (url, "http://elsewhere.example")
        ]
    assert shown == ["session=x", None]


def test_a_server_that_lets_nobody_in_says_why(double: ChatDouble) -> None:
    double.refuses_connections = True
    heard = Heard(Target(double.url))
    heard.link.connect()
    heard.pump(lambda: ("refused", "Log in first.") in heard.events, "the refusal")
    heard.link.close()


class OtherSite(http.server.BaseHTTPRequestHandler):
    """A site that is no chat server."""

    status, body = 200, b"<html>"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def other_site() -> Iterator[Callable[[int, bytes], str]]:
    """Runs a site that answers everything with a status and a body; returns its address."""
    running = []

    def run(status: int, body: bytes) -> str:
        handler = type("Site", (OtherSite,), {"status": status, "body": body})
        site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((site, thread))
        return f"http://127.0.0.1:{site.server_port}"

    yield run
    for site, thread in running:
        site.shutdown()
        site.server_close()
        thread.join(PATIENCE_SECONDS)


@pytest.mark.parametrize("transports", TRANSPORTS, ids=["auto", "websocket", "polling"])
@pytest.mark.parametrize(
    ("status", "body", "part"),
    [
        (404, b"", "HTTP 404; is the path right?"),
        (503, b"", "busy or restarting (HTTP 503)"),
        (200, b"<html>", "no chat server answered"),
        (200, b"", "no chat server answered"),
        (200, b"\xff", "no chat server answered"),
        (200, b"0{}", "no chat server answered"),
        (200, b"0[1]", "no chat server answered"),
        (
            200,
            b'0{"sid": 1, "upgrades": 2, "pingInterval": "x", "pingTimeout": []}',
            "no chat server answered",
        ),
    ],
)
def test_what_is_no_chat_server_is_said_in_a_sentence(
    other_site: Callable[[int, bytes], str],
    transports: tuple[str, ...] | None,
    status: int,
    body: bytes,
    part: str,
) -> None:
    heard = Heard(Target(other_site(status, body), transports=transports))
    with pytest.raises(LinkError) as failure:
        heard.link.connect()
    if status != 200 or transports != ("websocket",):
        assert part in str(failure.value)
    heard.link.close()


def free_port() -> int:
    with http.server.HTTPServer(("127.0.0.1", 0), OtherSite) as site:
        return site.server_port


@pytest.mark.parametrize("transports", TRANSPORTS, ids=["auto", "websocket", "polling"])
def test_a_port_where_nothing_listens_is_said_in_a_sentence(transports: tuple[str, ...] | None) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    heard = Heard(Target(url, transports=transports))
    with pytest.raises(LinkError, match="nothing listens there") as failure:
        heard.link.connect()
    assert str(failure.value).startswith(f"Cannot connect to {url}: ")
    heard.link.close()


@pytest.mark.parametrize("transports", [("websocket",), ("polling",)], ids=["websocket", "polling"])
def test_tls_with_a_server_that_has_none_is_said_in_a_sentence(
    double: ChatDouble, transports: tuple[str, ...]
) -> None:
    heard = Heard(Target(f"https://127.0.0.1:{double.port}", transports=transports))
    with pytest.raises(LinkError, match="TLS failed"):
        heard.link.connect()
    heard.link.close()


def test_the_private_names_used_of_the_libraries_are_still_there() -> None:
    assert "run_async=True" in inspect.getsource(engineio.Client._receive_packet)
    assert "_trigger_event" in vars(engineio.Client)
    assert "self._engineio_client_class()(" in inspect.getsource(socketio.Client.__mro__[1].__init__)

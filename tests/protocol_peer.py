"""Peers for tests of the protocols: the program under test in each hosting, and polls by hand."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clients import wait_until
from raw_websocket import CLOSE, PING, RawWebSocket, frame
from servers import HOSTINGS, PATIENCE_SECONDS, ServerProcess, running

TESTS = Path(__file__).parent

#: Divides the packets of a polling payload.
SEPARATOR = "\x1e"

_marks = itertools.count(1)


@contextlib.contextmanager
def hosted(hosting: str, directory: Path, **settings: str) -> Iterator[ServerProcess]:
    """Run ``tests/protocol_host.py`` in this hosting. Nothing is stored unless `settings` say where."""
    if hosting == "serve":
        command = [sys.executable, str(TESTS / "protocol_host.py")]
    else:
        command = [*HOSTINGS[hosting][:-1], "protocol_host:app"]
    settings = {"STORAGE_URL": "none", **settings}
    with running(directory=directory, command=command, cwd=TESTS, **settings) as server:
        get(server.url, "/pid")  # gunicorn listens before its worker is there
        yield server


def check_output(server: ServerProcess) -> None:
    """Fail if the server printed a traceback or a warning of Python's."""
    output = "".join(server.output)
    assert "Traceback" not in output and "Warning:" not in output, output[-4000:]


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def packets(self) -> list[str]:
        return self.text.split(SEPARATOR)


class Request:
    """A request that is under way; `answer` waits for what it is answered with."""

    def __init__(
        self, url: str, method: str, query: str, body: bytes | None = None, headers: Any = None
    ) -> None:
        address = urlsplit(url)
        self.connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=PATIENCE_SECONDS
        )
        self.connection.request(method, f"/socket.io/?{query}", body, headers or {})

    def answer(self) -> Answer:
        with contextlib.closing(self.connection):
            response = self.connection.getresponse()
            return Answer(response.status, response.headers, response.read())


def ask(
    url: str, method: str = "GET", query: str = "EIO=4&transport=polling", body: bytes | None = None
) -> Answer:
    """Send a request to the Socket.IO endpoint and return its answer."""
    return Request(url, method, query, body).answer()


def get(url: str, path: str) -> Answer:
    """Get a page of the program's own. What was sent before by others has been read by then."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        return Answer(response.status, response.headers, response.read())


def called(url: str) -> list[Any]:
    """Return what handlers and hooks of the program were called, with what."""
    return list(json.loads(get(url, "/called").body))


def mark(server: ServerProcess) -> tuple[int, int]:
    """Return how many lines the server has printed up to now, and how many calls its program noted."""
    word = str(next(_marks))
    calls = int(get(server.url, f"/mark/{word}").body)
    wait_until(lambda: f"MARK {word}\n" in server.output[-50:], "the mark")
    return server.output.index(f"MARK {word}\n") + 1, calls


def opens_websocket(url: str, query: str) -> bool:
    """Return whether a WebSocket opens for this query, rather than being refused or closed at once."""
    with RawWebSocket(url, query=query) as client:
        if not client.head.startswith(b"HTTP/1.1 101 "):
            assert client.head.startswith(b"HTTP/1.1 400 "), client.head
            return False
        # gevent-websocket's worker makes the handshake before it asks us.
        client.send(frame(PING))
        return client.receive()[0] != CLOSE


class Polling:
    """A session by polling."""

    def __init__(self, url: str, *, connect: bool = True) -> None:
        self.url = url
        opened = ask(url)
        assert opened.status == 200 and opened.text[0] == "0", opened
        self.session: dict[str, Any] = json.loads(opened.text[1:])
        self.sid: str = self.session["sid"]
        self.query = f"EIO=4&transport=polling&sid={self.sid}"
        self.connected: dict[str, Any] = {}
        if connect:
            self.say("40")
            (packet,) = self.packets(1)
            assert packet.startswith("40{"), packet
            self.connected = json.loads(packet[2:])

    def get(self) -> Answer:
        return ask(self.url, "GET", self.query)

    def hold(self) -> Request:
        """Send a poll that is to be held, and return when the server has it."""
        poll = Request(self.url, "GET", self.query)
        get(self.url, "/pid")
        return poll

    def post(self, *packets: str) -> Answer:
        return self.post_bytes(SEPARATOR.join(packets).encode())

    def post_bytes(self, body: bytes) -> Answer:
        return ask(self.url, "POST", self.query, body)

    def say(self, *packets: str) -> None:
        """Post packets, which has to be a success."""
        answer = self.post(*packets)
        assert (answer.status, answer.body.lower()) == (200, b"ok"), answer

    def packets(self, count: int) -> list[str]:
        """Poll until so many packets have come."""
        packets: list[str] = []
        while len(packets) < count:
            answer = self.get()
            assert answer.status == 200, answer
            packets += answer.packets
        return packets

    def is_over(self) -> bool:
        """Return whether the server knows the session no longer, whatever is asked of it."""
        return self.post("3").status == 400 and self.get().status == 400

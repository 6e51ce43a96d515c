"""Long polling without manners: each request has a connection of its own, and its answer is read when the
test wants it, or never."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from raw_websocket import dial

#: Between two packets of one payload: Engine.IO 4, "HTTP long-polling", "Packet encoding".
SEPARATOR = "\x1e"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def packets(self) -> list[str]:
        return self.text.split(SEPARATOR)


class Exchange:
    """A request that is under way."""

    def __init__(self, url: str, request: bytes, *, receive_buffer: int = 0) -> None:
        self.socket = dial(url, receive_buffer=receive_buffer)
        try:
            self.socket.sendall(request)
        except BaseException:
            self.socket.close()
            raise

    def reply(self) -> Reply:
        """Wait for the answer, read it and let go of the connection."""
        with self.socket, http.client.HTTPResponse(self.socket) as response:
            response.begin()
            return Reply(response.status, response.headers, response.read().decode())

    def close(self) -> None:
        """End the connection in good order, whatever is under way."""
        self.socket.close()

    def reset(self) -> None:
        """End the connection as a crash does: with RST."""
        reset(self.socket)


def reset(connection: socket.socket) -> None:
    """Close a connection so that its other end gets RST: socket(7), SO_LINGER."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def request(url: str, method: str, query: str, body: str | None = None, **headers: str) -> bytes:
    """A request to the Socket.IO path; `_` in a header's name is a hyphen."""
    lines = {"Host": urlsplit(url).netloc or "localhost", "Connection": "close"}
    content = b"" if body is None else body.encode()
    if body is not None:
        lines |= {"Content-Type": "text/plain;charset=UTF-8", "Content-Length": str(len(content))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\n{head}\r\n".encode() + content


def knock(url: str, **headers: str) -> Reply:
    """Ask for a session."""
    return Exchange(url, request(url, "GET", "", **headers)).reply()


class RawPolling:
    """A session. `sid` and `opened` are what the handshake said. `held` is the poll under way, if any."""

    def __init__(self, url: str) -> None:
        self.url = url
        answer = knock(url)
        assert answer.status == 200 and answer.text[0] == "0", answer
        self.opened: dict[str, Any] = json.loads(answer.text[1:])
        self.sid: str = self.opened["sid"]
        self.held: Exchange | None = None
        self._waiting: list[str] = []

    def __enter__(self) -> RawPolling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.held is not None:
            self.held.close()

    def begin(self, method: str, body: str | None = None, **options: Any) -> Exchange:
        """Send a request of this session."""
        return Exchange(self.url, request(self.url, method, f"&sid={self.sid}", body), **options)

    def post(self, *packets: str) -> Reply:
        """Send packets, which have to be taken."""
        answer = self.begin("POST", SEPARATOR.join(packets)).reply()
        assert answer.status == 200, answer
        return answer

    def hold(self, **options: Any) -> Exchange:
        """Send a poll whose answer may come later; `poll` reads it."""
        assert self.held is None
        self.held = self.begin("GET", **options)
        return self.held

    def poll(self) -> Reply:
        """Return the answer to the poll under way, or to a new one."""
        exchange, self.held = self.held or self.begin("GET"), None
        return exchange.reply()

    def packets(self) -> Iterator[str]:
        """Yield the packets as they come, polling whenever there are no more; pings are answered."""
        while True:
            while self._waiting:
                packet = self._waiting.pop(0)
                if packet == "2":
                    self.post("3")
                else:
                    yield packet
            answer = self.poll()
            assert answer.status == 200, answer
            self._waiting += answer.packets

    def connect(self, auth: Any = None) -> None:
        """Connect to Socket.IO."""
        self.post("40" + ("" if auth is None else json.dumps(auth)))
        assert next(self.packets()).startswith("40{")

    def emit(self, *payloads: Any, event: str = "new message") -> None:
        """Send events, all in one request, without asking for acknowledgements."""
        self.post(*("42" + json.dumps([event, payload]) for payload in payloads))

    def call(self, event: str, payload: Any, number: int = 1) -> Any:
        """Emit an event and return its acknowledgement; what comes before that is dropped."""
        self.post(f"42{number}" + json.dumps([event, payload]))
        start = f"43{number}["
        found = next(packet for packet in self.packets() if packet.startswith(start))
        return json.loads(found[len(start) - 1 :])[0]

    def messages(self, count: int) -> list[Any]:
        """Wait for so many stored messages and return them; other packets are dropped."""
        found: list[Any] = []
        for packet in self.packets():
            found += stored_messages([packet])
            if len(found) >= count:
                return found
        raise AssertionError("packets never end")


def stored_messages(packets: list[str]) -> list[Any]:
    """Return the stored messages among packets, as the server sends them to a room's members."""
    events = [json.loads(packet[2:]) for packet in packets if packet.startswith("42[")]
    return [payload for event, payload in events if event == "new message" and "seq" in payload]

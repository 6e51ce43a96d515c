"""Peers of Engine.IO 3 for tests of the protocols: sessions by polling, by JSONP and by WebSocket."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from protocol_peer import Answer, Request, get
from raw_websocket import BINARY, TEXT, RawWebSocket, frame

POLLING, WEBSOCKET = "EIO=3&transport=polling", "EIO=3&transport=websocket"

_SCRIPT = re.compile(rb"___eio\[([0-9]+)\]\((\".*\")\);")

Packets = list[str | bytes]


def ask(
    url: str, method: str = "GET", query: str = POLLING, body: bytes | None = None, headers: Any = None
) -> Answer:
    """Send a request to the Socket.IO endpoint and return its answer."""
    return Request(url, method, query, body, headers).answer()


def payload(packets: Iterable[str | bytes]) -> bytes:
    """Write packets as a text, bytes in base64: `engine.io-parser` 2, ``encodePayload``."""
    texts = [packet if isinstance(packet, str) else in_base64(packet) for packet in packets]
    return "".join(f"{len(text.encode('utf-16-le')) // 2}:{text}" for text in texts).encode()


def in_base64(message: bytes) -> str:
    return "b4" + base64.b64encode(message).decode()


def binary_payload(packets: Iterable[str | bytes]) -> bytes:
    """Write packets as bytes: `engine.io-parser` 2, ``encodePayloadAsBinary``."""
    body = b""
    for packet in packets:
        content = packet.encode() if isinstance(packet, str) else b"\x04" + packet
        digits = bytes(int(digit) for digit in str(len(content)))
        body += bytes((isinstance(packet, bytes),)) + digits + b"\xff" + content
    return body


def form(packets: Iterable[str | bytes]) -> bytes:
    """Write packets as a page's form does: `engine.io-client` 3, ``JSONPPolling.prototype.doWrite``."""
    text = payload(packets).decode()
    return urlencode({"d": text.replace("\\n", "\\\n").replace("\n", "\\n")}).encode()


def read_payload(text: str) -> Packets:
    """Read packets of a text, as JavaScript does; bytes come in base64."""
    units = text.encode("utf-16-le")
    packets: Packets = []
    while units:
        length, _, units = units.partition(":".encode("utf-16-le"))
        size = int(length.decode("utf-16-le")) * 2
        packet, units = units[:size].decode("utf-16-le"), units[size:]
        assert len(packet.encode("utf-16-le")) == size, text
        packets.append(base64.b64decode(packet[2:]) if packet.startswith("b4") else packet)
    return packets


def read_binary_payload(body: bytes) -> Packets:
    """Read packets of bytes."""
    packets: Packets = []
    while body:
        kind, end = body[0], body.index(255)
        size = int("".join(str(digit) for digit in body[1:end]))
        content, body = body[end + 1 : end + 1 + size], body[end + 1 + size :]
        assert len(content) == size and kind in (0, 1)
        if kind:
            assert content[0] == 4
        packets.append(content[1:] if kind else content.decode())
    return packets


class OlderPolling:
    """A session by XMLHttpRequest. `more` is added to the query of its handshake."""

    def __init__(self, url: str, more: str = "", *, connect: bool = True, headers: Any = None) -> None:
        self.url = url
        self.headers = headers or {}
        self.query = POLLING + more
        answer = self.get()
        assert answer.status == 200, answer
        self._waiting: Packets = self.read(answer)
        opened = self._waiting.pop(0)
        assert isinstance(opened, str) and opened[0] == "0", opened
        self.session: dict[str, Any] = json.loads(opened[1:])
        self.sid: str = self.session["sid"]
        self.query = f"{POLLING}&sid={self.sid}" + self.of_each_request(more)
        if connect:
            assert self.packets(1) == ["40"]

    def of_each_request(self, more: str) -> str:
        """Return what of the handshake's query the other requests have, too."""
        return ""

    def get(self) -> Answer:
        return ask(self.url, "GET", self.query, headers=self.headers)

    def hold(self) -> Request:
        """Send a poll that is to be held, and return when the server has it."""
        poll = Request(self.url, "GET", self.query, headers=self.headers)
        get(self.url, "/pid")
        return poll

    def post_bytes(self, body: bytes) -> Answer:
        return ask(self.url, "POST", self.query, body, self.headers)

    def post(self, *packets: str | bytes) -> Answer:
        return self.post_bytes(self.write(packets))

    def write(self, packets: Iterable[str | bytes]) -> bytes:
        return payload(packets)

    def read(self, answer: Answer) -> Packets:
        if answer.headers["Content-Type"] == "application/octet-stream":
            return read_binary_payload(answer.body)
        assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
        return read_payload(answer.text)

    def say(self, *packets: str | bytes) -> None:
        """Post packets, which has to be a success."""
        answer = self.post(*packets)
        assert (answer.status, answer.body) == (200, b"ok"), answer

    def packets(self, count: int) -> Packets:
        """Poll until so many packets have come."""
        while len(self._waiting) < count:
            answer = self.get()
            assert answer.status == 200, answer
            self._waiting += self.read(answer)
        packets, self._waiting = self._waiting[:count], self._waiting[count:]
        return packets

    def is_over(self) -> bool:
        """Return whether the server knows the session no longer, whatever is asked of it."""
        return self.post("2").status == 400 and self.get().status == 400


class BinaryPolling(OlderPolling):
    """One that posts bytes, as python-engineio's client does."""

    def write(self, packets: Iterable[str | bytes]) -> bytes:
        return binary_payload(packets)


class JsonpPolling(OlderPolling):
    """A session by scripts and forms of a page: `engine.io-client` 3, ``polling-jsonp.js``."""

    def __init__(self, url: str, more: str = "", *, connect: bool = True, headers: Any = None) -> None:
        page = {"Referer": f"{url}/page", "Content-Type": "application/x-www-form-urlencoded"}
        super().__init__(url, f"&j=0{more}", connect=connect, headers=headers or page)

    def of_each_request(self, more: str) -> str:
        return "&j=0"

    def write(self, packets: Iterable[str | bytes]) -> bytes:
        return form(packets)

    def read(self, answer: Answer) -> Packets:
        assert answer.headers["Content-Type"] == "text/javascript; charset=UTF-8"
        found = _SCRIPT.fullmatch(answer.body)
        assert found is not None and found[1] == b"0", answer
        return read_payload(json.loads(found[2]))


class OlderWebSocket(RawWebSocket):
    """A WebSocket of Engine.IO 3. Bytes are said and received without their type."""

    def __init__(self, url: str, more: str = "", **headers: Any) -> None:
        super().__init__(url, query=WEBSOCKET + more, **headers)

    def open_session(self) -> dict[str, Any]:
        """Read Engine.IO's first packet and Socket.IO's, and return the first one's content."""
        opened = self.receive_text()
        assert opened[0] == "0", opened
        assert self.receive_text() == "40"
        session: dict[str, Any] = json.loads(opened[1:])
        return session

    def send_packets(self, *packets: str | bytes) -> None:
        """Send packets in one go."""
        self.send(
            b"".join(
                frame(TEXT, packet.encode()) if isinstance(packet, str) else frame(BINARY, b"\x04" + packet)
                for packet in packets
            )
        )

    def receive_bytes(self) -> bytes:
        """Return the next packet, which has to be a message of bytes."""
        opcode, content = self.receive()
        assert opcode == BINARY and content[:1] == b"\x04", (opcode, content)
        return content[1:]

"""Peers of Engine.IO 3 for tests of the protocol: polls by hand, by text, bytes or JSONP."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote_plus

from protocol_peer import Answer, Request, get

#: Who a page says it is when it polls by JSONP.
_CALL = re.compile(r"___eio\[([0-9]+)\]\((\".*\")\);", re.DOTALL)


def units(text: str) -> int:
    """How long JavaScript says a text is."""
    return len(text.encode("utf-16-le")) // 2


def as_text(*packets: str) -> bytes:
    """A payload of text."""
    return "".join(f"{units(packet)}:{packet}" for packet in packets).encode()


def as_bytes(*packets: str | bytes) -> bytes:
    """A payload of bytes, in which a packet of bytes brings its type."""
    payload = b""
    for packet in packets:
        data = packet if isinstance(packet, bytes) else packet.encode()
        payload += bytes((isinstance(packet, bytes), *map(int, str(len(data))), 255)) + data
    return payload


def as_form(*packets: str) -> bytes:
    """A payload as socket.io-client's form holds it."""
    text = as_text(*packets).decode().replace("\\n", "\\\n").replace("\n", "\\n")
    return b"d=" + quote_plus(text).encode()


def parts(answer: Answer) -> list[str | bytes]:
    """The packets of an answer to a poll."""
    found: list[str | bytes] = []
    if answer.headers["Content-Type"] == "application/octet-stream":
        rest = answer.body
        while rest:
            end = rest.index(255)
            size = int("".join(map(str, rest[1:end])))
            packet, kind, rest = rest[end + 1 : end + 1 + size], rest[0], rest[end + 1 + size :]
            assert len(packet) == size and kind in (0, 1)
            found.append(packet if kind else packet.decode())
        return found
    text = answer.text
    if answer.headers["Content-Type"].startswith("text/javascript"):
        call = _CALL.fullmatch(text)
        assert call is not None, text
        assert text.isascii()
        text = json.loads(call[2])
    assert text.isascii(), "every way to count its length comes to the same"
    while text:
        size, _, text = text.partition(":")
        found.append(text[: int(size)])
        assert len(found[-1]) == int(size)
        text = text[int(size) :]
    return found


class OlderPolling:
    """A session by polling. `more` stands in each query."""

    def __init__(
        self, url: str, more: str = "", *, eio: str = "EIO=3&", headers: dict[str, str] | None = None
    ) -> None:
        self.url = url
        self.headers = headers or {}
        self.query = f"{eio}transport=polling{more}"
        answer = self.get()
        assert answer.status == 200, answer
        (opened,) = parts(answer)
        assert isinstance(opened, str) and opened[0] == "0", opened
        self.session: dict[str, Any] = json.loads(opened[1:])
        self.sid: str = self.session["sid"]
        self.query += f"&sid={self.sid}"

    def get(self) -> Answer:
        return Request(self.url, "GET", self.query, headers=self.headers).answer()

    def hold(self) -> Request:
        """Send a poll that is to be held, and return when the server has it."""
        poll = Request(self.url, "GET", self.query, headers=self.headers)
        get(self.url, "/pid")
        return poll

    def post(self, body: bytes) -> Answer:
        return Request(self.url, "POST", self.query, body, self.headers).answer()

    def say(self, *packets: str) -> None:
        """Post packets, which has to be a success."""
        answer = self.post(as_text(*packets))
        assert (answer.status, answer.body) == (200, b"ok"), answer

    def packets(self, count: int) -> list[str | bytes]:
        """Poll until so many packets have come."""
        packets: list[str | bytes] = []
        while len(packets) < count:
            answer = self.get()
            assert answer.status == 200, answer
            packets += parts(answer)
        return packets

    def connected(self) -> OlderPolling:
        """Return it when it is connected, unasked."""
        assert self.packets(1) == ["40"]
        return self

    def is_over(self) -> bool:
        """Return whether the server knows the session no longer, whatever is asked of it."""
        return self.post(as_text("2")).status == 400 and self.get().status == 400

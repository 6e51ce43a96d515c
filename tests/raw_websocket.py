"""A WebSocket client without manners: frames as the test wants them, over a plain socket."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from chatapp.engine.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, unmask
from servers import PATIENCE_SECONDS

MASK = b"\x37\xfa\x21\x3d"
FIN = 0x80


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bool = True
) -> bytes:
    """A frame as a client sends it."""
    return header(opcode, len(payload), fin=fin, reserved=reserved, mask=mask) + (
        MASK + unmask(MASK, payload) if mask else payload
    )


def header(opcode: int, size: int, *, fin: bool = True, reserved: int = 0, mask: bool = True) -> bytes:
    """The beginning of a frame that declares this size."""
    first, flag = (FIN if fin else 0) | reserved << 4 | opcode, 0x80 if mask else 0
    if size < 126:
        return bytes((first, flag | size))
    if size < 65536:
        return struct.pack("!BBH", first, flag | 126, size)
    return struct.pack("!BBQ", first, flag | 127, size)


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def handshake(url: str, query: str = "EIO=4&transport=websocket", **headers: str) -> bytes:
    """The request that opens a WebSocket; a header of None is left out, `_` in its name is a hyphen."""
    lines = {
        "Host": urlsplit(url).netloc or "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"GET /socket.io/?{query} HTTP/1.1\r\n{head}\r\n".encode("latin-1")


def dial(url: str, *, receive_buffer: int = 0) -> socket.socket:
    """Connect to where a server answers, a Unix socket too."""
    address = urlsplit(url)
    is_unix = address.scheme == "unix"
    connection = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(PATIENCE_SECONDS)
    try:
        connection.connect(address.path if is_unix else (address.hostname, address.port))
        if not is_unix:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


class RawWebSocket:
    """A connection; `receive` returns the frames that come, each as ``(opcode, payload)``."""

    def __init__(self, url: str, *, early: bytes = b"", receive_buffer: int = 0, **headers: str) -> None:
        self.socket = dial(url, receive_buffer=receive_buffer)
        self._buffer = b""
        try:
            self.send(handshake(url, **headers) + early)
            while b"\r\n\r\n" not in self._buffer:
                assert self._fill(), self._buffer
        except BaseException:
            self.socket.close()
            raise
        self.head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")

    def __enter__(self) -> RawWebSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def say(self, text: str) -> None:
        """Send a text frame."""
        self.send(frame(TEXT, text.encode()))

    def _fill(self, size: int = 65536) -> bool:
        data = self.socket.recv(size)
        self._buffer += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            assert self._fill(), "the connection is closed"
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def receive(self) -> tuple[int, bytes]:
        """Return the next frame, which has to be whole and as servers send them."""
        first, size = self._take(2)
        assert first & 0xF0 == FIN and size < 128, "a server's frames are whole, plain and not masked"
        if size >= 126:
            least = 126 if size == 126 else 65536
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
            assert size >= least, "a length is written in as few bytes as it needs (RFC 6455 section 5.2)"
        return first & 0x0F, self._take(size)

    def receive_text(self) -> str:
        opcode, payload = self.receive()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    def open_session(self) -> dict[str, Any]:
        """Read Engine.IO's first packet, connect to Socket.IO, and return the first packet's content."""
        opened = self.receive_text()
        assert opened[0] == "0", opened
        self.say("40")
        assert self.receive_text().startswith("40{")
        session: dict[str, Any] = json.loads(opened[1:])
        return session

    def call(self, event: str, payload: Any, number: int = 1) -> Any:
        """Emit an event and return its acknowledgement; what comes before that is dropped."""
        self.say(f"42{number}" + json.dumps([event, payload]))
        while not (text := self.receive_text()).startswith(f"43{number}["):
            pass
        return json.loads(text[len(f"43{number}") :])[0]

    def closing(self) -> tuple[int, float]:
        """Wait for the server's end; return its close code, and the seconds from that to the end of the
        TCP connection. Frames before are dropped."""
        while True:
            opcode, payload = self.receive()
            if opcode == CLOSE:
                break
        began = time.monotonic()
        assert self._buffer == b"" and not self._fill(), "data after the close frame"
        return int.from_bytes(payload[:2], "big"), time.monotonic() - began

    def closed_with(self) -> int:
        """Wait for the server's close frame, answer it, see the connection end, and return its code; 1005
        if it has none. Frames before are dropped."""
        while True:
            opcode, payload = self.receive()
            if opcode == CLOSE:
                break
        with contextlib.suppress(ConnectionError):  # the server may be gone as soon as it has closed
            self.send(frame(CLOSE, payload[:2]))
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            assert self._buffer == b"" and not self._fill(), "data after the close frame"
        return int.from_bytes(payload[:2], "big") if payload else 1005

    def is_closed(self) -> bool:
        """Read to the end of the TCP connection, however it comes."""
        with contextlib.suppress(ConnectionError):
            while self._fill():
                self._buffer = b""
        return True


@contextlib.contextmanager
def joined(url: str, room: str, name: str, **options: Any) -> Iterator[RawWebSocket]:
    """A connection that has joined a room."""
    with RawWebSocket(url, **options) as client:
        client.open_session()
        assert client.call("join room", {"roomname": room, "username": name})["ok"]
        yield client


__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "RawWebSocket",
    "close_frame",
    "frame",
    "handshake",
    "header",
    "joined",
]

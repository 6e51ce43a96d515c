"""A WebSocket on a connection that was taken: frames in, frames out, nothing that waits."""

from __future__ import annotations

import _socket
import contextlib
import socket
from typing import Protocol

from chatapp.engine.deadlines import Deadlines
from chatapp.engine.frames import Event, FrameReader, encode_close
from chatapp.engine.reactor import OUT, Lane, Reactor

#: One read. Everything that fits into a loop's round is parsed from one buffer.
RECEIVE_BYTES = 65536
#: Reads from a peer that we have nothing more to say to, before its connection is reset.
MAX_DRAIN_READS = 16
#: How long a peer may take to close its side after we closed ours.
_LINGER_SECONDS = 1.0


class Owner(Protocol):
    """The session whose WebSocket it is."""

    @property
    def lane(self) -> Lane:
        """Whose turn it is to read."""

    def lost(self, websocket: WebSocket, why: str = ...) -> None:
        """Take note that the connection broke. Must not block."""


class WebSocket:
    """Reads and writes in the loop's thread. `owner` reads when its lane's turn comes."""

    __slots__ = (
        "_deadlines",
        "_is_closing",
        "_is_gone",
        "_lane",
        "_max_rest_bytes",
        "_reactor",
        "_reader",
        "_rest",
        "_socket",
        "is_readable",
        "owner",
    )

    def __init__(
        self,
        taken: _socket.socket,
        owner: Owner,
        reactor: Reactor,
        deadlines: Deadlines,
        *,
        max_bytes: int,
        max_fragments: int,
        max_rest_bytes: int,
    ) -> None:
        self._socket = taken
        self.owner = owner
        self._lane = owner.lane
        self._reactor = reactor
        self._deadlines = deadlines
        self._reader = FrameReader(max_bytes, max_fragments)
        self._rest: bytearray | None = None  # what the socket would not take yet
        self._max_rest_bytes = max_rest_bytes
        self._is_closing = False  # our Close frame is on its way
        self._is_gone = False
        self.is_readable = False
        reactor.watch(self)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    @property
    def is_open(self) -> bool:
        """Whether frames can still be written."""
        return not self._is_closing and not self._is_gone

    def ready(self, mask: int) -> None:
        """See `reactor.Watched`."""
        if mask & OUT and self._rest is not None:
            self._write_rest()
        if mask & ~OUT and not self._is_gone:
            if self._is_closing:
                self._drain()
            else:
                self.is_readable = True
                self._reactor.schedule(self._lane)

    # Reading

    def read(self) -> list[Event]:
        """Return what has come since the last time; tells the owner when the connection is lost."""
        self.is_readable = False
        if self._is_gone:
            return []
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._lose()
            return []
        if len(data) == RECEIVE_BYTES:  # there may be more, and no new edge will say so
            self.is_readable = True
            self._reactor.schedule(self._lane)
        return self._reader.feed(data)

    # Writing

    def write(self, frames: list[bytes]) -> None:
        """Write whole frames, in order, as far as the socket takes them; the rest follows by itself.

        A peer that does not read is lost once `max_rest_bytes` wait for it.
        """
        if self._is_closing or self._is_gone:
            return
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        if self._rest is None:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._lose()
                return
            if sent == len(data):
                return
            self._rest = bytearray(memoryview(data)[sent:])
        else:
            self._rest += data
        if len(self._rest) > self._max_rest_bytes:
            self.drop()
            self.owner.lost(self, "it does not read what it is sent")

    def _write_rest(self) -> None:
        assert self._rest is not None
        try:
            sent = self._socket.send(self._rest)
        except BlockingIOError:
            return
        except OSError:
            self._rest = None
            self._lose()
            return
        del self._rest[:sent]
        if not self._rest:
            self._rest = None
            if self._is_closing:
                self._half_close()

    # Closing

    def close(self, code: int) -> None:
        """Close with this code, after what waits to be written; no-op if closed."""
        if not self.is_open:
            return
        self.write([encode_close(code)])
        if self._is_gone:
            return
        self._is_closing = True
        self._reader.stop()
        self._deadlines.after(_LINGER_SECONDS, self.drop)
        if self._rest is None:
            self._half_close()
        self._drain()

    def drop(self) -> None:
        """Let go of the connection now; no-op if gone."""
        if not self._is_gone:
            self._is_gone = True
            self._rest = None
            self._reactor.forget(self)
            self._socket.close()

    def _half_close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def _drain(self) -> None:
        """Read to the peer's end: closing with something unread would reset the connection, and the
        Close frame might be lost with it."""
        try:
            for _ in range(MAX_DRAIN_READS):
                if not self._socket.recv(RECEIVE_BYTES):
                    break
        except BlockingIOError:
            return
        except OSError:
            pass
        self.drop()

    def _lose(self) -> None:
        self.drop()
        self.owner.lost(self)

"""Long polls: a request that is answered when there is something to say, and what became of the answer."""

from __future__ import annotations

import _socket
import array
import contextlib
import enum
import fcntl
import socket
import termios
from collections.abc import Callable

from gevent.event import AsyncResult

from chatapp.engine.deadlines import Deadlines
from chatapp.engine.payload import SEPARATED, Content, Headers, PayloadFormat
from chatapp.engine.reactor import OUT, Reactor
from chatapp.engine.websocket import MAX_DRAIN_READS, RECEIVE_BYTES

#: How long a client may take to fetch an answer and close.
_LINGER_SECONDS = 5.0


class Fate(enum.Enum):
    """What became of an answer. While it is open, its client's TCP has yet to confirm it."""

    ARRIVED, LOST, OPEN = range(3)


class Poll:
    """A poll on a connection that was taken. It holds no greenlet.

    What was handed to it counts as lost if its connection breaks before the client has all of it.
    """

    def __init__(
        self,
        taken: _socket.socket,
        headers: Headers,
        reactor: Reactor,
        deadlines: Deadlines,
        on_lost: Callable[[Poll], None],
        payload_format: PayloadFormat = SEPARATED,
    ) -> None:
        self._socket = taken
        self._headers = headers
        self._reactor = reactor
        self._deadlines = deadlines
        self._on_lost = on_lost
        self._format = payload_format
        self._rest: bytes | None = None  # of the answer; None while there is none
        self._is_gone = False
        self._is_broken = False
        self.frames: list[bytes] = []
        reactor.watch(self)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def answer(self, frames: list[bytes]) -> None:
        """Answer with these packets."""
        self.frames = frames
        self.respond("200 OK", *self._format.encode(frames))

    def respond(self, status: str, headers: Headers, body: bytes) -> None:
        """Answer with this response."""
        fields = [*headers, ("Content-Length", str(len(body))), ("Connection", "close"), *self._headers]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        self._rest = f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body
        self._deadlines.after(_LINGER_SECONDS, self._give_up)
        self._write()

    def fate(self) -> Fate:
        """Return what became of the answer."""
        if self._is_gone:
            return Fate.LOST if self._is_broken else Fate.ARRIVED
        if self._rest:
            return Fate.LOST
        return Fate.OPEN if self._is_unacknowledged() else Fate.ARRIVED

    def ready(self, mask: int) -> None:
        """See `reactor.Watched`."""
        if mask & OUT and self._rest:
            self._write()
        if mask & ~OUT and not self._is_gone:
            self._read()

    def _write(self) -> None:
        assert self._rest is not None
        try:
            sent = self._socket.send(self._rest)
        except BlockingIOError:
            return
        except OSError:
            self._end(broken=True)
            return
        self._rest = self._rest[sent:]
        if not self._rest:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        try:
            for _ in range(MAX_DRAIN_READS):
                if not self._socket.recv(RECEIVE_BYTES):
                    break
        except BlockingIOError:
            return
        except OSError:
            self._end(broken=True)
            return
        # A clean end before all of the answer was there is one of a client that went.
        self._end(broken=bool(self._rest) or self._is_unacknowledged())

    def _give_up(self) -> None:
        if not self._is_gone:
            self._end(broken=self.fate() is not Fate.ARRIVED)

    def _end(self, *, broken: bool) -> None:
        if self._is_gone:
            return
        self._is_gone, self._is_broken = True, broken
        self._reactor.forget(self)
        self._socket.close()
        if not broken:
            self.frames = []
        if self._rest is None:
            self._on_lost(self)

    def _is_unacknowledged(self) -> bool:
        """Return whether the peer's TCP has not confirmed all of the answer (SIOCOUTQ, tcp(7)). One byte
        may be our end, which counts as one."""
        count = array.array("i", [0])
        try:
            fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, count)
        except OSError:
            return False
        return count[0] > 1


class WaitingPoll:
    """A poll whose connection cannot be taken: it waits in its greenlet. It is lost with its server."""

    def __init__(self, payload_format: PayloadFormat = SEPARATED) -> None:
        self._format = payload_format
        self._answer: AsyncResult = AsyncResult()
        self.frames: list[bytes] = []

    def answer(self, frames: list[bytes]) -> None:
        """Answer with these packets."""
        self.frames = frames
        self._answer.set(self._format.encode(frames))

    def fate(self) -> Fate:
        """Return that it arrived: nobody tells us."""
        return Fate.ARRIVED

    def wait(self) -> Content:
        """Wait for the answer."""
        content: Content = self._answer.get()
        return content

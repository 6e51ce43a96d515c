"""Frames between two processes of a host: a Unix socket, watched in the event loop, without a greenlet."""

from __future__ import annotations

import collections
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any

import gevent

from chatapp.cluster.frames import Garbage, parse_frames

logger = logging.getLogger("chatapp.cluster")

#: What may wait for the other side to read.
OUTBOX_BYTES = 8 * 2**20
#: What is read, and handled, before other sockets have their turn.
_READ_BYTES = 2**18

_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid

_READ, _WRITE = 1, 2  # as gevent's loop counts them


def peer_uid(connection: socket.socket) -> int:
    """Return which user has the other end of a Unix socket (unix(7), SO_PEERCRED)."""
    return int(_PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[1])


class Link:
    """One connection. ``on_frame(kind, body)`` runs in the event loop and may raise Garbage, which ends the
    link; ``on_end(why)`` is called once, unless `close` comes first.

    What is put in one round of the loop leaves in one write, when ``soon(call)`` calls. What the other
    side does not read waits, up to OUTBOX_BYTES; beyond that the link ends.
    """

    def __init__(
        self,
        connection: socket.socket,
        soon: Callable[[Callable[[], None]], object],
        on_frame: Callable[[int, bytes], None],
        on_end: Callable[[str], None],
    ) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._soon = soon
        self._on_frame = on_frame
        self._on_end = on_end
        self._unread = b""
        self._outbox: collections.deque[bytes] = collections.deque()
        self._begun = memoryview(b"")  # what is left of the last write
        self._outbox_bytes = 0
        self._is_due = False  # a write is coming: at the end of the round, or once the socket takes more
        self.has_ended = False
        loop = gevent.get_hub().loop
        self._reader: Any = loop.io(connection.fileno(), _READ)
        self._writer: Any = loop.io(connection.fileno(), _WRITE)
        self._reader.start(self._read)

    @property
    def waiting_bytes(self) -> int:
        """What has not been written yet."""
        return self._outbox_bytes + len(self._begun)

    def put(self, framed: bytes) -> None:
        """Send a frame soon. Never blocks or raises."""
        if self.has_ended:
            return
        self._outbox.append(framed)
        self._outbox_bytes += len(framed)
        if self.waiting_bytes > OUTBOX_BYTES:
            self.end("overflow")
        elif not self._is_due:
            self._is_due = True
            self._soon(self._flush)

    def end(self, why: str) -> None:
        """Close it, and say so to who made it."""
        if not self.has_ended:
            self.close()
            self._on_end(why)

    def close(self) -> None:
        """Close it, and drop what waits."""
        if self.has_ended:
            return
        self.has_ended = True
        for watcher in (self._reader, self._writer):
            watcher.stop()
            watcher.close()
        self._socket.close()
        self._outbox.clear()
        self._begun = memoryview(b"")
        self._outbox_bytes = 0

    def _read(self) -> None:
        try:
            piece = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.end("gone")
            return
        try:
            self._unread = parse_frames(self._unread + piece, self._take)
        except Garbage:
            if not self.has_ended:
                logger.warning("a process sent to a worker's socket what no worker sends; it is cut off")
                self.end("garbage")

    def _take(self, kind: int, body: bytes) -> None:
        if self.has_ended:
            raise Garbage  # what comes after the end counts no more
        self._on_frame(kind, body)

    def _flush(self) -> None:
        self._writer.stop()
        if self.has_ended:
            return
        if not self._begun:
            self._begun = memoryview(b"".join(self._outbox))
            self._outbox.clear()
            self._outbox_bytes = 0
        try:
            self._begun = self._begun[self._socket.send(self._begun) :]
        except BlockingIOError:
            pass
        except OSError:  # the other side has closed it; what it sent before is read to its end
            self._outbox.clear()
            self._outbox_bytes, self._begun = 0, memoryview(b"")
            return
        self._is_due = bool(self._begun or self._outbox)
        if self._is_due:
            self._writer.start(self._flush)

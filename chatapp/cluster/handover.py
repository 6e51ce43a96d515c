"""Handing a request over to the worker whose session it is for, together with its connection.

The client notices nothing: the owner of the session answers on the connection itself. A request is one
message over a connection of its own to the owner's socket ``<worker id>.hand``: a header, the request's
head as JSON, its body; the client's descriptor comes with the header (SCM_RIGHTS, unix(7)).
"""

from __future__ import annotations

import _socket
import logging
import os
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
import gevent.socket
import orjson
from gevent.pool import Pool

from chatapp.cluster.directory import WORKER_ID_LENGTH, Directory, is_worker_id

logger = logging.getLogger("chatapp.cluster")

_PURPOSE = "hand"
#: Version, bytes of the head, bytes of the body.
_HEADER = struct.Struct("!4sII")
_VERSION = b"hand"
#: gunicorn lets a request have 100 header fields of 8,190 bytes.
_MAX_HEAD_BYTES = 1024 * 1024
#: How long the kernel may take to accept a message: it does at once, unless the owner is stalled and the
#: message larger than what the kernel keeps (208 KiB).
_SEND_SECONDS = 5.0
#: How long a sibling may take to send the rest of its message.
_RECEIVE_SECONDS = 5.0
#: What is handed over is answered by so many greenlets at most; the rest waits in the kernel.
_AT_A_TIME = 1000
#: How long to wait where no descriptor is left.
_PAUSE_SECONDS = 0.1
#: ``struct ucred``: pid, uid, gid.
_CREDENTIALS = struct.Struct("3i")
#: What an answer cannot do without.
_NEEDED = frozenset({"REQUEST_METHOD", "SERVER_PROTOCOL", "QUERY_STRING"})


class Garbled(Exception):
    """What came is no request of a sibling's."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that changes workers."""

    #: Its head, in WSGI's words.
    environ: dict[str, str]
    #: Its connection is a WebSocket already: the server that took it has made the handshake.
    is_websocket: bool
    body: bytes = b""


class Handover:
    """Hands requests over to other workers, and takes theirs.

    `count` is called with ``sent``, ``received``, and ``dead`` for what could not be sent.
    """

    def __init__(
        self, directory: Directory, worker_id: str, max_body_bytes: int, count: Callable[[str], None]
    ) -> None:
        self.worker_id = worker_id
        self._directory = directory
        self._max_body_bytes = max_body_bytes
        self._count = count
        self._listener: gevent.socket.socket | None = None
        self._accepting: Any = None
        self._answering = Pool(_AT_A_TIME)
        self._answer: Callable[[Passed, _socket.socket], None]

    def open(self, answer: Callable[[Passed, _socket.socket], None]) -> None:
        """Take requests from now on: ``answer(request, connection)`` in a greenlet of its own, which may
        block. Removes what killed workers have left. Raises HostingError."""
        self._directory.clear(_PURPOSE)
        self._answer = answer
        listener = self._directory.listen(self.worker_id, _PURPOSE)
        self._listener = gevent.socket.socket(fileno=listener.detach())
        self._accepting = gevent.spawn(self._accept)

    def retire(self) -> None:
        """Let nobody begin to hand over any more; what has begun is still taken. No-op if retired."""
        self._directory.remove(self.worker_id, _PURPOSE)

    def close(self) -> None:
        """Let go of everything. To be called after `retire`; no-op if closed."""
        if self._listener is not None:
            self._accepting.kill()
            self._answering.kill(timeout=1)
            self._listener.close()
            self._listener = None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing that was taken still waits for its answer."""
        return not self._answering

    def owner(self, sid: str) -> str | None:
        """Return the id of the other worker that this session id names, None if it names none."""
        worker_id = sid[:WORKER_ID_LENGTH]
        return worker_id if worker_id != self.worker_id and is_worker_id(worker_id) else None

    def any_other(self) -> str | None:
        """Return the id of some other worker that takes requests, None if there seems to be none."""
        others = [found for found in self._directory.workers(_PURPOSE) if found != self.worker_id]
        return random.choice(others) if others else None

    def send(self, worker_id: str, request: Passed, connection: _socket.socket) -> bool:
        """Hand a request over; return whether it was. If so its connection is that worker's, and ours is
        to be closed without a word. Waits for nothing but the kernel."""
        try:
            line = self._directory.connect(worker_id, _PURPOSE)
            if line is not None:
                with line:
                    line.settimeout(_SEND_SECONDS)
                    message = encode(request)
                    # The first byte takes the descriptor along; what is sent fresh takes one at least.
                    sent = socket.send_fds(line, [message], [connection.fileno()])
                    if sent < len(message):
                        line.sendall(memoryview(message)[sent:])
                self._count("sent")
                return True
        except OSError as error:
            logger.warning("a request could not be handed over: %s", error.strerror or error)
        self._count("dead")
        return False

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError as error:
                logger.warning("nothing can be handed over to this worker: %s", error.strerror)
                gevent.sleep(_PAUSE_SECONDS)
                continue
            self._answering.spawn(self._take, line)

    def _take(self, line: gevent.socket.socket) -> None:
        try:
            with line, gevent.Timeout(_RECEIVE_SECONDS, TimeoutError("it takes too long")):
                received = receive(line, self._max_body_bytes)
        except (Garbled, OSError) as error:
            logger.warning("what was handed over is refused: %s", error)
            return
        if received is None:
            return
        self._count("received")
        request, connection = received
        try:
            self._answer(request, connection)
        except Exception:
            logger.exception("an answer to what was handed over failed")
            connection.close()


def encode(request: Passed) -> bytes:
    """Return a request as a message."""
    head = orjson.dumps({"environ": request.environ, "is_websocket": request.is_websocket})
    return _HEADER.pack(_VERSION, len(head), len(request.body)) + head + request.body


def receive(line: Any, max_body_bytes: int) -> tuple[Passed, _socket.socket] | None:
    """Return the request that comes over a connection, and the client's connection, which does not block;
    None if nothing comes. Raises Garbled and OSError, with everything closed that had come."""
    _, uid, _ = _CREDENTIALS.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if uid != os.geteuid():
        raise Garbled("it comes from another user of this machine")
    data, descriptors, _, _ = socket.recv_fds(line, 65536, 1, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    try:
        request = parse(_read(line, data, max_body_bytes))
        if not descriptors:
            raise Garbled("it has no connection")
        connection = _socket.socket(fileno=descriptors[0])
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    connection.settimeout(0)
    return request, connection


def _read(line: Any, data: bytes, max_body_bytes: int) -> tuple[bytes, bytes]:
    """Return head and body of the message that begins with `data`."""
    buffer = bytearray(data)
    _fill(line, buffer, _HEADER.size)
    version, head_bytes, body_bytes = _HEADER.unpack_from(buffer)
    if version != _VERSION:
        raise Garbled("it is no request")
    if head_bytes > _MAX_HEAD_BYTES or body_bytes > max_body_bytes:
        raise Garbled("it is too big")
    end_of_head = _HEADER.size + head_bytes
    _fill(line, buffer, end_of_head + body_bytes)
    if len(buffer) > end_of_head + body_bytes:
        raise Garbled("something follows it")
    return bytes(buffer[_HEADER.size : end_of_head]), bytes(buffer[end_of_head:])


def _fill(line: Any, buffer: bytearray, size: int) -> None:
    while len(buffer) < size:
        data = line.recv(min(size - len(buffer), 65536))
        if not data:
            raise Garbled("it breaks off")
        buffer += data


def parse(message: tuple[bytes, bytes]) -> Passed:
    """Return the request that head and body are. Raises Garbled."""
    head, body = message
    try:
        fields = orjson.loads(head)
    except orjson.JSONDecodeError:
        raise Garbled("it is no JSON") from None
    environ = fields.get("environ") if isinstance(fields, dict) else None
    if (
        not isinstance(environ, dict)
        or not isinstance(fields.get("is_websocket"), bool)
        or not all(isinstance(value, str) for value in environ.values())
        or not environ.keys() >= _NEEDED
    ):
        raise Garbled("it is not of the shape of a request")
    return Passed(environ, fields["is_websocket"], body)

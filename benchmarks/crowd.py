"""Clients that connect and join a room, many at a time, as raw sockets."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable
from itertools import islice

from benchmarks import frames
from benchmarks.processes import BenchmarkError

#: How many are on their way in at a time: no more than the shortest of the listen queues holds, gevent's
#: of 256, beyond which the kernel lets a client wait for a second.
AT_A_TIME = 250
#: How long a server may take until the next of them hears from it.
ANSWER_SECONDS = 30
#: The first ping comes 25 seconds after a connection was made; before that nobody looks for one.
NO_PING_SECONDS = 20.0

_RECEIVE_BYTES = 65536


class _Newcomer:
    """What a client on its way in waits for, and what it answers to that."""

    def __init__(self, join: bytes) -> None:
        self._steps = [(b'"pingInterval"', frames.CONNECT), (b'40{"sid"', join), (b"430[", b"")]
        self._received = b""

    def answer(self, data: bytes) -> bytes | None:
        """Return what to send to what has come, None if it is in. Raises BenchmarkError if refused."""
        self._received += data
        head = self._received.partition(b"\r\n")
        refused = b'"ok":false' in self._received or (head[1] and b" 101 " not in head[0])
        if not data or refused:
            raise BenchmarkError(f"a client could not join: {self._received[-300:]!r}")
        (mark, reply), *later = self._steps
        at = self._received.find(mark)
        if at < 0:
            return b""
        if not later:
            return None if frames.ACK_MARK in self._received[at:] else b""
        self._steps = later
        return reply


class Crowd:
    """Connections that have joined their rooms, in the order in which they came."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        #: Tells which of the connections, by file descriptor, have something to read.
        self.poll = select.epoll()
        self._by_fd: dict[int, socket.socket] = {}
        self._newcomers: dict[int, _Newcomer] = {}
        self._pings_from = time.monotonic() + NO_PING_SECONDS

    def join_all(self, port: int, rooms: Iterable[str], prefix: str, receive_bytes: int = 0) -> None:
        """Connect once for each of `rooms`, and join it as ``<prefix><number>``.

        With `receive_bytes` the kernel keeps little for a client that does not read. Raises BenchmarkError
        if the server refuses or breaks off, and OSError if it does not answer.
        """
        queue = enumerate(rooms, len(self.connections))
        while True:
            for number, room in islice(queue, AT_A_TIME - len(self._newcomers)):
                self._enter(port, frames.join(room, f"{prefix}{number}"), receive_bytes)
            if not self._newcomers:
                break
            if not self.read_on(ANSWER_SECONDS):
                raise BenchmarkError(f"{len(self._newcomers)} clients wait for an answer to their join")

    def _enter(self, port: int, join: bytes, receive_bytes: int) -> None:
        connection = socket.socket()
        self.connections.append(connection)
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(frames.upgrade_request(port))
        connection.setblocking(False)
        fd = connection.fileno()
        self._by_fd[fd] = connection
        self._newcomers[fd] = _Newcomer(join)
        self.poll.register(connection, select.EPOLLIN)

    def read_on(self, timeout_seconds: float = 0) -> int:
        """Read what has come, drop what nobody waits for, answer pings; return how many read."""
        events = self.poll.poll(timeout_seconds)
        for fd, _ in events:
            connection = self._by_fd[fd]
            data = connection.recv(_RECEIVE_BYTES)
            newcomer = self._newcomers.get(fd)
            if newcomer is not None:
                answer = newcomer.answer(data)
                if answer is None:
                    del self._newcomers[fd]
                elif answer:
                    connection.send(answer)
            elif not data:
                raise BenchmarkError("the server closed a connection while it had nothing to say")
            elif frames.PING in data:
                self.answer_ping(fd)
        return len(events)

    def expects_pings(self) -> bool:
        """Return whether what is read has to be searched for pings yet."""
        return time.monotonic() > self._pings_from

    def answer_ping(self, fd: int) -> None:
        """Answer an Engine.IO ping; the server closes the connection if nobody does."""
        self._by_fd[fd].send(frames.PONG)

    def close(self) -> None:
        """Let go of the connections."""
        self.poll.close()
        for connection in self.connections:
            connection.close()

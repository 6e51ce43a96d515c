"""The tests' TCP proxy does to connections what it says, and nothing else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from servers import PATIENCE_SECONDS
from tcp_proxy import TcpProxy

#: Long enough for what is passed on to arrive.
MOMENT_SECONDS = 0.1


class Line:
    """A proxy, and connections through it to a listener that does not speak by itself."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.proxy = stack.enter_context(TcpProxy(self._listener.getsockname()[1]))

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Return a new connection: the client's end and the server's."""
        client = socket.create_connection(("127.0.0.1", self.proxy.port), PATIENCE_SECONDS)
        server, _ = self._listener.accept()
        for end in (client, server):
            self._stack.enter_context(end).settimeout(PATIENCE_SECONDS)
        return client, server


@pytest.fixture
def line() -> Iterator[Line]:
    with ExitStack() as stack:
        yield Line(stack)


def receive(end: socket.socket, count: int) -> bytes:
    """Return so many bytes."""
    got = b""
    while len(got) < count and (piece := end.recv(count - len(got))):
        got += piece
    return got


def is_silent(end: socket.socket) -> bool:
    """Return whether nothing comes for a moment."""
    end.settimeout(MOMENT_SECONDS)
    try:
        return not end.recv(64)
    except TimeoutError:
        return True
    finally:
        end.settimeout(PATIENCE_SECONDS)


def test_both_ways_are_open(line: Line) -> None:
    client, server = line.connect()
    client.sendall(b"question")
    assert server.recv(64) == b"question"
    server.sendall(b"answer")
    assert client.recv(64) == b"answer"
    client.close()
    assert server.recv(64) == b""


def test_answers_alone_can_be_swallowed_until_all_is_cut(line: Line) -> None:
    client, server = line.connect()
    line.proxy.swallow(only_answers=True)
    client.sendall(b"question")
    assert server.recv(64) == b"question"
    server.sendall(b"answer")
    assert is_silent(client)
    line.proxy.cut()
    for end in (client, server):
        with pytest.raises(ConnectionResetError):
            end.recv(64)
    client, server = line.connect()
    server.sendall(b"answer")
    assert client.recv(64) == b"answer"


def test_a_stall_loses_nothing(line: Line) -> None:
    client, server = line.connect()
    line.proxy.stall()
    late_client, late_server = line.connect()
    for end in (client, late_client):
        end.sendall(b"question")
    assert is_silent(server) and is_silent(late_server)
    client.sendall(b"s")
    line.proxy.go_on()
    assert late_server.recv(64) == b"question"
    assert receive(server, 9) == b"questions"
    server.sendall(b"answer")
    assert client.recv(64) == b"answer"


def test_a_delay_keeps_the_order(line: Line) -> None:
    client, server = line.connect()
    line.proxy.delay(MOMENT_SECONDS)
    began = time.monotonic()
    client.sendall(b"first")
    assert server.recv(64) == b"first"
    assert time.monotonic() - began >= MOMENT_SECONDS
    client.sendall(b"second")
    line.proxy.delay(0)
    client.sendall(b"third")
    client.shutdown(socket.SHUT_WR)
    assert receive(server, 11) == b"secondthird"
    assert server.recv(64) == b""

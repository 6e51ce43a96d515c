"""A WebSocket on a socket pair: what is written and kept, how it closes, when it is lost."""

from __future__ import annotations

import _socket
import os
import socket
from collections.abc import Iterator

import gevent
import pytest

from chatapp.engine.deadlines import Deadlines
from chatapp.engine.frames import (
    CLOSE,
    PROTOCOL_ERROR,
    RESTART,
    TEXT,
    Broken,
    Close,
    decode_frame,
    encode_frame,
)
from chatapp.engine.reactor import Lane, Reactor
from chatapp.engine.websocket import WebSocket
from raw_websocket import close_frame, frame

MAX_REST = 200_000
HELLO = encode_frame(TEXT, b"hello")


class Owner(Lane):
    """Reads when its turn comes, and notes what happens."""

    def __init__(self) -> None:
        super().__init__()
        self.websocket: WebSocket
        self.events: list[object] = []
        self.losses: list[str] = []

    @property
    def lane(self) -> Lane:
        return self

    def work(self) -> None:
        while self.websocket.is_readable:
            self.events += self.websocket.read()

    def lost(self, websocket: WebSocket, why: str = "lost") -> None:
        assert websocket is self.websocket
        self.losses.append(why)


class Pair:
    """Our end and the client's."""

    def __init__(self) -> None:
        self.reactor, self.deadlines = Reactor(), Deadlines()
        self.reactor.open()
        ours, self.client = socket.socketpair()
        self.client.settimeout(5)
        taken = _socket.socket(fileno=os.dup(ours.fileno()))
        taken.settimeout(0)
        ours.close()
        self.owner = Owner()
        self.websocket = self.owner.websocket = WebSocket(
            taken,
            self.owner,
            self.reactor,
            self.deadlines,
            max_bytes=1000,
            max_fragments=3,
            max_rest_bytes=MAX_REST,
        )

    def received(self) -> bytes:
        """Return all that has come, to the end of the connection."""
        data = b""
        self.client.settimeout(0)
        for _ in range(1000):
            try:
                part = self.client.recv(65536)
            except BlockingIOError:
                gevent.sleep(0.002)
                continue
            if not part:
                return data
            data += part
        raise AssertionError("the connection did not end")

    def close(self) -> None:
        self.websocket.drop()
        self.client.close()
        self.deadlines.close()
        self.reactor.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


def test_what_comes_is_read_when_the_lanes_turn_comes(pair: Pair) -> None:
    pair.client.send(frame(TEXT, b"one") + frame(TEXT, b"two")[:5])
    gevent.sleep(0.02)
    assert pair.owner.events == ["one"]
    pair.client.send(frame(TEXT, b"two")[5:])
    gevent.sleep(0.02)
    assert pair.owner.events == ["one", "two"]


def test_more_than_one_read_holds_is_read_to_its_end(pair: Pair) -> None:
    texts = ["x" * 900 for _ in range(200)]
    pair.client.sendall(b"".join(frame(TEXT, text.encode()) for text in texts))
    gevent.sleep(0.05)
    assert pair.owner.events == texts


def test_what_the_socket_does_not_take_follows_in_order(pair: Pair) -> None:
    frames = [encode_frame(TEXT, bytes([97 + number % 26]) * 1000) for number in range(100)]
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for one in frames:
        pair.websocket.write([one])
    while pair.websocket._rest is None:  # until the kernel has enough
        frames.append(encode_frame(TEXT, b"z" * 1000))
        pair.websocket.write([frames[-1]])
    pair.websocket.close(RESTART)
    data = pair.received()
    assert data == b"".join(frames) + encode_frame(CLOSE, RESTART.to_bytes(2, "big"))


def test_a_peer_that_does_not_read_is_lost_at_the_bound(pair: Pair) -> None:
    written = 0
    while not pair.owner.losses and written < 50_000_000:
        pair.websocket.write([encode_frame(TEXT, b"x" * 50_000)])
        written += 50_000
    assert pair.owner.losses == ["it does not read what it is sent"]
    assert not pair.websocket.is_open and not pair.reactor.is_watching
    pair.websocket.write([HELLO])  # no-op


def test_a_peer_that_goes_is_lost_once(pair: Pair) -> None:
    pair.client.close()
    gevent.sleep(0.02)
    pair.websocket.write([HELLO])
    gevent.sleep(0.02)
    assert pair.owner.losses == ["lost"] and not pair.reactor.is_watching


def test_closing_sends_its_code_and_waits_for_the_peers_end(pair: Pair) -> None:
    pair.websocket.write([HELLO])
    pair.websocket.close(RESTART)
    pair.websocket.close(PROTOCOL_ERROR)  # no-op
    pair.websocket.write([HELLO])  # no-op
    assert pair.received() == HELLO + encode_frame(CLOSE, RESTART.to_bytes(2, "big"))
    assert pair.reactor.is_watching
    pair.client.send(close_frame(RESTART) + frame(TEXT, b"too late"))
    pair.client.close()
    gevent.sleep(0.02)
    assert not pair.reactor.is_watching and pair.owner.events == [] and pair.owner.losses == []


def test_a_peer_that_does_not_end_is_dropped(pair: Pair) -> None:
    pair.websocket.close(RESTART)
    gevent.sleep(1.2)
    assert not pair.reactor.is_watching


def test_a_peers_close_and_a_broken_frame_are_events(pair: Pair) -> None:
    pair.client.send(close_frame(1001) + frame(TEXT, b"ignored"))
    gevent.sleep(0.02)
    assert pair.owner.events == [Close(1001)]
    other = Pair()
    other.client.send(b"\xff\xff\xff\xff")
    gevent.sleep(0.02)
    (event,) = other.owner.events
    assert isinstance(event, Broken) and event.code == PROTOCOL_ERROR
    other.close()


def test_frames_are_decoded_as_they_were_made() -> None:
    for size in (0, 1, 125, 126, 65535, 65536):
        assert decode_frame(encode_frame(TEXT, b"x" * size)) == (TEXT, b"x" * size)

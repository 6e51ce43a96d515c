"""Polls on a socket pair and on TCP: the answer, and whether its client has it."""

from __future__ import annotations

import _socket
import contextlib
import os
import socket
import struct
from collections.abc import Iterator

import gevent
import pytest

from chatapp.engine.deadlines import Deadlines
from chatapp.engine.frames import BINARY, TEXT, encode_frame
from chatapp.engine.payload import PLAIN
from chatapp.engine.polls import Fate, Poll, WaitingPoll
from chatapp.engine.reactor import Reactor

FRAMES = [encode_frame(TEXT, b"42[]"), encode_frame(BINARY, b"\x01\x02\x03\x04")]
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close resets the connection


class Held:
    """A poll that is held, over TCP, and its client."""

    def __init__(self) -> None:
        self.reactor, self.deadlines = Reactor(), Deadlines()
        self.reactor.open()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
        taken = _socket.socket(fileno=os.dup(ours.fileno()))
        taken.settimeout(0)
        ours.close()
        self.lost: list[Poll] = []
        headers = [("Access-Control-Allow-Origin", "https://a.example")]
        self.poll = Poll(taken, headers, self.reactor, self.deadlines, self.lost.append)

    def read_all(self) -> bytes:
        data = b""
        self.client.settimeout(0)
        for _ in range(1000):
            with contextlib.suppress(BlockingIOError):
                part = self.client.recv(65536)
                if not part:
                    return data
                data += part
            gevent.sleep(0.002)
        raise AssertionError("the answer has no end")


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.client.close()
    gevent.sleep(0.02)
    held.deadlines.close()
    held.reactor.close()


def test_an_answer_is_a_whole_response_and_the_end_of_its_connection(held: Held) -> None:
    held.poll.answer(FRAMES)
    head, _, body = held.read_all().partition(b"\r\n\r\n")
    assert body == b"42[]\x1ebAQIDBA=="
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert {f"Content-Length: {len(body)}", "Connection: close"} < set(lines)
    assert "Access-Control-Allow-Origin: https://a.example" in lines
    held.client.close()
    gevent.sleep(0.02)
    assert held.poll.fate() is Fate.ARRIVED and not held.reactor.is_watching and held.lost == []


def test_a_client_that_goes_before_the_answer_is_told_of(held: Held) -> None:
    held.client.close()
    gevent.sleep(0.02)
    assert held.lost == [held.poll] and not held.reactor.is_watching


def test_an_answer_to_a_connection_that_was_reset_is_lost(held: Held) -> None:
    held.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    held.poll.answer(FRAMES)
    held.client.close()  # with the answer unread
    gevent.sleep(0.02)
    assert held.poll.fate() is Fate.LOST and held.poll.frames == FRAMES


def test_an_answer_that_the_network_does_not_take_is_lost(held: Held) -> None:
    held.poll.answer([encode_frame(TEXT, b"x" * 20_000_000)])
    gevent.sleep(0.02)
    assert held.poll.fate() is Fate.LOST
    held.client.close()
    gevent.sleep(0.02)
    assert held.poll.fate() is Fate.LOST and not held.reactor.is_watching


def test_an_answer_that_waits_in_its_clients_machine_has_arrived(held: Held) -> None:
    held.poll.answer(FRAMES)
    gevent.sleep(0.02)
    assert held.poll.fate() is Fate.ARRIVED


def test_a_poll_whose_connection_cannot_be_taken_waits_for_its_answer() -> None:
    poll = WaitingPoll()
    waiting = gevent.spawn(poll.wait)
    gevent.sleep(0)
    assert not waiting.ready()
    poll.answer(FRAMES)
    assert waiting.get(timeout=1) == (PLAIN, b"42[]\x1ebAQIDBA==")
    assert poll.fate() is Fate.ARRIVED

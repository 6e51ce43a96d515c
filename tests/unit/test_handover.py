"""Requests that go from worker to worker: what arrives, what is refused, what is let go of."""

from __future__ import annotations

import _socket
import contextlib
import gc
import logging
import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import gevent.event
import gevent.socket
import orjson
import pytest

from chatapp.cluster.directory import Directory
from chatapp.cluster.handover import Handover, Passed, encode

ANN, BOB = "aaaaaaaa", "bbbbbbbb"
MAX_BODY_BYTES = 300_000
REQUEST = Passed(
    {
        "REQUEST_METHOD": "POST",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "QUERY_STRING": f"sid={BOB}x",
        "HTTP_X_NAME": "caf\xe9",
    },
    False,
    b"4\x00\xff",
)


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        gevent.sleep(0.005)
    raise AssertionError("it did not happen")


class Workers:
    """Ann, who hands over, and Bob, who answers with what he got."""

    def __init__(self, path: Path) -> None:
        self.directory = Directory(path)
        self.directory.open()
        self.counts: list[str] = []
        self.received: list[Passed] = []
        self.ann = self.worker(ANN)
        self.bob = self.worker(BOB)
        self.bob.open(self.answer)

    def worker(self, worker_id: str) -> Handover:
        return Handover(self.directory, worker_id, MAX_BODY_BYTES, self.counts.append)

    def answer(self, request: Passed, connection: _socket.socket) -> None:
        self.received.append(request)
        connection.send(b"the answer")
        connection.close()

    def send(self, request: Passed = REQUEST, to: str = BOB) -> tuple[bool, socket.socket]:
        """Hand over one end of a fresh connection; return whether it went, and the other end."""
        client, ours = socket.socketpair()
        taken = _socket.socket(fileno=ours.detach())
        with contextlib.closing(taken):
            return self.ann.send(to, request, taken), client

    def call(self, message: bytes, *descriptors: int) -> socket.socket:
        """Send Bob a message of the test's own; return what it was sent on."""
        line = self.directory.connect(BOB, "hand")
        assert line is not None
        socket.send_fds(line, [message], list(descriptors))
        return line

    def close(self) -> None:
        self.bob.retire()
        self.bob.close()
        self.directory.close()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    workers = Workers(tmp_path / "run")
    yield workers
    workers.close()


def read_all(client: socket.socket) -> bytes:
    """Read to the end, letting the workers work."""
    with gevent.socket.socket(fileno=client.detach()) as end, gevent.Timeout(10):
        data = b""
        while part := end.recv(65536):
            data += part
        return data


def is_closed(line: socket.socket) -> bool:
    try:
        return read_all(line) == b""
    except ConnectionResetError:  # with something unread
        return True


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_a_request_arrives_as_it_was_and_its_client_gets_the_owners_answer(workers: Workers) -> None:
    went, client = workers.send()
    assert went and read_all(client) == b"the answer"
    assert workers.received == [REQUEST]
    assert workers.counts == ["sent", "received"]


def test_a_websocket_that_was_greeted_already_is_one_for_its_owner(workers: Workers) -> None:
    went, client = workers.send(Passed(REQUEST.environ, True))
    assert went and read_all(client) == b"the answer"
    assert workers.received[0].is_websocket


def test_a_body_that_the_kernel_does_not_take_at_once_arrives_whole(workers: Workers) -> None:
    body = os.urandom(MAX_BODY_BYTES)  # a Unix socket keeps 208 KiB
    client, ours = socket.socketpair()
    line = gevent.socket.socket(fileno=_line(workers))
    with line:
        message = encode(Passed(REQUEST.environ, False, body))
        sent = socket.send_fds(line, [message], [ours.fileno()])
        assert sent < len(message)
        ours.close()
        line.sendall(message[sent:])
        assert read_all(client) == b"the answer"
    assert workers.received[0].body == body


def _line(workers: Workers) -> int:
    line = workers.directory.connect(BOB, "hand")
    assert line is not None
    return line.detach()


def test_a_worker_that_is_gone_is_said_so_and_forgotten(workers: Workers) -> None:
    workers.directory.listen("cccccccc", "hand").close()
    for to in ("cccccccc", "dddddddd"):
        went, client = workers.send(to=to)
        assert not went and is_closed(client)
    assert workers.counts == ["dead", "dead"]
    assert workers.directory.workers("hand") == [BOB]


def test_a_worker_that_is_too_busy_to_listen_is_not_waited_for(workers: Workers) -> None:
    waiting = []
    with workers.directory.listen("cccccccc", "hand") as listener:
        listener.listen(0)
        with pytest.raises(BlockingIOError):
            while True:
                waiting.append(workers.directory.connect("cccccccc", "hand"))
        went, client = workers.send(to="cccccccc")
        assert not went and is_closed(client)
        assert "cccccccc" in workers.directory.workers("hand")
    for line in filter(None, waiting):
        line.close()


def test_what_killed_workers_left_is_removed_when_another_begins(workers: Workers) -> None:
    workers.directory.listen("cccccccc", "hand").close()
    carol = workers.worker("dddddddd")
    carol.open(workers.answer)
    assert sorted(workers.directory.workers("hand")) == [BOB, "dddddddd"]
    carol.retire()
    carol.close()


def test_one_that_retires_takes_what_has_begun_and_nothing_more(workers: Workers) -> None:
    (went, client), (late_went, late) = workers.send(), (workers.bob.retire(), workers.send())[1]
    assert went and not late_went
    assert read_all(client) == b"the answer" and is_closed(late)
    assert workers.bob.is_quiet
    workers.bob.close()
    workers.bob.close()


def test_an_answer_that_blocks_holds_up_no_other(workers: Workers) -> None:
    go = gevent.event.Event()
    quick = workers.answer

    def answer(request: Passed, connection: _socket.socket) -> None:
        if request.is_websocket:
            go.wait()
        quick(request, connection)

    workers.bob._answer = answer
    _, slow = workers.send(Passed(REQUEST.environ, True))
    _, client = workers.send()
    assert read_all(client) == b"the answer" and not workers.bob.is_quiet
    go.set()
    assert read_all(slow) == b"the answer"


@pytest.mark.parametrize(
    ("sid", "owner"),
    [
        (BOB + "rest", BOB),
        (BOB, BOB),
        (ANN + "rest", None),  # her own
        ("", None),
        ("bbbbbbb", None),
        ("BBBBBBBBrest", None),
        ("../bbbbbbbb.hand", None),
        ("bbbb/../x", None),
        ("bbbbbbb\nrest", None),
        ("bbbbbbb\0rest", None),
        ("\u0663" * 8, None),  # digits, of another script
    ],
)
def test_an_owner_is_named_by_eight_hexadecimal_digits_and_by_nothing_else(
    workers: Workers, sid: str, owner: str | None
) -> None:
    assert workers.ann.owner(sid) == owner


def message(head: object, body: bytes = b"", version: bytes = b"hand") -> bytes:
    data = orjson.dumps(head)
    return struct.pack("!4sII", version, len(data), len(body)) + data + body


GOOD = {"environ": REQUEST.environ, "is_websocket": False}
GARBAGE = {
    "no header": (b"GET / HTTP/1.1\r\n\r\n", "it is no request"),
    "another version": (message(GOOD, version=b"hanD"), "it is no request"),
    "cut in its header": (b"hand\0\0", "it breaks off"),
    "cut in its head": (message(GOOD)[:-1], "it breaks off"),
    "more than it says": (message(GOOD) + b"x", "something follows it"),
    "a head of 4 GB": (struct.pack("!4sII", b"hand", 2**32 - 1, 0), "it is too big"),
    "a body of 4 GB": (struct.pack("!4sII", b"hand", 2, 2**32 - 1) + b"{}", "it is too big"),
    "no JSON": (struct.pack("!4sII", b"hand", 4, 0) + b"nope", "it is no JSON"),
    "half a character": (struct.pack("!4sII", b"hand", 4, 0) + b'"\xff"x', "it is no JSON"),
    "a list": (message([1]), "not of the shape"),
    "no environ": (message({"is_websocket": False}), "not of the shape"),
    "numbers": (message({**GOOD, "environ": {**REQUEST.environ, "HTTP_HOST": 1}}), "not of the shape"),
    "a flag that is a text": (message({**GOOD, "is_websocket": "no"}), "not of the shape"),
    "no method": (message({**GOOD, "environ": {"QUERY_STRING": ""}}), "not of the shape"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_request_is_refused_with_one_line_and_let_go_of(
    workers: Workers, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = descriptors()
    garbage, why = GARBAGE[name]
    client, ours = socket.socketpair()
    line = workers.call(garbage, ours.fileno())
    ours.close()
    with contextlib.suppress(BrokenPipeError):
        line.shutdown(socket.SHUT_WR)
    assert is_closed(client) and is_closed(line)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and why in record.getMessage()
    assert workers.received == [] and workers.counts == []
    assert descriptors() == before
    went, client = workers.send()  # and it goes on
    assert went and read_all(client) == b"the answer"


def test_a_request_without_its_connection_is_refused(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    line = workers.call(encode(REQUEST))
    assert is_closed(line)
    assert "it has no connection" in caplog.text and workers.received == []


def test_a_descriptor_that_is_no_socket_is_refused(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    before = descriptors()
    with open(os.devnull, "rb") as file:
        assert is_closed(workers.call(encode(REQUEST), file.fileno()))
    assert len(caplog.records) == 1 and descriptors() == before


def test_of_several_descriptors_the_first_counts_and_none_is_kept(workers: Workers) -> None:
    before = descriptors()
    client, ours = socket.socketpair()
    other_client, other = socket.socketpair()
    line = workers.call(encode(REQUEST), ours.fileno(), other.fileno())
    ours.close()
    other.close()
    assert read_all(client) == b"the answer" and is_closed(other_client) and is_closed(line)
    assert descriptors() == before


def test_who_only_knocks_is_let_go_without_a_word(workers: Workers, caplog: pytest.LogCaptureFixture) -> None:
    line = workers.directory.connect(BOB, "hand")
    assert line is not None
    line.shutdown(socket.SHUT_WR)
    assert is_closed(line) and caplog.records == []


def test_who_sends_half_a_request_and_waits_is_let_go(
    workers: Workers, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatapp.cluster.handover._RECEIVE_SECONDS", 0.05)
    client, ours = socket.socketpair()
    line = workers.call(encode(REQUEST)[:-1], ours.fileno())
    ours.close()
    assert is_closed(client) and is_closed(line)
    assert "it takes too long" in caplog.text


def test_an_answer_that_fails_is_logged_and_its_client_let_go(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(request: Passed, connection: _socket.socket) -> None:
        raise RuntimeError("a fault of ours")

    workers.bob._answer = fail
    went, client = workers.send()
    assert went and is_closed(client)
    assert "an answer to what was handed over failed" in caplog.text


def test_a_thousand_requests_leave_nothing_open(workers: Workers) -> None:
    before = descriptors()
    for _ in range(1000):
        went, client = workers.send()
        assert went and read_all(client) == b"the answer"
    wait_for(lambda: workers.bob.is_quiet)
    assert len(workers.received) == 1000 and descriptors() == before

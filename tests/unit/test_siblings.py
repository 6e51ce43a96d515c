"""The bus of one host's workers, several of them in this process: who knows whom, what comes of faults."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from chatapp.cluster.directory import Directory
from chatapp.cluster.frames import (
    HEAD,
    HEAR,
    HELLO,
    HELLO_PREFIX,
    KNOWN,
    MAX_FRAME_BYTES,
    ONCE,
    PAYLOAD,
    PURPOSE,
    frame,
)
from chatapp.cluster.link import OUTBOX_BYTES, Link
from chatapp.cluster.once import publish_once
from chatapp.cluster.siblings import SiblingBus
from servers import PATIENCE_SECONDS, ROOT


def id_of(name: str) -> str:
    """Return the worker's id that stands for a name."""
    return name.encode().hex()[:8].ljust(8, "0")


class Worker:
    """A bus and what it heard."""

    def __init__(self, path: Path, worker_id: str) -> None:
        self.got: list[bytes] = []
        self.doubts = 0
        self.bus = SiblingBus(Directory(path))
        self.bus.on_payload = self.got.append
        self.bus.on_doubt = self._doubt
        self.bus.start(id_of(worker_id))

    def _doubt(self) -> None:
        self.doubts += 1


Make = Callable[[str], Worker]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workers"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    made: list[Worker] = []

    def make(worker_id: str) -> Worker:
        made.append(Worker(path, worker_id))
        return made[-1]

    yield make
    for worker in made:
        worker.bus.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        gevent.sleep(0.001)


def stranger(path: Path, worker_id: str) -> socket.socket:
    """Return a connection to a worker from nobody yet."""
    directory = Directory(path)
    directory.open()
    connection = directory.connect(id_of(worker_id), PURPOSE)
    directory.close()
    assert connection is not None
    return connection


def test_who_starts_alone_is_alone_and_needs_no_time(make: Make, path: Path) -> None:
    one = make("one")
    assert one.bus.is_alone
    one.bus.publish(["r1"], b"x")
    assert [entry.name for entry in path.iterdir()] == [f"{id_of('one')}.bus"]
    two = make("two")
    assert not one.bus.is_alone and not two.bus.is_alone
    assert one.bus.counts.links == two.bus.counts.links == 1
    two.bus.close()
    until(lambda: one.bus.is_alone)
    assert one.bus.counts.links == 0
    assert [entry.name for entry in path.iterdir()] == [f"{id_of('one')}.bus"]


def test_a_worker_that_comes_or_goes_is_a_reason_for_doubt(make: Make) -> None:
    one = make("one")
    assert one.doubts == 0
    two = make("two")
    until(lambda: one.doubts == 1 and two.doubts == 1)
    two.bus.close()
    until(lambda: one.doubts == 2)


def test_workers_that_start_at_once_know_each_other(make: Make) -> None:
    starting = [gevent.spawn(make, f"w{number}") for number in range(6)]
    workers = [start.get(timeout=PATIENCE_SECONDS) for start in starting]
    for worker in workers:
        worker.bus.listen(["r1"])
    for worker in workers:
        worker.bus.publish(["r1"], b"from " + worker.bus.worker_id.encode())
    until(lambda: all(len(worker.got) == 5 for worker in workers))


def test_the_socket_of_a_killed_worker_is_removed(make: Make, path: Path) -> None:
    path.mkdir(mode=0o700)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path / f"{id_of('dead')}.bus"))
    left.close()
    one = make("one")
    assert one.bus.is_alone
    assert not (path / f"{id_of('dead')}.bus").exists()


def test_one_round_of_the_loop_leaves_in_one_write(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make("one"), make("two")
    two.bus.listen(["r1", "r2"])
    flushes: list[int] = []
    flush = Link._flush
    monkeypatch.setattr(Link, "_flush", lambda link: (flushes.append(link.waiting_bytes), flush(link)))
    for _ in range(100):
        one.bus.publish(["r1"], b"x")
        one.bus.publish(["r2", "*"], b"y")
    until(lambda: len(two.got) == 200)
    assert flushes == [200 * (HEAD.size + 1)]


def test_a_payload_is_sent_to_nobody_who_does_not_hear_it(make: Make) -> None:
    one, two, three = make("one"), make("two"), make("three")
    two.bus.listen(["r1"])
    one.bus.publish(["r1"], b"x" * 1000)
    assert [hearer.link.waiting_bytes > 1000 for hearer in one.bus._hearers.values() if hearer.link] == [
        True,
        False,
    ]
    until(lambda: two.got)
    assert three.got == []


def test_a_handler_that_fails_is_logged_and_costs_nobody_else_anything(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = make("one"), make("two")

    def fail(payload: bytes) -> None:
        two.got.append(payload)
        raise ValueError

    two.bus.on_payload = fail
    one.bus.publish(["*"], b"1")
    one.bus.publish(["*"], b"2")
    until(lambda: two.got == [b"1", b"2"])
    assert [record.exc_info is not None for record in caplog.records if record.levelname == "ERROR"] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        HEAD.pack(MAX_FRAME_BYTES + 1, PAYLOAD),
        frame(HELLO, b"chatapp 2 other"),
        frame(HELLO, HELLO_PREFIX + b"../other"),
        frame(PAYLOAD, b"before hello"),
        frame(HELLO, HELLO_PREFIX + b"ghost") + frame(HEAR, b"not from a speaker"),
        frame(HELLO, HELLO_PREFIX + b"-") + frame(ONCE, b""),
        frame(HELLO, HELLO_PREFIX + b"-") + frame(ONCE, b"\0\0\0\1\xff"),
        frame(99, b""),
    ],
)
def test_garbage_ends_the_link_that_it_came_by_with_one_line(
    make: Make, path: Path, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    one, two = make("one"), make("two")
    with stranger(path, "one") as connection:
        connection.sendall(sent)
        connection.setblocking(False)
        until(lambda: ends(connection))
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1 and "cut off" in warnings[0].getMessage()
    assert one.got == []
    two.bus.publish(["*"], b"still here")
    until(lambda: one.got == [b"still here"])


def ends(connection: socket.socket) -> bool:
    try:
        return connection.recv(65536) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_a_process_of_another_user_is_turned_away(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("one")
    with stranger(path, "one") as connection:
        monkeypatch.setattr("chatapp.cluster.siblings.peer_uid", lambda _: os.geteuid() + 1)
        connection.setblocking(False)
        until(lambda: ends(connection))


def test_a_worker_that_does_not_answer_is_waited_for_once_and_doubt_follows_its_answer(
    make: Make, path: Path
) -> None:
    one = make("one")
    with stranger(path, "one") as connection:
        connection.sendall(frame(HELLO, HELLO_PREFIX + b"slow"))
        connection.sendall(frame(KNOWN, number_asked(connection, "*")))
        until(lambda: one.doubts == 1)  # it has come
        began = time.monotonic()
        one.bus.listen(["r1"])
        assert 0.9 < time.monotonic() - began < 3
        assert one.doubts == 2
        began = time.monotonic()
        one.bus.listen(["r2"])
        assert time.monotonic() - began < 0.5
        connection.sendall(frame(KNOWN, number_asked(connection, "r1")))
        until(lambda: one.doubts == 3)
        connection.sendall(frame(KNOWN, number_asked(connection, "r2")))
        until(lambda: one.doubts == 4)
        listening = gevent.spawn(one.bus.listen, ["r3"])  # it is waited for again
        number = number_asked(connection, "r3")
        assert not listening.dead
        connection.sendall(frame(KNOWN, number))
        listening.get(timeout=PATIENCE_SECONDS)
        assert one.doubts == 4
    until(lambda: one.doubts == 5)  # it has gone


def number_asked(connection: socket.socket, topic: str) -> bytes:
    """Return the number with which a worker wants to hear this topic, once it does."""
    connection.setblocking(False)
    size = HEAD.size + 8 + len(topic)
    asked = b""

    def receive() -> bool:
        nonlocal asked
        with contextlib.suppress(BlockingIOError):
            asked += connection.recv(size - len(asked))
        return len(asked) == size

    until(receive)
    assert asked.endswith(topic.encode())
    return asked[HEAD.size : HEAD.size + 8]


def test_a_link_that_overflows_ends_and_is_made_anew_with_doubt(make: Make) -> None:
    one, two = make("one"), make("two")
    two.bus.listen(["r1"])
    until(lambda: two.doubts == 1)
    for _ in range(OUTBOX_BYTES // 100_000 + 2):  # in one round: nothing can be written meanwhile
        one.bus.publish(["r1"], b"x" * 100_000)
    assert one.bus.counts.dropped["overflow"] == 1
    assert not one.bus.is_alone
    until(lambda: two.doubts >= 2 and one.bus.counts.links == 1)
    two.got.clear()
    one.bus.publish(["r1"], b"next")
    until(lambda: two.got == [b"next"])


def test_topics_by_the_thousands_are_told_to_who_comes_later(make: Make) -> None:
    one = make("one")
    one.bus.listen([f"r{number}" for number in range(25_000)])
    two = make("two")
    for number in (0, 9_999, 10_000, 24_999):
        two.bus.publish([f"r{number}"], b"%d" % number)
    until(lambda: one.got == [b"0", b"9999", b"10000", b"24999"])


# Processes that are no workers


def send_from_elsewhere(path: Path, topics: list[str], payload: bytes) -> int:
    """Publish once from a thread without an event loop, while the buses here go on."""
    reached: list[int] = []
    thread = threading.Thread(target=lambda: reached.append(publish_once(path, topics, payload)))
    thread.start()
    until(lambda: not thread.is_alive())
    return reached[0]


def test_who_is_no_worker_can_publish_too(make: Make, path: Path) -> None:
    one, two = make("one"), make("two")
    one.bus.listen(["r1"])
    doubts = one.doubts, two.doubts
    assert send_from_elsewhere(path, ["r1"], b"x") == 2
    assert send_from_elsewhere(path, ["r1", "*"], b"y" * 10**6) == 2
    assert (one.got, two.got) == ([b"x", b"y" * 10**6], [b"y" * 10**6])
    assert (one.doubts, two.doubts) == doubts


def test_to_publish_once_where_nobody_is_or_answers_reaches_nobody_in_a_second(
    make: Make, path: Path, tmp_path: Path
) -> None:
    assert publish_once(path, ["r1"], b"x") == 0
    make("one")
    began = time.monotonic()
    assert publish_once(path, ["*"], b"x" * 10**6) == 0  # this thread is busy with asking
    assert time.monotonic() - began < 1.5
    assert publish_once(path, ["*"], b"x" * MAX_FRAME_BYTES) == 0
    open_to_all = tmp_path / "open"
    open_to_all.mkdir(mode=0o755)
    assert publish_once(open_to_all, ["*"], b"x") == 0


def test_a_script_with_or_without_gevent_publishes_once(make: Make, path: Path) -> None:
    one = make("one")
    for first in ("pass", "from gevent import monkey; monkey.patch_all()"):
        code = (
            f"{first}\nimport pathlib, sys\nfrom chatapp.cluster.once import publish_once\n"
            "print(publish_once(pathlib.Path(sys.argv[1]), ['*'], b'from a script'))"
        )
        run = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
        until(lambda run=run: run.poll() is not None)  # type: ignore[misc]
        assert run.communicate() == (b"1\n", None)
    assert one.got == [b"from a script"] * 2

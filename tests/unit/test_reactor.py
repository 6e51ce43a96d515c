"""The reactor: lanes in their order, greenlets that are used again, sockets that wake, output at the end."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator

import gevent
import pytest
from gevent.event import Event

from chatapp.engine.reactor import IN, MAX_WORKERS, Lane, Reactor


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor()
    reactor.open()
    yield reactor
    reactor.close()


class Noting(Lane):
    """A lane that notes what it did, and waits where it is told to."""

    def __init__(self, notes: list[str], name: str, wait: Event | None = None) -> None:
        super().__init__()
        self.notes, self.name, self.wait = notes, name, wait
        self.greenlets: set[int] = set()

    def work(self) -> None:
        self.greenlets.add(id(gevent.getcurrent()))
        self.notes.append(f"{self.name} begins")
        if self.wait is not None:
            self.wait.wait()
        self.notes.append(f"{self.name} ends")


def settle() -> None:
    for _ in range(5):
        gevent.sleep(0)


def test_lanes_work_in_their_order_and_share_a_greenlet(reactor: Reactor) -> None:
    notes: list[str] = []
    lanes = [Noting(notes, name) for name in "abc"]
    for lane in lanes:
        reactor.schedule(lane)
    settle()
    assert notes == [f"{name} {verb}" for name in "abc" for verb in ("begins", "ends")]
    assert len(set.union(*(lane.greenlets for lane in lanes))) == 1
    assert not reactor.is_busy


def test_a_lane_that_waits_does_not_hold_up_the_others(reactor: Reactor) -> None:
    notes: list[str] = []
    go = Event()
    slow, quick = Noting(notes, "slow", go), Noting(notes, "quick")
    reactor.schedule(slow)
    reactor.schedule(quick)
    settle()
    assert notes == ["slow begins", "quick begins", "quick ends"]
    assert reactor.is_busy
    go.set()
    settle()
    assert notes[-1] == "slow ends" and not reactor.is_busy


def test_a_lane_is_in_one_greenlets_hands_at_a_time(reactor: Reactor) -> None:
    notes: list[str] = []
    go = Event()
    lane = Noting(notes, "it", go)
    reactor.schedule(lane)
    settle()
    reactor.schedule(lane)
    reactor.schedule(lane)
    settle()
    assert notes == ["it begins"]
    go.set()
    settle()
    assert notes == ["it begins", "it ends", "it begins", "it ends"]  # twice, not three times


def test_no_more_handlers_wait_than_there_may_be(reactor: Reactor) -> None:
    notes: list[str] = []
    go = Event()
    for number in range(MAX_WORKERS + 5):
        reactor.schedule(Noting(notes, str(number), go))
    settle()
    assert len(notes) == MAX_WORKERS
    go.set()
    settle()
    assert len(notes) == 2 * (MAX_WORKERS + 5) and not reactor.is_busy


def test_a_lane_that_fails_is_logged_and_spoils_nothing(
    reactor: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Lane):
        def work(self) -> None:
            raise RuntimeError("a fault")

    notes: list[str] = []
    reactor.schedule(Failing())
    reactor.schedule(Noting(notes, "next"))
    settle()
    assert notes == ["next begins", "next ends"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


class Watching:
    def __init__(self, sock: socket.socket) -> None:
        self.socket, self.masks = sock, list[int]()

    def fileno(self) -> int:
        return self.socket.fileno()

    def ready(self, mask: int) -> None:
        self.masks.append(mask)


def test_a_socket_is_reported_once_for_what_has_come(reactor: Reactor) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watching = Watching(ours)
        reactor.watch(watching)
        gevent.sleep(0.01)
        watching.masks.clear()
        theirs.send(b"hello")
        gevent.sleep(0.01)
        assert [mask & IN for mask in watching.masks] == [IN]
        gevent.sleep(0.01)
        assert len(watching.masks) == 1
        reactor.forget(watching)
        assert not reactor.is_watching
        theirs.send(b"more")
        gevent.sleep(0.01)
        assert len(watching.masks) == 1


def test_output_is_flushed_once_at_the_end_of_the_round(reactor: Reactor) -> None:
    flushed: list[str] = []

    class Output:
        def __init__(self, name: str) -> None:
            self.name = name

        def flush(self) -> None:
            flushed.append(self.name)
            if self.name == "b":
                raise RuntimeError("a fault")

    for name in "abc":
        reactor.flush_soon(Output(name))
    assert flushed == []
    settle()
    assert flushed == ["a", "b", "c"]


def test_what_comes_after_the_end_is_done_and_opens_nothing(reactor: Reactor) -> None:
    notes: list[str] = []
    go = Event()
    reactor.schedule(Noting(notes, "slow", go))
    settle()
    reactor.close()
    descriptors = os.listdir("/proc/self/fd")
    go.set()
    reactor.soon(lambda: notes.append("soon"))
    settle()
    assert sorted(notes) == ["slow begins", "slow ends", "soon"]
    assert os.listdir("/proc/self/fd") == descriptors
    assert not reactor.is_busy

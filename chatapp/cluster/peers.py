"""The other workers of a host, as one of them sees them: those that hear it, those that it hears."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import gevent

from chatapp.cluster.frames import (
    HEAR,
    HELLO,
    HELLO_PREFIX,
    IGNORE,
    KNOWN,
    NUMBER,
    ONCE,
    ONCE_HEAD,
    ONLY_ONCE,
    PAYLOAD,
    TAKEN,
    Garbage,
    frame,
    pack_topics,
    parse_topics,
)
from chatapp.cluster.link import Link
from chatapp.metrics import BusCounts

logger = logging.getLogger("chatapp.cluster")

Soon = Callable[[Callable[[], None]], object]

#: Instead of the number of a HEAR, if more topics follow than one frame should hold.
MORE = 0
_WORKER_ID = re.compile(rb"\w{1,64}", re.ASCII)

#: Pauses between two attempts to connect to a worker that is there and has let go.
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0


class Worker(Protocol):
    """This worker, to whom the others' links report."""

    worker_id: str
    counts: BusCounts

    @property
    def soon(self) -> Soon:
        """Calls at the end of the loop's round."""

    def connect(self, worker_id: str) -> Any:
        """Return a connection to a worker; None if it is gone. Raises OSError if it has no place."""

    def forget(self, hearer: Hearer) -> None:
        """A worker is gone for good."""

    def add_topics(self, hearer: Hearer, topics: Iterable[str]) -> None:
        """A worker hears these."""

    def remove_topics(self, hearer: Hearer, topics: Iterable[str]) -> None:
        """A worker hears these no more."""

    def greet(self, speaker: Speaker) -> None:
        """A worker has said who it is: tell it what we hear."""

    def heard(self, payload: bytes) -> None:
        """A payload has come."""

    def hears(self, topics: Iterable[str]) -> bool:
        """Return whether we hear one of these."""

    def doubt(self) -> None:
        """Something may have been missed."""

    def confirmed(self) -> None:
        """A worker knows more of what we hear than before."""

    def ended(self, speaker: Speaker) -> None:
        """A worker has gone, or let go of us."""


class Hearer:
    """A worker that we publish to; connected anew as long as it is there."""

    def __init__(self, us: Worker, worker_id: str) -> None:
        self._us = us
        self.worker_id = worker_id
        self.link: Link | None = None
        self.is_greeted = False  # and has told what it hears
        self._topics: set[str] = set()
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._next_attempt: Any = None

    def connect(self) -> None:
        """Connect, or forget it if it is gone. Does not block."""
        self._next_attempt = None
        try:
            connection = self._us.connect(self.worker_id)
        except OSError:  # so many wait for it that there is no place
            self._connect_later()
            return
        if connection is None:
            self._us.forget(self)
            return
        self.link = Link(connection, self._us.soon, self._take, self._end)
        self.link.put(frame(HELLO, HELLO_PREFIX + self._us.worker_id.encode()))

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
        if self._next_attempt is not None:
            self._next_attempt.kill(block=False)

    def put(self, framed: bytes) -> None:
        """Send it a frame; no-op while there is no link."""
        if self.link is not None:
            self.link.put(framed)

    def cut_off(self, why: str) -> None:
        """Let it know that it misses something, by ending the link."""
        if self.link is not None:
            self.link.end(why)

    def _connect_later(self) -> None:
        self._next_attempt = gevent.spawn_later(self._pause_seconds, self.connect)
        self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _take(self, kind: int, body: bytes) -> None:
        if kind == HEAR and len(body) >= NUMBER.size:
            topics = parse_topics(body[NUMBER.size :])
            self._topics.update(topics)
            self._us.add_topics(self, topics)
            (number,) = NUMBER.unpack_from(body)
            if number != MORE:
                self._greeted()
                self.put(frame(KNOWN, NUMBER.pack(number)))
        elif kind == IGNORE:
            topics = parse_topics(body)
            self._topics.difference_update(topics)
            self._us.remove_topics(self, topics)
        else:
            raise Garbage

    def _greeted(self) -> None:
        if not self.is_greeted:
            self.is_greeted = True
            self._pause_seconds = _FIRST_PAUSE_SECONDS
            self._us.counts.links += 1
            logger.info("worker %s is there", self.worker_id)

    def _end(self, why: str) -> None:
        self._us.remove_topics(self, self._topics)
        self._topics.clear()
        self.link = None
        if self.is_greeted:
            self.is_greeted = False
            self._us.counts.links -= 1
            logger.info("worker %s: the link has ended (%s)", self.worker_id, why)
        if why != "gone":
            self._us.counts.dropped[why] += 1
        self._connect_later()


class Speaker:
    """A worker that publishes to us, or a process that does so once."""

    def __init__(self, us: Worker, connection: Any) -> None:
        self._us = us
        self.worker_id = ""
        self.known = 0  # the number up to which it knows what we hear
        self.is_awaited = False  # by `listen`: not before its first answer, and not while it owes one
        self._asked = 0
        self._awaited_from = 0  # the number that makes up for what it owes
        self._doubtful = 0  # up to this number `listen` has not waited
        self._is_once = False
        self._link = Link(connection, us.soon, self._take, self._end)

    def hear(self, topics: Iterable[str], number: int) -> None:
        """Tell it to let us hear these, too."""
        if self.worker_id:
            self._asked = number
            if not self.is_awaited:
                self._doubtful = number
            self._link.put(frame(HEAR, NUMBER.pack(number) + pack_topics(topics)))

    def ignore(self, topics: Iterable[str]) -> None:
        """Tell it to let us hear these no more."""
        if self.worker_id:
            self._link.put(frame(IGNORE, pack_topics(topics)))

    def await_no_more(self) -> None:
        """It did not answer in time."""
        self.is_awaited = False
        self._awaited_from = self._doubtful = self._asked

    def close(self) -> None:
        self._link.close()

    def _take(self, kind: int, body: bytes) -> None:
        if kind == PAYLOAD and self.worker_id:
            self._us.heard(body)
        elif kind == KNOWN and self.worker_id and len(body) == NUMBER.size:
            self._answered(*NUMBER.unpack(body))
        elif kind == HELLO and not self.worker_id and not self._is_once:
            self._hello(body)
        elif kind == ONCE and self._is_once and len(body) >= ONCE_HEAD.size:
            (size,) = ONCE_HEAD.unpack_from(body)
            end = ONCE_HEAD.size + size
            if self._us.hears(parse_topics(body[ONCE_HEAD.size : end])):
                self._us.heard(body[end:])
            self._link.put(frame(TAKEN, b""))
        else:
            raise Garbage

    def _hello(self, body: bytes) -> None:
        name = body.removeprefix(HELLO_PREFIX)
        self._is_once = name == ONLY_ONCE
        if name == body or not (self._is_once or _WORKER_ID.fullmatch(name)):
            raise Garbage
        if not self._is_once:
            self.worker_id = name.decode()
            self._us.greet(self)
            self._awaited_from = self._asked

    def _answered(self, number: int) -> None:
        self.known = max(self.known, number)
        if self.known >= self._awaited_from:
            self.is_awaited = True
        if number <= self._doubtful:
            self._us.doubt()
        self._us.confirmed()

    def _end(self, why: str) -> None:
        if why not in ("gone", "garbage"):
            self._us.counts.dropped[why] += 1
        self._us.ended(self)

"""The bus between the workers of one host: each connects to each, over Unix sockets in their directory."""

from __future__ import annotations

import logging
import os
import re
import struct
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import gevent
from gevent.event import Event

from chatapp.cluster.bus import ANSWER_SECONDS, EVERYONE
from chatapp.cluster.directory import Directory
from chatapp.cluster.link import MAX_FRAME_BYTES, Garbage, Link, frame, peer_uid
from chatapp.metrics import BusCounts

logger = logging.getLogger("chatapp.cluster")

#: What these sockets are called in the directory.
PURPOSE = "bus"

# Who publishes connects, and says HELLO. Who hears answers on the same connection with what it wants to
# HEAR, and is told when that is KNOWN: in one line with the payloads, so none is missed from there on.
HELLO = 1  # to the hearer: HELLO_PREFIX and the worker's id, or ONLY_ONCE
HEAR = 2  # to the speaker: a number and topics
IGNORE = 3  # to the speaker: topics
KNOWN = 4  # to the hearer: the number of a HEAR
PAYLOAD = 5  # to the hearer: a payload
ONCE = 6  # to the hearer, from who is no worker: the size of the topics, topics, a payload
TAKEN = 7  # the answer to that

HELLO_PREFIX = b"chatapp 1 "
ONLY_ONCE = b"-"
ONCE_HEAD = struct.Struct(">I")

_NUMBER = struct.Struct(">Q")
_MORE = 0  # instead of the number, if there are more topics than one frame should hold
_TOPICS_PER_FRAME = 10_000
_WORKER_ID = re.compile(rb"\w{1,64}", re.ASCII)

#: Pauses between two attempts to connect to a worker that is there and has let go.
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
#: How long a closing bus goes on writing what waits.
_GOODBYE_SECONDS = 0.5
#: How long nobody is let in when there is no descriptor left.
_NO_DESCRIPTOR_SECONDS = 0.5

_Soon = Callable[[Callable[[], None]], object]


def pack_topics(topics: Iterable[str]) -> bytes:
    """Return topics in the body of a frame."""
    return "\n".join(topics).encode()


def _parse_topics(body: bytes) -> list[str]:
    try:
        return body.decode().split("\n") if body else []
    except UnicodeDecodeError:
        raise Garbage from None


class SiblingBus:
    """A `Bus` over the sockets ``<worker id>.bus`` of a `Directory`.

    ``soon(call)`` calls at the end of the loop's round, so that what one round publishes leaves in one
    write to each worker. A worker that does not read is disconnected once 8 MiB wait for it, and doubts
    when it notices; one that does not answer a `listen` is not waited for again until it has.
    """

    def __init__(
        self, directory: Directory, soon: _Soon | None = None, counts: BusCounts | None = None
    ) -> None:
        self.on_payload: Callable[[bytes], None] = lambda _: None
        self.on_doubt: Callable[[], None] = lambda: None
        self.counts = counts or BusCounts()
        self._directory = directory
        self._given_soon = soon
        self._id = ""
        self._listener: Any = None
        self._door: Any = None  # watches it
        self._hearers: dict[str, _Hearer] = {}  # those we connect to, by their ids
        self._hearers_of: dict[str, set[_Hearer]] = {}  # by topic
        self._speakers: set[_Speaker] = set()  # those that connected to us
        self._numbers: dict[str, int] = {EVERYONE: 1}  # of the HEAR that named each topic
        self._number = 1
        self._waiters: dict[int, Event] = {}  # by the number that is to be known
        self._is_in_doubt = False  # and says so at the end of the round

    # The life of it

    def start(self, worker_id: str) -> None:
        """See `Bus`. Raises HostingError if there can be no directory."""
        self._id = worker_id
        self._directory.open()
        self._listener = self._directory.listen(worker_id, PURPOSE)
        self._listener.setblocking(False)
        self._door = gevent.get_hub().loop.io(self._listener.fileno(), 1)
        self._door.start(self._accept)
        for other in self._directory.workers(PURPOSE):
            if other != worker_id:
                self._meet(other)
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._is_met and time.monotonic() < deadline:
            gevent.sleep(0.002)

    @property
    def _is_met(self) -> bool:
        confirmed = {speaker.worker_id for speaker in self._speakers if speaker.is_awaited}
        return all(one.is_greeted and one.worker_id in confirmed for one in self._hearers.values())

    def close(self) -> None:
        """See `Bus`."""
        if self._listener is None:
            return
        self._door.stop()
        self._door.close()
        self._listener.close()
        self._listener = None
        self._directory.remove(self._id, PURPOSE)
        links = [one.link for one in self._hearers.values() if one.link is not None]
        deadline = time.monotonic() + _GOODBYE_SECONDS
        while any(link.waiting_bytes for link in links) and time.monotonic() < deadline:
            gevent.sleep(0.002)
        for hearer in self._hearers.values():
            hearer.close()
        for speaker in self._speakers:
            speaker.close()
        self._hearers.clear()
        self._hearers_of.clear()
        self._speakers.clear()
        self._wake()

    @property
    def is_alone(self) -> bool:
        """See `Bus`. Who only publishes now and then is not counted."""
        return not self._hearers and not self._speakers

    # What is heard

    def listen(self, topics: Collection[str]) -> None:
        """See `Bus`."""
        new = [topic for topic in topics if topic not in self._numbers]
        if new:
            self._number += 1
            self._numbers.update(dict.fromkeys(new, self._number))
            for speaker in self._speakers:
                speaker.hear(new, self._number)
        number = max((self._numbers[topic] for topic in topics), default=0)
        if self._lowest_known() < number:
            known = self._waiters.setdefault(number, Event())
            if not known.wait(ANSWER_SECONDS):
                self._give_up(number)

    def _give_up(self, number: int) -> None:
        for speaker in self._speakers:
            if speaker.is_awaited and speaker.known < number:
                speaker.await_no_more()
                logger.warning("worker %s does not answer; it is not waited for", speaker.worker_id)
        self._wake()
        self._doubt()

    def ignore(self, topics: Collection[str]) -> None:
        """See `Bus`."""
        gone = [topic for topic in topics if topic != EVERYONE and self._numbers.pop(topic, 0)]
        if gone:
            for speaker in self._speakers:
                speaker.ignore(gone)

    def _lowest_known(self) -> float:
        return min((one.known for one in self._speakers if one.is_awaited), default=float("inf"))

    def _wake(self) -> None:
        """Let those go on who wait for what is known now."""
        if self._waiters:
            lowest = self._lowest_known()
            for number in [number for number in self._waiters if number <= lowest]:
                self._waiters.pop(number).set()

    def _doubt(self) -> None:
        self._is_in_doubt = False
        try:
            self.on_doubt()
        except Exception:
            logger.exception("doubt was not handled")

    # What is said

    def publish(self, topics: Collection[str], payload: bytes) -> None:
        """See `Bus`."""
        counts, hearers_of = self.counts, self._hearers_of
        counts.published += 1
        if len(topics) == 1:
            (topic,) = topics
            hearers: Collection[_Hearer] = hearers_of.get(topic, ())
        else:
            hearers = set().union(*(hearers_of.get(topic, ()) for topic in topics))
        if not hearers:
            return
        if len(payload) > MAX_FRAME_BYTES:
            for hearer in list(hearers):
                hearer.cut_off("too large")
            return
        framed = frame(PAYLOAD, payload)
        for hearer in tuple(hearers):  # one that overflows goes out of the set
            hearer.put(framed)

    # Who is there

    @property
    def soon(self) -> _Soon:
        return self._given_soon or gevent.get_hub().loop.run_callback

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                logger.warning("another worker cannot be let in (%s)", error.strerror)
                self._door.stop()
                gevent.spawn_later(_NO_DESCRIPTOR_SECONDS, self._open_door)
                return
            if peer_uid(connection) != os.geteuid():
                logger.warning("a process of another user was turned away from a worker's socket")
                connection.close()
                continue
            self._speakers.add(_Speaker(self, connection))

    def _open_door(self) -> None:
        if self._listener is not None:
            self._door.start(self._accept)

    def _meet(self, worker_id: str) -> None:
        """Connect to a worker that is there; no-op if that is done, or under way."""
        if worker_id not in self._hearers and worker_id != self._id:
            self._hearers[worker_id] = hearer = _Hearer(self, worker_id)
            hearer.connect()

    # What links report

    def connect(self, worker_id: str) -> Any:
        """Return a connection to a worker; None if it is gone. Raises OSError if it has no place."""
        return self._directory.connect(worker_id, PURPOSE)

    def forget(self, hearer: _Hearer) -> None:
        """A worker is gone for good."""
        if self._hearers.get(hearer.worker_id) is hearer:
            del self._hearers[hearer.worker_id]

    def add_topics(self, hearer: _Hearer, topics: Iterable[str]) -> None:
        """A worker hears these."""
        for topic in topics:
            self._hearers_of.setdefault(topic, set()).add(hearer)

    def remove_topics(self, hearer: _Hearer, topics: Iterable[str]) -> None:
        """A worker hears these no more."""
        for topic in topics:
            hearers = self._hearers_of.get(topic)
            if hearers is not None:
                hearers.discard(hearer)
                if not hearers:
                    del self._hearers_of[topic]

    def greet(self, speaker: _Speaker) -> None:
        """A worker has said who it is: tell it what we hear, and connect to it, too."""
        self._meet(speaker.worker_id)
        topics = list(self._numbers)
        for start in range(0, len(topics), _TOPICS_PER_FRAME):
            stop = start + _TOPICS_PER_FRAME
            number = self._number if stop >= len(topics) else _MORE
            speaker.hear(topics[start:stop], number)

    def heard(self, payload: bytes) -> None:
        """A payload has come."""
        self.counts.received += 1
        try:
            self.on_payload(payload)
        except Exception:
            logger.exception("a payload was not handled")

    def hears(self, topics: Iterable[str]) -> bool:
        """Return whether we hear one of these."""
        return any(topic in self._numbers for topic in topics)

    def doubt(self) -> None:
        """Something may have been missed."""
        if not self._is_in_doubt:
            self._is_in_doubt = True
            self.soon(self._doubt)

    def confirmed(self) -> None:
        """A worker knows more of what we hear than before."""
        self._wake()

    def ended(self, speaker: _Speaker) -> None:
        """A worker has gone, or let go of us."""
        self._speakers.discard(speaker)
        self._wake()
        if speaker.worker_id:
            self.doubt()  # it may have stored what it did not live to tell


class _Hearer:
    """A worker that we publish to; connected anew as long as it is there."""

    def __init__(self, bus: SiblingBus, worker_id: str) -> None:
        self._bus = bus
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
            connection = self._bus.connect(self.worker_id)
        except OSError:  # so many wait for it that there is no place
            self._connect_later()
            return
        if connection is None:
            self._bus.forget(self)
            return
        self.link = Link(connection, self._bus.soon, self._take, self._end)
        self.link.put(frame(HELLO, HELLO_PREFIX + self._bus._id.encode()))

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
        if kind == HEAR and len(body) >= _NUMBER.size:
            topics = _parse_topics(body[_NUMBER.size :])
            self._topics.update(topics)
            self._bus.add_topics(self, topics)
            (number,) = _NUMBER.unpack_from(body)
            if number != _MORE:
                self._greeted()
                self.put(frame(KNOWN, _NUMBER.pack(number)))
        elif kind == IGNORE:
            topics = _parse_topics(body)
            self._topics.difference_update(topics)
            self._bus.remove_topics(self, topics)
        else:
            raise Garbage

    def _greeted(self) -> None:
        if not self.is_greeted:
            self.is_greeted = True
            self._pause_seconds = _FIRST_PAUSE_SECONDS
            self._bus.counts.links += 1
            logger.info("worker %s is there", self.worker_id)

    def _end(self, why: str) -> None:
        self._bus.remove_topics(self, self._topics)
        self._topics.clear()
        self.link = None
        if self.is_greeted:
            self.is_greeted = False
            self._bus.counts.links -= 1
            logger.info("worker %s: the link has ended (%s)", self.worker_id, why)
        if why != "gone":
            self._bus.counts.dropped[why] += 1
        self._connect_later()


class _Speaker:
    """A worker that publishes to us, or a process that does so once."""

    def __init__(self, bus: SiblingBus, connection: Any) -> None:
        self._bus = bus
        self.worker_id = ""
        self.known = 0  # the number up to which it knows what we hear
        self.is_awaited = False  # by `listen`: not before its first answer, and not while it owes one
        self._asked = 0
        self._awaited_from = 0  # the number that makes up for what it owes
        self._doubtful = 0  # up to this number `listen` has not waited
        self._is_once = False
        self._link = Link(connection, bus.soon, self._take, self._end)

    def hear(self, topics: Iterable[str], number: int) -> None:
        """Tell it to let us hear these, too."""
        if self.worker_id:
            self._asked = number
            if not self.is_awaited:
                self._doubtful = number
            self._link.put(frame(HEAR, _NUMBER.pack(number) + pack_topics(topics)))

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
            self._bus.heard(body)
        elif kind == KNOWN and self.worker_id and len(body) == _NUMBER.size:
            self._answered(*_NUMBER.unpack(body))
        elif kind == HELLO and not self.worker_id and not self._is_once:
            self._hello(body)
        elif kind == ONCE and self._is_once and len(body) >= ONCE_HEAD.size:
            (size,) = ONCE_HEAD.unpack_from(body)
            end = ONCE_HEAD.size + size
            if self._bus.hears(_parse_topics(body[ONCE_HEAD.size : end])):
                self._bus.heard(body[end:])
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
            self._bus.greet(self)
            self._awaited_from = self._asked

    def _answered(self, number: int) -> None:
        self.known = max(self.known, number)
        if self.known >= self._awaited_from:
            self.is_awaited = True
        if number <= self._doubtful:
            self._bus.doubt()
        self._bus.confirmed()

    def _end(self, why: str) -> None:
        if why not in ("gone", "garbage"):
            self._bus.counts.dropped[why] += 1
        self._bus.ended(self)

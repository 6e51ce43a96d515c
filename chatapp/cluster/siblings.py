"""The bus between the workers of one host: each connects to each, over Unix sockets in their directory."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import gevent
from gevent.event import Event

from chatapp.cluster.bus import ANSWER_SECONDS, EVERYONE
from chatapp.cluster.directory import Directory
from chatapp.cluster.frames import MAX_FRAME_BYTES, PAYLOAD, PURPOSE, frame
from chatapp.cluster.link import peer_uid
from chatapp.cluster.peers import MORE, Hearer, Soon, Speaker
from chatapp.metrics import BusCounts

logger = logging.getLogger("chatapp.cluster")

_TOPICS_PER_FRAME = 10_000
#: How long a closing bus goes on writing what waits.
_GOODBYE_SECONDS = 0.5
#: How long nobody is let in when there is no descriptor left.
_NO_DESCRIPTOR_SECONDS = 0.5


class SiblingBus:
    """A `Bus` over the sockets ``<worker id>.bus`` of a `Directory`.

    ``soon(call)`` calls at the end of the loop's round, so that what one round publishes leaves in one
    write to each worker. A worker that does not read is disconnected once 8 MiB wait for it, and doubts
    when it notices; one that does not answer a `listen` is not waited for again until it has.
    """

    def __init__(
        self, directory: Directory, soon: Soon | None = None, counts: BusCounts | None = None
    ) -> None:
        self.on_payload: Callable[[bytes], None] = lambda _: None
        self.on_doubt: Callable[[], None] = lambda: None
        self.counts = counts or BusCounts()
        self._directory = directory
        self._given_soon = soon
        self.worker_id = ""
        self._listener: Any = None
        self._door: Any = None  # watches it
        self._hearers: dict[str, Hearer] = {}  # those we connect to, by their ids
        self._hearers_of: dict[str, set[Hearer]] = {}  # by topic
        self._speakers: set[Speaker] = set()  # those that connected to us
        self._numbers: dict[str, int] = {EVERYONE: 1}  # of the HEAR that named each topic
        self._number = 1
        self._waiters: dict[int, Event] = {}  # by the number that is to be known
        self._is_in_doubt = False  # and says so at the end of the round

    # The life of it

    def start(self, worker_id: str) -> None:
        """See `Bus`. Raises HostingError if there can be no directory."""
        self.worker_id = worker_id
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
        self._directory.remove(self.worker_id, PURPOSE)
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
            hearers: Collection[Hearer] = hearers_of.get(topic, ())
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
    def soon(self) -> Soon:
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
            self._speakers.add(Speaker(self, connection))

    def _open_door(self) -> None:
        if self._listener is not None:
            self._door.start(self._accept)

    def _meet(self, worker_id: str) -> None:
        """Connect to a worker that is there; no-op if that is done, or under way."""
        if worker_id not in self._hearers and worker_id != self.worker_id:
            self._hearers[worker_id] = hearer = Hearer(self, worker_id)
            hearer.connect()

    # What links report

    def connect(self, worker_id: str) -> Any:
        """See `Worker`."""
        return self._directory.connect(worker_id, PURPOSE)

    def forget(self, hearer: Hearer) -> None:
        """See `Worker`."""
        if self._hearers.get(hearer.worker_id) is hearer:
            del self._hearers[hearer.worker_id]

    def add_topics(self, hearer: Hearer, topics: Iterable[str]) -> None:
        """See `Worker`."""
        for topic in topics:
            self._hearers_of.setdefault(topic, set()).add(hearer)

    def remove_topics(self, hearer: Hearer, topics: Iterable[str]) -> None:
        """See `Worker`."""
        for topic in topics:
            hearers = self._hearers_of.get(topic)
            if hearers is not None:
                hearers.discard(hearer)
                if not hearers:
                    del self._hearers_of[topic]

    def greet(self, speaker: Speaker) -> None:
        """See `Worker`."""
        self._meet(speaker.worker_id)
        topics = list(self._numbers)
        for start in range(0, len(topics), _TOPICS_PER_FRAME):
            stop = start + _TOPICS_PER_FRAME
            number = self._number if stop >= len(topics) else MORE
            speaker.hear(topics[start:stop], number)

    def heard(self, payload: bytes) -> None:
        """See `Worker`."""
        self.counts.received += 1
        try:
            self.on_payload(payload)
        except Exception:
            logger.exception("a payload was not handled")

    def hears(self, topics: Iterable[str]) -> bool:
        """See `Worker`."""
        return any(topic in self._numbers for topic in topics)

    def doubt(self) -> None:
        """See `Worker`."""
        if not self._is_in_doubt:
            self._is_in_doubt = True
            self.soon(self._doubt)

    def confirmed(self) -> None:
        """See `Worker`."""
        self._wake()

    def ended(self, speaker: Speaker) -> None:
        """See `Worker`."""
        self._speakers.discard(speaker)
        self._wake()
        if speaker.worker_id:
            self.doubt()  # it may have stored what it did not live to tell

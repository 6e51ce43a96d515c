"""The bus between hosts: Redis or Valkey, whose channels are the topics."""

from __future__ import annotations

import collections
import logging
import secrets
import time
from collections.abc import Callable, Collection
from typing import Any

import gevent
from gevent.event import Event

from chatapp.cluster.bus import ANSWER_SECONDS, EVERYONE
from chatapp.cluster.frames import MAX_FRAME_BYTES, Garbage
from chatapp.cluster.link import OUTBOX_BYTES
from chatapp.cluster.parcels import Seen, pack_parcel, parse_parcel
from chatapp.cluster.redis_connection import CHANNEL_PREFIX, Failure, open_pool, pauses
from chatapp.cluster.subscription import Subscription
from chatapp.metrics import BusCounts

logger = logging.getLogger("chatapp.cluster")

#: How long each step of `publish_once` may take.
_ONCE_SECONDS = 0.5
_GOODBYE_SECONDS = 0.5
#: How often a connection on which nothing is published is looked at.
_LOOK_SECONDS = 1.0
#: Payloads to the same topics that follow each other go out in one message of this size, messages in one
#: write of that.
_PARCEL_BYTES = 2**18
_BATCH_BYTES = 2**20


def _channels(topics: Collection[str]) -> list[str]:
    return [CHANNEL_PREFIX + topic for topic in topics]


class RedisBus:
    """A `Bus` over a server that all hosts reach.

    While the server is away nothing waits for it but what `publish` keeps, 8 MiB at most; the others
    doubt when it is back. Opens nothing before `start`. Needs a process that gevent has patched.
    """

    def __init__(self, url: str, counts: BusCounts | None = None) -> None:
        self.on_payload: Callable[[bytes], None] = lambda _: None
        self.on_doubt: Callable[[], None] = lambda: None
        self.counts = counts or BusCounts()
        self._pool = open_pool(url)
        self._id = ""
        self._seen = Seen()
        self._others: dict[str, Callable[[bytes], None]] = {}  # by channel
        self._subscription = Subscription(self._pool, self._take, self._doubt, self._count_link)
        self._subscription.add(_channels([EVERYONE]), 0)
        self._writer: Any = None
        # What waits to be published
        self._outbox: collections.deque[tuple[tuple[str, ...], bytes]] = collections.deque()
        self._outbox_bytes = 0
        self._is_due = Event()
        self._has_lost = False  # and the others have not been told yet
        self._is_writing = False

    # The life of it

    def start(self, worker_id: str) -> None:
        """See `Bus`."""
        self._id = worker_id
        self._writer = gevent.spawn(self._write)
        self._subscription.start(ANSWER_SECONDS)

    def close(self) -> None:
        """See `Bus`."""
        if self._writer is None:
            return
        deadline = time.monotonic() + _GOODBYE_SECONDS
        while (self._outbox or self._is_writing) and time.monotonic() < deadline:
            gevent.sleep(0.002)
        self._writer.kill()
        self._writer = None
        self._subscription.close()

    @property
    def is_alone(self) -> bool:
        """See `Bus`. Who else is at the server is not known."""
        return self._writer is None

    # In

    def hear_channel(self, channel: str, take: Callable[[bytes], None]) -> None:
        """Before `start`: hear a channel of somebody else, too; its messages go to `take`."""
        self._others[channel] = take
        self._subscription.add([channel], 0)

    def listen(self, topics: Collection[str]) -> None:
        """See `Bus`."""
        if not self._subscription.add(_channels(topics), ANSWER_SECONDS):
            self._doubt()

    def ignore(self, topics: Collection[str]) -> None:
        """See `Bus`."""
        self._subscription.remove(_channels([topic for topic in topics if topic != EVERYONE]))

    def _take(self, channel: str, message: bytes) -> None:
        try:
            if channel in self._others:
                self._others[channel](message)
                return
            sender, numbered = parse_parcel(message)
            if sender.partition("/")[0] == self._id:
                return
            if not numbered:
                self._doubt()
            for number, payload in numbered:
                if self._seen.is_new(sender, number):
                    self.counts.received += 1
                    self._hand_on(payload)
        except Garbage:
            if not self.counts.dropped["garbage"]:
                logger.warning("somebody publishes to channels of the chat what no worker does")
            self.counts.dropped["garbage"] += 1
        except Exception:
            logger.exception("a message of a channel was not handled")

    def _hand_on(self, payload: bytes) -> None:
        try:
            self.on_payload(payload)
        except Exception:
            logger.exception("a payload was not handled")

    def _doubt(self) -> None:
        try:
            self.on_doubt()
        except Exception:
            logger.exception("doubt was not handled")

    def _count_link(self, change: int) -> None:
        self.counts.links += change

    # Out

    def publish(self, topics: Collection[str], payload: bytes) -> None:
        """See `Bus`."""
        self.counts.published += 1
        if len(payload) > MAX_FRAME_BYTES:
            self._lose("too large", 1)
            return
        self._outbox.append((tuple(topics), payload))
        self._outbox_bytes += len(payload)
        if self._outbox_bytes > OUTBOX_BYTES:
            self._lose("overflow", len(self._outbox))
            self._outbox.clear()
            self._outbox_bytes = 0
        self._is_due.set()

    def _lose(self, why: str, count: int) -> None:
        self.counts.dropped[why] += count
        self._has_lost = True
        self._is_due.set()

    def _write(self) -> None:
        """Publish what waits, for ever."""
        incarnation = 0
        waits = pauses()
        while True:
            connection: Any = self._pool.make_connection()
            is_up = False
            try:
                connection.connect()
                is_up = True
                self._count_link(1)
                waits = pauses()
                incarnation += 1
                self._write_on(connection, f"{self._id}/{incarnation}")
            except Failure as error:
                if is_up:
                    logger.warning("the bus does not take what is published (%s)", error)
            finally:
                if is_up:
                    self._count_link(-1)
                connection.disconnect()
            gevent.sleep(next(waits))

    def _write_on(self, connection: Any, sender: str) -> None:
        """Publish what waits until the connection fails."""
        number = 0
        while True:
            if not self._outbox and not self._has_lost:
                self._is_due.wait(_LOOK_SECONDS)
            self._is_due.clear()
            if connection.can_read(0):  # it is the end of it
                return
            commands: list[tuple[str, str, bytes]] = []
            if self._has_lost:
                self._has_lost = False
                commands.append(("PUBLISH", CHANNEL_PREFIX + EVERYONE, pack_parcel(sender, ())))
            batch = self._take_batch()
            for topics, payloads in batch:
                message = pack_parcel(sender, enumerate(payloads, number))
                number += len(payloads)
                commands += [("PUBLISH", channel, message) for channel in _channels(topics)]
            if commands:
                self._is_writing = True
                try:
                    connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                    for _ in commands:
                        connection.read_response()
                except Failure:
                    self._lose("away", sum(len(payloads) for _, payloads in batch))
                    raise
                finally:
                    self._is_writing = False

    def _take_batch(self) -> list[tuple[tuple[str, ...], list[bytes]]]:
        """Return payloads from the outbox, those in one list that go to the same topics in a row."""
        batch: list[tuple[tuple[str, ...], list[bytes]]] = []
        batch_bytes = parcel_bytes = 0
        while self._outbox and batch_bytes < _BATCH_BYTES:
            topics, payload = self._outbox.popleft()
            self._outbox_bytes -= len(payload)
            batch_bytes += len(payload)
            if batch and batch[-1][0] == topics and parcel_bytes < _PARCEL_BYTES:
                batch[-1][1].append(payload)
                parcel_bytes += len(payload)
            else:
                batch.append((topics, [payload]))
                parcel_bytes = len(payload)
        return batch


def publish_once(url: str, topics: Collection[str], payload: bytes) -> int:
    """Publish from a process that is no worker, and return how many workers were reached: those of the
    topic that most hear. Takes a second at most, and never raises."""
    try:
        message = pack_parcel(f"once-{secrets.token_hex(8)}/", [(0, payload)])
        connection: Any = open_pool(url, _ONCE_SECONDS).make_connection()
        try:
            connection.connect()
            commands = [("PUBLISH", channel, message) for channel in _channels(topics)]
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return max((int(connection.read_response()) for _ in commands), default=0)
        finally:
            connection.disconnect()
    except (*Failure, ValueError):
        return 0

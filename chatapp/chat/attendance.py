"""Who is in which room in which worker: kept in the database, told by the bus, leased by a heartbeat."""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable, Collection, Iterable

import gevent
from gevent.event import Event

from chatapp.cluster.bus import Bus, room_topic
from chatapp.cluster.envelopes import PresenceNews, encode
from chatapp.domain.messages import User
from chatapp.domain.presence import Presence
from chatapp.errors import Refusal
from chatapp.log.roll import Roll
from chatapp.log.sql_workers import Elsewhere, Place, checksum

logger = logging.getLogger("chatapp.attendance")

#: A worker whose beat stands still for so long is gone, and its users with it, unless they came back
#: elsewhere: clients that lose a worker come back within 5 seconds, once there is one that takes them.
LEASE_SECONDS = 15.0
BEAT_SECONDS = 2.0
#: Until another try, when the database could not be asked.
RETRY_SECONDS = 1.0

#: Called with a room's id and a user who came into it, or left it, in another worker.
Told = Callable[[int, User], None]


class Attendance:
    """Brings `Presence` and the database's view of it together.

    What happens here is written down and then told to the others; what others tell, and what their rows say
    whenever something may have been lost, becomes part of `Presence`. A user who moves from one worker to
    another neither leaves nor joins, for whoever announces them looks at all workers.
    """

    def __init__(
        self,
        roll: Roll,
        presence: Presence,
        bus: Bus,
        *,
        on_arrival: Told,
        on_leave: Told,
        on_death: Told,
        follows: Callable[[int], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._roll = roll
        self._presence = presence
        self._bus = bus
        self._on_arrival, self._on_leave, self._on_death = on_arrival, on_leave, on_death
        self._follows = follows
        self._clock = clock
        self._worker = ""
        self._is_enlisted = False
        self._has_changed = Event()
        self._greenlets: list[gevent.Greenlet] = []
        #: By worker: its last beat, and since when it stands still.
        self._beats: dict[str, tuple[int, float]] = {}
        #: What comes while rows are being read, to be applied after them: what was read may be older.
        self._readings: dict[int, list[PresenceNews]] = {}
        presence.changes = set()

    def start(self, worker: str) -> None:
        """Begin to write and to beat, as this worker."""
        self._worker = worker
        self._greenlets = [gevent.spawn(self._write), gevent.spawn(self._beat)]

    def stop(self) -> None:
        """Stop. The rows stay until the lease is over, so that whoever comes back was never away."""
        gevent.killall(self._greenlets)
        self._greenlets = []

    def wake(self) -> None:
        """Say that somebody came or went."""
        self._has_changed.set()

    # This worker's own users

    def _write(self) -> None:
        while True:
            self._has_changed.wait()
            self._has_changed.clear()
            changes, self._presence.changes = self._presence.changes or set(), set()
            if not changes:
                continue
            arrived = [place for place in changes if self._presence.is_here_by_us(place[1], place[0])]
            gone = list(changes.difference(arrived))
            try:
                self._roll.attend(self._worker, arrived, gone)
                self._tell(arrived, gone)
            except Exception as error:
                if isinstance(error, Refusal):
                    logger.warning("who is here could not be written: %s", error.message)
                else:
                    logger.exception("who is here could not be told")
                self._presence.changes |= changes
                gevent.sleep(RETRY_SECONDS)
                self._has_changed.set()

    def _tell(self, arrived: Iterable[Place], gone: Iterable[Place]) -> None:
        if self._bus.is_alone:
            return
        rooms: dict[int, tuple[list[User], list[int]]] = collections.defaultdict(lambda: ([], []))
        for room_id, user_id in arrived:
            user = self._presence.user(user_id, room_id)
            if user is not None:
                rooms[room_id][0].append(user)
        for room_id, user_id in gone:
            rooms[room_id][1].append(user_id)
        for room_id, (users, ids) in rooms.items():
            news = PresenceNews(self._worker, room_id, users, ids)
            self._bus.publish([room_topic(room_id)], encode(news))

    # Other workers' users

    def receive(self, news: PresenceNews) -> None:
        """Take note of what another worker tells."""
        for reading in self._readings.values():
            reading.append(news)
        if self._follows(news.room_id):
            self._apply(news)

    def _apply(self, news: PresenceNews) -> None:
        for user in news.arrived:
            if self._presence.appear(news.worker, news.room_id, user):
                self._on_arrival(news.room_id, user)
        for user_id in news.gone:
            self._vanish(news.worker, news.room_id, user_id, self._on_leave)

    def _vanish(self, worker: str, room_id: int, user_id: int, tell: Told) -> None:
        gone = self._presence.vanish(worker, room_id, user_id)
        if gone is not None:
            tell(room_id, gone)

    def look(self, room_id: int) -> None:
        """Read who is in a room in other workers, for its first user in this one. May block."""
        if len(self._beats) > 1 or not self._bus.is_alone:
            self._read([room_id], lambda room_id, user: None)

    def compare(self, room_ids: Collection[int]) -> None:
        """Compare what is known of these rooms with the rows of other workers, and take it over where it
        differs. May block."""
        if not room_ids or (len(self._beats) <= 1 and self._bus.is_alone):
            return
        read = self._roll.checksums(self._worker, room_ids)
        known = {
            (room_id, worker): checksum(user_ids)
            for room_id in room_ids
            for worker, user_ids in self._presence.elsewhere(room_id).items()
        }
        differing = {key[0] for key in read.keys() | known.keys() if read.get(key) != known.get(key)}
        if differing:
            self._read(differing, self._on_arrival)

    def _read(self, room_ids: Collection[int], on_arrival: Told) -> None:
        meanwhile: list[PresenceNews] = []
        self._readings[id(meanwhile)] = meanwhile
        try:
            rows = self._roll.others(self._worker, room_ids)
        finally:
            del self._readings[id(meanwhile)]
        self._replace(room_ids, rows, on_arrival)
        for news in meanwhile:
            if news.room_id in room_ids:
                self._apply(news)

    def _replace(self, room_ids: Collection[int], rows: Iterable[Elsewhere], on_arrival: Told) -> None:
        found: dict[int, dict[str, set[int]]] = {room_id: {} for room_id in room_ids}
        for worker, room_id, user in rows:
            found[room_id].setdefault(worker, set()).add(user.id)
            if self._presence.appear(worker, room_id, user):
                on_arrival(room_id, user)
        for room_id, workers in found.items():
            for worker, user_ids in self._presence.elsewhere(room_id).items():
                for user_id in user_ids - workers.get(worker, set()):
                    self._vanish(worker, room_id, user_id, self._on_leave)

    def forget(self, room_ids: Iterable[int]) -> None:
        """Forget what other workers have in these rooms, which nobody here is in any more."""
        for room_id in room_ids:
            for worker, user_ids in self._presence.elsewhere(room_id).items():
                for user_id in user_ids:
                    self._presence.vanish(worker, room_id, user_id)

    # Leases

    def _beat(self) -> None:
        while True:
            try:
                self.beat()
            except Refusal as refusal:
                logger.warning("the heartbeat could not be written: %s", refusal.message)
            except Exception:
                logger.exception("the heartbeat failed")
            gevent.sleep(BEAT_SECONDS)

    def beat(self) -> None:
        """Renew this worker's lease, and end those that are over. May block. Raises a `Refusal`."""
        beats = self._roll.beat(self._worker)
        if beats is None:
            if self._is_enlisted:
                logger.warning("this worker was taken for dead; it writes down anew who is here")
            self._roll.enlist(self._worker)
            self._is_enlisted = True
            self._presence.changes = (self._presence.changes or set()) | set(self._presence.by_us())
            self._has_changed.set()
            return
        now = self._clock()
        known = self._beats
        self._beats = {
            worker: known[worker] if worker in known and known[worker][0] == beat else (beat, now)
            for worker, beat in beats.items()
        }
        for worker, (beat, since) in list(self._beats.items()):
            if worker != self._worker and now - since >= LEASE_SECONDS:
                if self._roll.bury(worker, beat):
                    logger.info("a worker is gone")
                    self._end(worker, self._on_death)
                self._beats.pop(worker, None)
        for worker in self._presence.workers():
            if worker not in beats:
                self._end(worker, self._on_leave)

    def _end(self, worker: str, tell: Told) -> None:
        for room_id, user_ids in self._presence.rooms_of_worker(worker).items():
            for user_id in user_ids:
                self._vanish(worker, room_id, user_id, tell)

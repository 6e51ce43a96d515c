"""Handing on, to the clients of this worker, what any worker has committed: in the order of each log."""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, Protocol

from gevent.event import Event

from chatapp.chat.delivery import Delivery
from chatapp.cluster.bus import Bus, room_topic, user_topic
from chatapp.cluster.envelopes import EntryNews, Envelope, EventNews, Part, encode
from chatapp.cluster.feed import Feed
from chatapp.domain.messages import Change, Item, Room
from chatapp.errors import Refusal
from chatapp.log.log import Entered, Followed, Log
from chatapp.log.pages import place
from chatapp.log.store import Appended
from chatapp.settings import Events
from chatapp.wire import Composer

logger = logging.getLogger("chatapp.distribution")

#: How long an entry that came too early waits for those before it, until they are read from the log. What
#: is on its way between two workers takes a millisecond or two.
GAP_SECONDS = 0.02
#: How long what others commit may wait for a commit of this worker that is under way, to leave with it in one
#: write to each client: writing is what costs.
TOGETHER_SECONDS = 0.01
#: Until another try, when the log could not be read.
RETRY_SECONDS = 0.5
#: When to look again for an entry that was told of and is not in the log: a host may tell a moment before it
#: commits.
LATE_SECONDS = (0.1, 0.5, 2.0)


class Later(Protocol):
    """Calls something in so many seconds, in the event loop."""

    def __call__(self, seconds: float, call: Callable[[], None], /) -> None: ...


class Distribution:
    """Between the log, the bus and the clients of this worker.

    What this worker commits is told to the others and, at its place in the order of its room, to its own
    clients; what others commit comes by the bus, and what the bus has lost is read from the log.
    """

    def __init__(
        self,
        *,
        log: Log,
        bus: Bus,
        delivery: Delivery,
        composer: Composer,
        events: Events,
        later: Later,
    ) -> None:
        self._log = log
        self._bus = bus
        self._delivery = delivery
        self._composer = composer
        self._events = events
        self._later = later
        self._is_shared = log.roll is not None
        self.feed = Feed()
        self._arrived: list[EntryNews] = []  # and waits for a commit of ours
        self._mending: dict[int, int] = {}  # by room id: the place up to which something is missing
        self._late: dict[int, int] = {}  # by room id: how often it was looked for what is not there yet
        self._opening: dict[int, Event] = {}  # by room id: who is asked to tell us of it
        self._entrances: collections.defaultdict[int, list[Entrance]] = collections.defaultdict(list)
        #: What was handed on while somebody was coming in: by room id, (seq, event, data).
        self._recent: dict[int, list[tuple[int, str, Any]]] = {}
        #: Users that are listened for; whether their conversations are followed.
        self._users: dict[int, bool] = {}
        self._following: dict[int, Event] = {}  # by user id
        #: Conversations that are followed, with the ids of their users; those whose place is not known yet.
        self._pairs: dict[int, frozenset[int]] = {}
        self._unplaced: set[int] = set()
        #: Entries that were read because no other worker told of them.
        self.filled = 0
        log.call_at_commit(self._take_arrived)

    # What this worker has committed

    def commit(self, room: Room, appended: Appended, skip_sid: str | None, done: Callable[[], None]) -> None:
        """Tell the other workers of an entry now, and the clients of this one at its place; `done` is called
        there, too. To be called in the order of the commits."""
        parts, seq = self.parts(room, appended), appended.entry.seq
        if not self._is_shared:
            self._hand_on(room.id, seq, parts, skip_sid, done)
            return
        if not self._bus.is_alone:
            self._publish(EntryNews(room.id, seq, parts))
        if room.pair is not None and not self.feed.follows(room.id):
            if any(self._users.get(user.id) for user in room.pair):
                self._follow_new(room.id, parts)
        if not self.feed.put(room.id, seq, partial(self._hand_on, room.id, seq, parts, skip_sid, done)):
            done()
        elif self.feed.waits_for(room.id) is not None:
            self._mend_soon(room.id, seq)

    def parts(self, room: Room, appended: Appended) -> list[Part]:
        """Return what clients are sent of an entry."""
        return self._parts(room, appended.message, appended.entry if appended.entry.kind.is_change else None)

    def _parts(self, room: Room, message: Any, change: Any) -> list[Part]:
        """Return what clients are sent: of a `change` what it made of `message`."""
        event = self._events.newmsg if change is None else self._events.changed

        def wire(reader_id: int) -> Any:
            if change is None:
                return self._composer.message(room, message, reader_id)
            return self._composer.change(room, change, message, reader_id)

        if room.pair is None:
            return [Part("r", room.id, event, wire(0))]
        return [Part("u", user_id, event, wire(user_id)) for user_id in {user.id for user in room.pair}]

    def _hand_on(
        self,
        room_id: int,
        seq: int,
        parts: Collection[Part],
        skip_sid: str | None = None,
        done: Callable[[], None] | None = None,
    ) -> None:
        self._deliver(parts, skip_sid)
        if room_id in self._entrances:
            self._recent.setdefault(room_id, []).extend((seq, part.event, part.data) for part in parts)
            for entrance in list(self._entrances[room_id]):
                entrance.look(seq)
        if done is not None:
            done()

    def _deliver(self, parts: Iterable[Part], skip_sid: str | None = None) -> None:
        for kind, number, event, data in parts:
            if kind == "r":
                self._delivery.to_room(number, event, data, skip_sid)
            else:
                self._delivery.to_user(number, event, data, skip_sid)

    # What is in no log

    def tell(self, *parts: Part, skip_sid: str | None = None) -> None:
        """Send events to those who hear them, in all workers; they may be lost on the way to others."""
        if not self._bus.is_alone:
            self._publish(EventNews(parts))
        self._deliver(parts, skip_sid)

    def _publish(self, news: EntryNews | EventNews) -> None:
        self._bus.publish({part.topic for part in news.parts}, encode(news))

    # What other workers tell

    def receive(self, news: Envelope) -> None:
        """Hand on what another worker tells, at its place."""
        if isinstance(news, EventNews):
            self._deliver(news.parts)
        elif isinstance(news, EntryNews):
            if self._log.is_committing:
                if not self._arrived:
                    self._later(TOGETHER_SECONDS, self._take_arrived)
                self._arrived.append(news)
            else:
                self._receive_entry(news)

    def _take_arrived(self) -> None:
        arrived, self._arrived = self._arrived, []
        for news in arrived:
            self._receive_entry(news)

    def _receive_entry(self, news: EntryNews) -> None:
        room_id = news.room_id
        if not self.feed.follows(room_id):
            self._follow_new(room_id, news.parts)
            if not self.feed.follows(room_id):
                return  # nobody here hears it
        if not news.is_bell:
            self.feed.put(room_id, news.seq, partial(self._hand_on, room_id, news.seq, news.parts))
            if self.feed.waits_for(room_id) is not None:
                self._mend_soon(room_id, news.seq)
        else:
            self._mend_soon(room_id, news.seq)

    def _follow_new(self, room_id: int, parts: Iterable[Part]) -> None:
        """Follow a conversation that was not there when those of its users who are here came."""
        user_ids = {part.number for part in parts if part.kind == "u"}
        known = [self._users[user_id] for user_id in user_ids if user_id in self._users]
        if known:
            self._pairs[room_id] = frozenset(user_ids)
            if any(known):
                self.feed.follow(room_id, 0)
            else:
                self.feed.follow(room_id, None)
                self._unplaced.add(room_id)

    # Filling gaps

    def _mend_soon(self, room_id: int, up_to: int, seconds: float = GAP_SECONDS) -> None:
        """Read what is missing up to this place, if it is missing still in so many seconds."""
        is_new = room_id not in self._mending
        self._mending[room_id] = max(up_to, self._mending.get(room_id, 0))
        if is_new:
            self._later(seconds, partial(self._mend, room_id))

    def _mend(self, room_id: int) -> None:
        head = self.feed.head(room_id)
        if head is None or head >= self._mending[room_id]:
            del self._mending[room_id]
            self._late.pop(room_id, None)
            return
        try:
            self._log.follow(room_id, head, partial(self._fill, room_id))
        except Refusal as refusal:
            self._fill(room_id, refusal)

    def _fill(self, room_id: int, found: Followed | Refusal) -> None:
        up_to = self._mending.pop(room_id)
        if isinstance(found, Refusal):
            self._mend_soon(room_id, up_to, RETRY_SECONDS)
            return
        room = found.room
        if room is None:
            self.feed.forget(room_id)
            return
        entries = [(place(item), partial(self._hand_on_read, room, item)) for item in found.items]
        self.feed.fill(room_id, entries, found.reached, found.last_seq)
        head = self.feed.head(room_id)
        if head is None:
            return
        if head < up_to and found.reached == found.last_seq:
            self._ring_again(room_id, up_to)
        for entrance in list(self._entrances.get(room_id, ())):
            entrance.look(head)
        if head < found.last_seq:
            self._mend_soon(room_id, found.last_seq, 0)
        elif (missing := self.feed.waits_for(room_id)) is not None:
            self._mend_soon(room_id, missing[1])

    def _ring_again(self, room_id: int, up_to: int) -> None:
        tries = self._late.get(room_id, 0)
        if tries < len(LATE_SECONDS):
            self._late[room_id] = tries + 1
            self._mend_soon(room_id, up_to, LATE_SECONDS[tries])
        else:
            del self._late[room_id]

    def _hand_on_read(self, room: Room, item: Item) -> None:
        self.filled += 1
        message, change = (item.message, item.entry) if isinstance(item, Change) else (item, None)
        self._hand_on(room.id, place(item), self._parts(room, message, change))

    # Coming in

    def entrance(self, sid: str) -> Entrance:
        """Return the means by which a client comes into a room at a place of its log."""
        return Entrance(self, sid)

    def open(self, room_id: int, look: Callable[[], None]) -> None:
        """Have others tell of a room from now on, and call ``look()`` then if they did not before. May
        block."""
        while (opening := self._opening.get(room_id)) is not None:
            opening.wait()  # who is at it may fail
        if not self._is_shared or self.feed.follows(room_id):
            return
        self.feed.follow(room_id, None)
        opening = self._opening[room_id] = Event()
        try:
            self._bus.listen([room_topic(room_id)])
            look()
        except BaseException:
            self.feed.forget(room_id)
            raise
        finally:
            del self._opening[room_id]
            opening.set()

    def follow_user(self, user_id: int) -> None:
        """Have others tell of what goes to a user from now on. May block."""
        while (following := self._following.get(user_id)) is not None:
            following.wait()  # who is at it may fail
        if not self._is_shared or self._users.get(user_id):
            return
        following = self._following[user_id] = Event()
        try:
            self._users.setdefault(user_id, False)
            self._bus.listen([user_topic(user_id)])
            self._follow_conversations([user_id])
        finally:
            del self._following[user_id]
            following.set()

    def _follow_conversations(self, user_ids: Collection[int]) -> None:
        """Follow what conversations these users have: from now on, or from the start where it has come to be
        since one of its users was last asked about."""
        for room_id, last_seq, first_id, second_id in self._log.conversations(user_ids):
            if self.feed.head(room_id) is None:
                is_new = self._users.get(first_id) or self._users.get(second_id)
                self._pairs[room_id] = frozenset((first_id, second_id))
                self._unplaced.discard(room_id)
                self.feed.follow(room_id, 0 if is_new else last_seq)
        self._users.update((user_id, True) for user_id in user_ids if user_id in self._users)
        for room_id in [
            room_id for room_id in self._unplaced if not self._pairs[room_id].isdisjoint(user_ids)
        ]:
            self._unplaced.discard(room_id)
            self.feed.follow(room_id, 0)  # it has come to be while the others were read

    # Comparing with the log

    def compare(self) -> None:
        """Compare the places of all rooms with those of the log, and read what is missing. May block."""
        if not self._is_shared:
            return
        self._follow_conversations(list(self._users))
        for room_id, last_seq in self._log.heads(list(self.feed.rooms())).items():
            head = self.feed.head(room_id)
            if head is not None and head < last_seq:
                self._mend_soon(room_id, last_seq)

    def sweep(self, is_heard: Callable[[int], bool], is_online: Callable[[int], bool]) -> list[int]:
        """Follow no more what nobody here hears. Return the rooms that were given up."""
        rooms = [
            room_id
            for room_id in self.feed.rooms()
            if room_id not in self._pairs and room_id not in self._entrances and not is_heard(room_id)
        ]
        users = [
            user_id for user_id in self._users if user_id not in self._following and not is_online(user_id)
        ]
        for user_id in users:
            del self._users[user_id]
        for room_id in rooms:
            self.feed.forget(room_id)
        for room_id, pair in list(self._pairs.items()):
            if pair.isdisjoint(self._users):
                del self._pairs[room_id]
                self._unplaced.discard(room_id)
                self.feed.forget(room_id)
        self._bus.ignore([*map(room_topic, rooms), *map(user_topic, users)])
        return rooms


class Entrance:
    """A client's way into a room, at a place of its log; `close` it at the end.

    `open` before the place is looked at, `arrive` when it is known. What is handed on in between follows.
    """

    def __init__(self, distribution: Distribution, sid: str) -> None:
        self._distribution = distribution
        self._sid = sid
        self._room_id: int | None = None
        self._last_seq = 0
        self._come_in: Callable[[], None] | None = None
        self._is_in = Event()

    def open(self, room: Room, look: Callable[[], None]) -> None:
        """Have others tell of the room, if they do not yet; ``look()`` is called then. May block."""
        self._room_id = room.id
        self._distribution._entrances[room.id].append(self)
        self._distribution.open(room.id, look)

    def arrive(self, entered: Entered, come_in: Callable[[], None]) -> None:
        """Have ``come_in()`` called as soon as all that is in the log up to `entered` was handed on."""
        distribution, room_id = self._distribution, entered.room.id
        self._last_seq, self._come_in = entered.last_seq, come_in
        if distribution._is_shared:
            distribution.feed.follow(room_id, self._last_seq)
        head = distribution.feed.head(room_id)
        if head is None or head >= self._last_seq:
            self.look(self._last_seq)
        else:
            distribution._mend_soon(room_id, self._last_seq)

    def look(self, seq: int) -> None:
        """Come in if it is time: what was handed on up to `seq` has been."""
        if self._come_in is None or seq < self._last_seq:
            return
        come_in, self._come_in = self._come_in, None
        come_in()
        distribution = self._distribution
        assert self._room_id is not None
        for place_of_it, event, data in distribution._recent.get(self._room_id, ()):
            if place_of_it > self._last_seq:
                distribution._delivery.to_connection(self._sid, event, data)
        self._is_in.set()
        self.close()

    def wait(self) -> None:
        """Wait until it has come in."""
        self._is_in.wait()

    def close(self) -> None:
        """Give it up, if it has not come in."""
        distribution, room_id = self._distribution, self._room_id
        if room_id is None:
            return
        self._room_id = None
        distribution._entrances[room_id].remove(self)
        if not distribution._entrances[room_id]:
            del distribution._entrances[room_id]
            distribution._recent.pop(room_id, None)
            if distribution.feed.follows(room_id) and distribution.feed.head(room_id) is None:
                distribution.feed.forget(room_id)  # the first to come in did not

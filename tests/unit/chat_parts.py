"""The chat put together without a network: what would be sent is noted, and the clock is the test's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gevent

from chatapp.auth import GuestTokens, SiteUser
from chatapp.chat.attendance import Attendance
from chatapp.chat.context import Context
from chatapp.chat.distribution import Distribution
from chatapp.chat.hooks import Hooks
from chatapp.chat.people import People
from chatapp.chat.reading import Reading
from chatapp.chat.rooms import Rooms
from chatapp.chat.speech import Speech
from chatapp.cluster.bus import Bus, NoBus
from chatapp.domain.presence import Presence
from chatapp.handlers import Handlers
from chatapp.housekeeping import Housekeeping
from chatapp.log.log import Log
from chatapp.log.memory import MemoryStore
from chatapp.log.store import Store
from chatapp.metrics import Metrics
from chatapp.rates import Rates
from chatapp.settings import Limits, Settings
from chatapp.wire import Composer

#: Says whose request it is: see `chatapp.auth.SiteAuth.site_user`.
SiteUsers = Callable[[dict[str, Any], object], SiteUser]


class Clock:
    """Unix time in seconds that passes when the test says so."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Outbox:
    """A `Delivery` that notes what each connection would get: ``(sid, event, data)``."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self._rooms: dict[str, list[str]] = {}

    def to_room(self, room_id: int, event: str, data: Any, skip_sid: str | None = None) -> None:
        self._to(f"room {room_id}", event, data, skip_sid)

    def to_user(self, user_id: int, event: str, data: Any, skip_sid: str | None = None) -> None:
        self._to(f"user {user_id}", event, data, skip_sid)

    def to_connection(self, sid: str, event: str, data: Any) -> None:
        self.sent.append((sid, event, data))

    def to_all(self, event: str, data: Any) -> None:
        raise NotImplementedError

    def add_to_room(self, sid: str, room_id: int) -> None:
        self._rooms.setdefault(f"room {room_id}", []).append(sid)

    def remove_from_room(self, sid: str, room_id: int) -> None:
        self._rooms[f"room {room_id}"].remove(sid)

    def add_to_user(self, sid: str, user_id: int) -> None:
        self._rooms.setdefault(f"user {user_id}", []).append(sid)

    def _to(self, group: str, event: str, data: Any, skip_sid: str | None) -> None:
        self.sent += [(sid, event, data) for sid in self._rooms.get(group, ()) if sid != skip_sid]

    def received(self, sid: str, event: str) -> list[Any]:
        """Return what a connection got of one event."""
        return [data for to, name, data in self.sent if (to, name) == (sid, event)]


@dataclass
class Parts:
    """What `ChatServer` puts together, too."""

    context: Context
    rooms: Rooms
    handlers: Handlers
    outbox: Outbox
    clock: Clock
    attendance: Attendance | None
    housekeeping: Housekeeping

    def call(self, sid: str, event: str, payload: Any) -> Any:
        """Send an event and return its acknowledgement."""
        answers: list[Any] = []
        self.handlers.dispatch(sid, event, (payload,), answers.append)
        self.context.log.wait()
        (answer,) = answers
        return answer

    def join(self, sid: str, room: str, name: str) -> Any:
        """Connect and join a room; return the acknowledgement, which has to be a success."""
        if self.context.presence.connection(sid) is None:
            self.handlers.connect(sid, {})
        answer = self.call(sid, "join room", {"roomname": room, "username": name})
        assert answer["ok"], answer
        return answer


@contextmanager
def put_together(
    settings: Settings | None = None,
    *,
    store: Store | None = None,
    site_user: SiteUsers | None = None,
    bus: Bus | None = None,
) -> Iterator[Parts]:
    """Put the parts together, for guests unless `site_user` says who is who; nothing is started."""
    settings = settings or Settings(limits=Limits(enabled=False))
    clock, outbox = Clock(), Outbox()
    log = Log(
        store or MemoryStore(),
        readers=settings.storage.readers if store is not None else 0,
        max_waiting=settings.limits.waiting_writes,
        page_limit=settings.history.page_limit,
        catch_up=settings.history.catch_up,
        page_bytes=settings.history.page_bytes,
        clock=clock,
    )
    composer = Composer(settings.message_types)
    bus = bus or NoBus()
    context = Context(
        settings=settings,
        log=log,
        presence=Presence(settings.limits.leave_grace_seconds),
        delivery=outbox,
        distribution=Distribution(
            log=log,
            bus=bus,
            delivery=outbox,
            composer=composer,
            events=settings.events,
            later=gevent.spawn_later,
        ),
        hooks=Hooks(),
        rates=Rates(settings.limits),
        metrics=Metrics(),
        composer=composer,
        clock=clock,
    )
    tokens = None if site_user else GuestTokens(lambda: "a key of sixteen characters", 1)
    people = People(context, tokens=tokens, site_user=site_user)
    rooms = Rooms(context, people)
    handlers = Handlers(context, people, rooms, Speech(context), Reading(context))
    attendance = None
    if log.roll is not None:
        attendance = Attendance(
            log.roll,
            context.presence,
            bus,
            on_arrival=rooms.has_arrived_elsewhere,
            on_leave=rooms.has_left_elsewhere,
            on_death=rooms.has_died_elsewhere,
            follows=context.distribution.feed.follows,
            clock=clock,
        )
        context.attended, context.look = attendance.wake, attendance.look
    housekeeping = Housekeeping(context, rooms, attendance)
    try:
        yield Parts(context, rooms, handlers, outbox, clock, attendance, housekeeping)
    finally:
        log.close()

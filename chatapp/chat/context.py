"""What every part of the chat works with, and where a client's requests find their room."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from chatapp.chat.delivery import Delivery
from chatapp.chat.distribution import Distribution
from chatapp.chat.hooks import Hooks
from chatapp.domain.messages import Room, User
from chatapp.domain.names import name_key, parse_room_name
from chatapp.domain.presence import Connection, Presence
from chatapp.errors import InvalidPayload, NoSuchUser, NotInRoom, Refusal
from chatapp.log.log import Log
from chatapp.metrics import Metrics
from chatapp.rates import Rates
from chatapp.settings import Settings
from chatapp.wire import Composer, Wire


class Ack(Protocol):
    """Answers a request, once, at the answer's place in the order of all that its client is sent."""

    def __call__(self, fields: Wire) -> None:
        """Acknowledge a success with these fields."""

    def refuse(self, refusal: Refusal) -> None:
        """Say why the request is not carried out. A handler may as well raise it before it returns."""


@dataclass(slots=True)
class Context:
    """The parts, put together by `ChatServer`."""

    settings: Settings
    log: Log
    presence: Presence
    delivery: Delivery
    distribution: Distribution
    hooks: Hooks
    rates: Rates
    metrics: Metrics
    composer: Composer
    clock: Callable[[], float] = time.time
    #: Called when there is something to do sooner than was said: see `Rooms.tick`.
    wake: Callable[[], None] = lambda: None
    #: Called when a user came into a room of this worker or left it: see `Attendance`.
    attended: Callable[[], None] = lambda: None
    #: Called with a room's id when its first user comes in; may block: see `Attendance.look`.
    look: Callable[[int], None] = lambda room_id: None

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        return int(self.clock() * 1000)

    def user_of(self, connection: Connection) -> User:
        """Return who this is. Raises NotInRoom while nobody knows: names come with the first join."""
        if connection.user is None:
            raise NotInRoom()
        return connection.user

    def room_of(self, connection: Connection, name: str | None) -> Room:
        """Return the room that a request means: one that its connection has joined, or one of its
        user's conversations; without a name the one joined last. Raises NotInRoom, NoSuchUser."""
        user = self.user_of(connection)
        if name is None:
            if connection.current is None:
                raise NotInRoom()
            return connection.current
        if name.startswith("@"):
            return self.conversation(user, name[1:])
        for room in connection.rooms.values():
            if room.name == name:  # as it mostly is: parsing costs 10 µs
                return room
        key = parse_room_name(name, self.settings.limits.room_characters).key
        for room in connection.rooms.values():
            if room.key == key:
                return room
        raise NotInRoom()

    def conversation(self, user: User, to: str) -> Room:
        """Return the room of `user` and whoever is called `to` now. Raises NoSuchUser."""
        other, room = self.log.find_conversation(user, name_key(to))
        if other is None:
            raise NoSuchUser(f"Nobody is called {to!r}.")
        return room or self.log.conversation(user, other)

    def online(self, users: Collection[User]) -> list[User]:
        """Return those who are here, in this worker or in any other."""
        away = {user.id for user in users if not self.presence.is_online(user.id)}
        elsewhere = self.log.roll.are_anywhere(away) if away and self.log.roll is not None else set()
        return [user for user in users if user.id not in away or user.id in elsewhere]

    def check_rate(self, kind: str, connection: Connection) -> None:
        """Count a request of the connection's user. Raises RateLimited."""
        self.rates.check(kind, connection.sid if connection.user is None else connection.user.id)

    def page_size(self, limit: int | None, default: int, most: int) -> int:
        """Return how long a page to give. Raises InvalidPayload above `most`."""
        if limit is not None and limit > most:
            raise InvalidPayload(f"limit: at most {most}")
        return limit or default

"""Who is here: users with their connections, rooms with their users, and the grace before a leave."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from chatapp.domain.messages import Room, User


@dataclass(slots=True)
class Connection:
    """One client's connection. `user` is None until it is known who that is."""

    sid: str
    user: User | None = None
    #: by room id, in the order of joining
    rooms: dict[int, Room] = field(default_factory=dict)
    #: the room joined last: where a message goes that names none
    current: Room | None = None
    #: how much of what it has sent is on its way into a log
    appending: int = 0


@dataclass(frozen=True, slots=True)
class _Some:
    """The first users of a room, at most `limit`."""

    limit: int
    ids: frozenset[int]
    users: tuple[User, ...]


class Presence:
    """What is here now. Pure: times are seconds on whatever clock the caller uses.

    A user is in a room while one of their connections is, and for `grace_seconds` after the last of
    them broke off: whoever is back by then was never away. Other workers' users are here as well, for as
    long as one of those workers says so: see `appear`.
    """

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._connections: dict[str, Connection] = {}
        self._sids: dict[int, set[str]] = {}  # by user id
        self._here: dict[int, dict[int, User]] = {}  # by room id, then user id
        self._leaving: dict[tuple[int, int], float] = {}  # (room id, user id) -> when
        self._waited_for: Counter[int] = Counter()  # user id -> rooms, above 0
        self._some: dict[int, _Some] = {}  # by room id
        self._elsewhere: dict[tuple[int, int], set[str]] = {}  # (room id, user id) -> other workers
        self._workers: dict[str, dict[int, set[int]]] = {}  # worker -> room id -> user ids
        #: Whoever came into a room or left it in this worker, as (room id, user id), since somebody emptied
        #: it; None: nobody asks.
        self.changes: set[tuple[int, int]] | None = None

    # Connections

    def connect(self, sid: str) -> Connection:
        """Add a connection."""
        connection = self._connections[sid] = Connection(sid)
        return connection

    def connection(self, sid: str) -> Connection | None:
        """Return the connection, None once it is gone."""
        return self._connections.get(sid)

    def identify(self, connection: Connection, user: User) -> None:
        """Note whose connection this is."""
        connection.user = user
        self._sids.setdefault(user.id, set()).add(connection.sid)

    def disconnect(self, sid: str, now: float) -> User | None:
        """Take a connection away. Its user leaves its rooms when the grace is over; see `expire`."""
        connection = self._connections.pop(sid, None)
        if connection is None or connection.user is None:
            return None
        user = connection.user
        self._sids[user.id].discard(sid)
        if not self._sids[user.id]:
            del self._sids[user.id]
        for room_id in connection.rooms:
            if not self._is_connected(user.id, room_id):
                if (room_id, user.id) not in self._leaving:
                    self._waited_for[user.id] += 1
                self._leaving[room_id, user.id] = now + self._grace_seconds
        return user

    # Rooms

    def join(self, connection: Connection, room: Room) -> bool:
        """Put the connection into the room. Return whether its user was not there before, in any worker."""
        assert connection.user is not None
        if self.changes is not None and not self.is_here_by_us(connection.user.id, room.id):
            self.changes.add((room.id, connection.user.id))
        connection.rooms.pop(room.id, None)  # joined again, it is the last one
        connection.rooms[room.id] = room
        connection.current = room
        user = connection.user
        self._wait_no_more(room.id, user.id)
        here = self._here.setdefault(room.id, {})
        before = here.get(user.id)
        if before != user:
            here[user.id] = user
            self._forget_some(room.id, user.id)
        return before is None

    def is_last(self, connection: Connection, room: Room) -> bool:
        """Return whether this is its user's only connection in the room, in any worker."""
        assert connection.user is not None
        return (room.id, connection.user.id) not in self._elsewhere and not any(
            room.id in other.rooms
            for other in self.connections_of(connection.user.id)
            if other is not connection
        )

    def leave(self, connection: Connection, room: Room) -> bool:
        """Take the connection out of the room. Return whether its user is gone with it, from all workers."""
        assert connection.user is not None
        connection.rooms.pop(room.id, None)
        if connection.current is not None and connection.current.id == room.id:
            connection.current = next(reversed(connection.rooms.values()), None)
        if self._is_connected(connection.user.id, room.id):
            return False
        return self._remove(room.id, connection.user.id)

    def expire(self, now: float) -> Iterator[tuple[int, User]]:
        """Take out those whose grace is over; yield room id and user of those who are gone with that."""
        for key, deadline in list(self._leaving.items()):
            if deadline <= now:
                room_id, user_id = key
                user = self._here[room_id][user_id]
                if self._remove(room_id, user_id):
                    yield room_id, user

    def next_expiry(self) -> float | None:
        """Return when `expire` has something to do next."""
        return next(iter(self._leaving.values()), None)  # the grace is the same for all

    def _remove(self, room_id: int, user_id: int) -> bool:
        """Take a user of this worker out; return whether they are gone with that."""
        self._wait_no_more(room_id, user_id)
        if self.changes is not None:
            self.changes.add((room_id, user_id))
        return (room_id, user_id) not in self._elsewhere and self._take_out(room_id, user_id) is not None

    def _take_out(self, room_id: int, user_id: int) -> User | None:
        here = self._here.get(room_id, {})
        gone = here.pop(user_id, None)
        self._forget_some(room_id, user_id)
        if not here:
            self._here.pop(room_id, None)
        return gone

    # Other workers

    def appear(self, worker: str, room_id: int, user: User) -> bool:
        """Note that another worker has a user in a room. Return whether they were not there before."""
        self._workers.setdefault(worker, {}).setdefault(room_id, set()).add(user.id)
        self._elsewhere.setdefault((room_id, user.id), set()).add(worker)
        here = self._here.setdefault(room_id, {})
        if user.id in here:
            return False
        here[user.id] = user
        self._forget_some(room_id, user.id)
        return True

    def vanish(self, worker: str, room_id: int, user_id: int) -> User | None:
        """Note that another worker has a user in a room no more. Return the user, if they are gone with
        that; None too for one of whom it was not known."""
        rooms = self._workers.get(worker, {})
        if user_id not in rooms.get(room_id, ()):
            return None
        rooms[room_id].discard(user_id)
        if not rooms[room_id]:
            del rooms[room_id]
            if not rooms:
                del self._workers[worker]
        workers = self._elsewhere[room_id, user_id]
        workers.discard(worker)
        if workers:
            return None
        del self._elsewhere[room_id, user_id]
        return None if self.is_here_by_us(user_id, room_id) else self._take_out(room_id, user_id)

    def elsewhere(self, room_id: int) -> dict[str, set[int]]:
        """Return what other workers have said of a room: worker -> user ids."""
        return {worker: set(rooms[room_id]) for worker, rooms in self._workers.items() if room_id in rooms}

    def rooms_of_worker(self, worker: str) -> dict[int, set[int]]:
        """Return what another worker has said: room id -> user ids."""
        return {room_id: set(users) for room_id, users in self._workers.get(worker, {}).items()}

    def workers(self) -> list[str]:
        """Return the other workers of which something is known."""
        return list(self._workers)

    def by_us(self) -> Iterator[tuple[int, int]]:
        """Yield (room id, user id) of all who are in rooms in this worker, waited for or connected."""
        yield from self._leaving
        seen = set()
        for connection in self._connections.values():
            if connection.user is not None:
                for room_id in connection.rooms:
                    if (room_id, connection.user.id) not in seen:
                        seen.add((room_id, connection.user.id))
                        yield room_id, connection.user.id

    def is_here_by_us(self, user_id: int, room_id: int) -> bool:
        """Return whether the user is in the room by a connection of this worker, or waited for here."""
        return (room_id, user_id) in self._leaving or self._is_connected(user_id, room_id)

    def has_room(self, room_id: int) -> bool:
        """Return whether somebody is in the room in this worker, connected or waited for."""
        return any(self.is_here_by_us(user_id, room_id) for user_id in self._here.get(room_id, ()))

    def _wait_no_more(self, room_id: int, user_id: int) -> None:
        if self._leaving.pop((room_id, user_id), None) is not None:
            self._waited_for[user_id] -= 1
            if not self._waited_for[user_id]:
                del self._waited_for[user_id]

    def _forget_some(self, room_id: int, user_id: int) -> None:
        some = self._some.get(room_id)
        if some is not None and (user_id in some.ids or len(some.ids) < some.limit):
            del self._some[room_id]

    def _is_connected(self, user_id: int, room_id: int) -> bool:
        sids = self._sids.get(user_id, ())
        return any(room_id in self._connections[sid].rooms for sid in sids)

    # Questions

    def is_online(self, user_id: int) -> bool:
        """Return whether the user is connected here, or waited for. May be asked from any thread."""
        return user_id in self._sids or user_id in self._waited_for

    def is_here(self, user_id: int, room_id: int) -> bool:
        """Return whether the user is in the room."""
        return user_id in self._here.get(room_id, ())

    def online(self, room_id: int) -> int:
        """Return how many users are in the room."""
        return len(self._here.get(room_id, ()))

    def some_members(self, room_id: int, limit: int) -> tuple[User, ...]:
        """Return up to `limit` users of the room, by name: those who came first. It is the same tuple as
        long as nothing about it changes, as in a large room seldom happens."""
        some = self._some.get(room_id)
        if some is None or some.limit != limit:
            first = list(itertools.islice(self._here.get(room_id, {}).values(), limit))
            users = tuple(sorted(first, key=_by_name))
            some = _Some(limit, frozenset(user.id for user in first), users)
            if first:
                self._some[room_id] = some
        return some.users

    def members(self, room_id: int, after: str | None, limit: int) -> tuple[list[User], bool]:
        """Return up to `limit` users of the room whose names follow `after`, and whether there are more."""
        users = sorted(self._here.get(room_id, {}).values(), key=_by_name)
        if after is not None:
            users = [user for user in users if _by_name(user) > _name_order(after)]
        return users[:limit], len(users) > limit

    def user(self, user_id: int, room_id: int) -> User | None:
        """Return a user of the room, None for one who is not in it."""
        return self._here.get(room_id, {}).get(user_id)

    def user_ids(self) -> list[int]:
        """Return the ids of all who are connected to this worker."""
        return list(self._sids)

    def connections(self) -> int:
        """Return how many connections there are."""
        return len(self._connections)

    def connections_of(self, user_id: int) -> list[Connection]:
        """Return a user's connections."""
        return [self._connections[sid] for sid in self._sids.get(user_id, ())]


def _by_name(user: User) -> tuple[str, str]:
    return _name_order(user.name)


def _name_order(name: str) -> tuple[str, str]:
    # Case folding makes one of some names that two users have: straße and strasse.
    return name.casefold(), name

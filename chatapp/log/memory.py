"""A store that keeps no entries: users, rooms and counters live as long as the process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from chatapp.domain.messages import Draft, Entry, Item, Message, Room, User, conversation_key
from chatapp.domain.names import Name, RoomName, name_key
from chatapp.errors import NameTaken, NotFound, Refusal
from chatapp.log.store import Appended, Head, Standing, new_user_id


@dataclass(slots=True)
class _User:
    user: User
    subject: str | None
    name: Name | None
    seen_at: int


@dataclass(slots=True)
class _Room:
    room: Room
    last_seq: int = 0
    last_sent_at: int = 0
    #: user id -> read mark
    members: dict[int, int] = field(default_factory=dict)


class MemoryStore:
    """See `chatapp.log.store.Store`. What it does not keep it does not find: history is empty, a
    client that comes back is told of a gap, and nothing can be edited. `tx` is None."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._users: dict[int, _User] = {}
        self._rooms: dict[int, _Room] = {}
        self._by_key: dict[str, _Room] = {}

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[None]:
        yield None

    @contextmanager
    def savepoint(self, tx: None) -> Iterator[None]:
        yield

    def close(self) -> None:
        """Nothing is open."""

    def claim_name(
        self, tx: None, name: Name, user_id: int | None, now: int, is_held: Callable[[int, int], bool]
    ) -> User:
        same = [
            known
            for known in self._users.values()
            if known.name is not None
            and known.user.id != user_id
            and (known.name.key == name.key or known.name.skeleton == name.skeleton)
        ]
        for holder in same:
            if holder.subject is not None or is_held(holder.user.id, holder.seen_at):
                raise NameTaken(f"The name {name.display!r} is taken.")
        for holder in same:
            holder.name = None
        if user_id is None or user_id not in self._users:
            return self._add_user(None, name, now)
        known = self._users[user_id]
        known.user, known.name, known.seen_at = User(user_id, name.display), name, now
        return known.user

    def sign_in(self, tx: None, subject: str, name: Name, now: int) -> User:
        known = next((known for known in self._users.values() if known.subject == subject), None)
        taken = {
            other.name.key
            for other in self._users.values()
            if other is not known and other.subject is not None and other.name is not None
        }
        numbers, wanted = count(2), name
        while name.key in taken:
            display = f"{wanted.display}-{next(numbers)}"
            name = replace(wanted, display=display, key=name_key(display))
        for other in self._users.values():
            if other is not known and other.name is not None and other.name.key == name.key:
                other.name = None
        if known is None:
            return self._add_user(subject, name, now)
        known.user, known.name, known.seen_at = User(known.user.id, name.display), name, now
        return known.user

    def known_as(self, tx: None, subject: str, name: Name) -> User | None:
        for known in self._users.values():
            if known.subject == subject and known.name is not None and known.name == name:
                return known.user
        return None

    def _add_user(self, subject: str | None, name: Name, now: int) -> User:
        user = User(new_user_id(), name.display)
        self._users[user.id] = _User(user, subject, name, now)
        return user

    def user(self, tx: None, user_id: int) -> User | None:
        known = self._users.get(user_id)
        return None if known is None else known.user

    def find_user(self, tx: None, key: str) -> User | None:
        for known in self._users.values():
            if known.name is not None and known.name.key == key:
                return known.user
        return None

    def touch(self, tx: None, user_ids: Collection[int], now: int) -> None:
        for user_id in user_ids:
            if user_id in self._users:
                self._users[user_id].seen_at = now

    def open_room(self, tx: None, name: RoomName, epoch: str) -> Room:
        return self._open(name.key, name.display, epoch, None).room

    def open_conversation(self, tx: None, first: User, second: User, epoch: str) -> Room:
        key = conversation_key(first, second)
        known = self._open(key, key, epoch, (first, second))
        for user_id in (first.id, second.id):
            known.members.setdefault(user_id, 0)
        return known.room

    def _open(self, key: str, name: str, epoch: str, pair: tuple[User, User] | None) -> _Room:
        known = self._by_key.get(key)
        if known is None:
            known = _Room(Room(next(self._ids), key, name, epoch, pair))
            self._rooms[known.room.id] = self._by_key[key] = known
        return known

    def find_room(self, tx: None, key: str) -> Room | None:
        known = self._by_key.get(key)
        return None if known is None else known.room

    def room_ids(self, tx: None) -> Iterable[int]:
        return list(self._rooms)

    def is_member(self, tx: None, room_id: int, user_id: int) -> bool:
        return user_id in self._rooms[room_id].members

    def add_member(self, tx: None, room_id: int, user_id: int) -> None:
        known = self._rooms[room_id]
        known.members.setdefault(user_id, known.last_seq)

    def remove_member(self, tx: None, room_id: int, user_id: int) -> None:
        self._rooms[room_id].members.pop(user_id, None)

    def mark_read(self, tx: None, room_id: int, user_id: int, seq: int) -> int:
        known = self._rooms[room_id]
        if user_id in known.members:
            known.members[user_id] = max(known.members[user_id], min(seq, known.last_seq))
        return known.members.get(user_id, 0)

    def read_seq(self, tx: None, room_id: int, user_id: int) -> int:
        return self._rooms[room_id].members.get(user_id, 0)

    def standings(self, tx: None, user_id: int) -> list[Standing]:
        # Unread messages are those that are kept: none.
        return [
            Standing(known.room, known.last_seq, known.members[user_id], 0)
            for known in sorted(self._rooms.values(), key=lambda known: known.last_sent_at)
            if user_id in known.members
        ]

    def append(self, tx: None, drafts: Sequence[Draft], now: int) -> list[Appended | Refusal]:
        return [self._append(draft, now) for draft in drafts]

    def _append(self, draft: Draft, now: int) -> Appended | Refusal:
        known = self._rooms.get(draft.room.id)
        if known is None or draft.target_seq is not None:
            return NotFound()
        known.last_seq += 1
        known.last_sent_at = now
        entry = Entry(
            draft.room.id,
            known.last_seq,
            draft.kind,
            draft.user,
            draft.text,
            now,
            client_id=draft.client_id,
        )
        return Appended(entry, Message(entry, entry.text))

    def head(self, tx: None, room_id: int) -> Head:
        last = self._rooms[room_id].last_seq
        return Head(last + 1, last)

    def replay(
        self, tx: None, room_id: int, after: int, before: int | None, limit: int
    ) -> tuple[list[Item], int]:
        return [], 0

    def page_back(self, tx: None, room_id: int, before: int | None, limit: int) -> list[Message]:
        return []

    def trim(self, tx: None, room_id: int, keep: int | None, since: int | None, limit: int) -> int:
        return 0

"""A store that keeps no entries: users, rooms and counters live as long as the process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import count

from chatapp.domain.messages import Draft, Entry, Item, Message, Room, User, conversation_key
from chatapp.domain.names import Name, RoomName, name_key
from chatapp.errors import NameTaken, NotFound, Refusal
from chatapp.log.store import Appended, Conversation, Head, Standing, Visit, Visited, new_user_id

_NOTHING: AbstractContextManager[None] = nullcontext()


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

    blocks = False

    def __init__(self) -> None:
        self._ids = count(1)
        self._users: dict[int, _User] = {}
        # A crowd that joins asks each of these once for each of it: no search may go through all users.
        self._by_subject: dict[str, _User] = {}
        self._by_name: dict[str, _User] = {}  # by the key of the name
        self._alike: dict[str, dict[int, _User]] = {}  # by the skeleton of the name, then user id
        self._rooms: dict[int, _Room] = {}
        self._by_key: dict[str, _Room] = {}

    def transaction(self, *, write: bool) -> AbstractContextManager[None]:
        return _NOTHING

    def savepoint(self, tx: None) -> AbstractContextManager[None]:
        return _NOTHING

    def close(self) -> None:
        """Nothing is open."""

    def claim_name(
        self, tx: None, name: Name, user_id: int | None, now: int, is_held: Callable[[int, int], bool]
    ) -> User:
        same = {**self._alike.get(name.skeleton, {})}
        if (namesake := self._by_name.get(name.key)) is not None:
            same[namesake.user.id] = namesake
        if user_id is not None:
            same.pop(user_id, None)
        for holder in same.values():
            if holder.subject is not None or is_held(holder.user.id, holder.seen_at):
                raise NameTaken(f"The name {name.display!r} is taken.")
        for holder in same.values():
            self._let_go(holder)
        if user_id is None:
            user_id = new_user_id()
        return self._name(self._users.get(user_id), None, name, now, user_id)

    def sign_in(self, tx: None, subject: str, name: Name, now: int) -> User:
        known = self._by_subject.get(subject)
        numbers, wanted = count(2), name
        while (holder := self._by_name.get(name.key)) is not None and holder is not known:
            if holder.subject is None:  # a guest: the site's own users come first
                self._let_go(holder)
                break
            display = f"{wanted.display}-{next(numbers)}"
            name = replace(wanted, display=display, key=name_key(display))
        return self._name(known, subject, name, now, new_user_id())

    def known_as(self, tx: None, subject: str, name: Name) -> User | None:
        known = self._by_subject.get(subject)
        return known.user if known is not None and known.name == name else None

    def _name(self, known: _User | None, subject: str | None, name: Name, now: int, new_id: int) -> User:
        """Give `name`, which is free, to the user, or to a new one with this id."""
        if known is None:
            known = _User(User(new_id, name.display), subject, None, now)
            self._users[known.user.id] = known
            if subject is not None:
                self._by_subject[subject] = known
        else:
            self._let_go(known)
            known.user, known.seen_at = User(known.user.id, name.display), now
        known.name = name
        self._by_name[name.key] = known
        self._alike.setdefault(name.skeleton, {})[known.user.id] = known
        return known.user

    def _let_go(self, known: _User) -> None:
        if known.name is None:
            return
        del self._by_name[known.name.key]
        alike = self._alike[known.name.skeleton]
        del alike[known.user.id]
        if not alike:
            del self._alike[known.name.skeleton]
        known.name = None

    def user(self, tx: None, user_id: int) -> User | None:
        known = self._users.get(user_id)
        return None if known is None else known.user

    def find_user(self, tx: None, key: str) -> User | None:
        known = self._by_name.get(key)
        return None if known is None else known.user

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

    def room(self, tx: None, room_id: int) -> Room | None:
        known = self._rooms.get(room_id)
        return None if known is None else known.room

    def room_ids(self, tx: None) -> Iterable[int]:
        return list(self._rooms)

    def heads(self, tx: None, room_ids: Collection[int]) -> dict[int, int]:
        return {room_id: self._rooms[room_id].last_seq for room_id in room_ids if room_id in self._rooms}

    def conversations(self, tx: None, user_ids: Collection[int]) -> list[Conversation]:
        wanted = set(user_ids)
        return [
            Conversation(room_id, known.last_seq, pair[0].id, pair[1].id)
            for room_id, known in self._rooms.items()
            if (pair := known.room.pair) is not None and wanted & {user.id for user in pair}
        ]

    def is_member(self, tx: None, room_id: int, user_id: int) -> bool:
        return user_id in self._rooms[room_id].members

    def add_member(self, tx: None, room_id: int, user_id: int) -> None:
        known = self._rooms[room_id]
        known.members.setdefault(user_id, known.last_seq)

    def visit(self, tx: None, visits: Sequence[Visit]) -> list[Visited]:
        found = []
        for room_id, user_id, joins in visits:
            if joins:
                self.add_member(tx, room_id, user_id)
            known = self._rooms[room_id]
            found.append(Visited(known.last_seq, known.members.get(user_id, 0)))
        return found

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

    def lock(self, tx: None, room_ids: Collection[int], *, others: bool) -> None:
        """There is one process."""

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

"""What a log can be asked, whatever keeps it. `SqlStore` and `MemoryStore` answer; one test suite for both.

Every verb takes `tx`, the transaction it runs in: what `Store.transaction` yields. Times are Unix
milliseconds and come from the caller.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from chatapp.domain.messages import Draft, Entry, Item, Message, Room, User
from chatapp.domain.names import Name, RoomName
from chatapp.errors import Refusal

#: They fit into SQL's BIGINT, and two alike are not to be expected.
USER_ID_BITS = 62


class Appended(NamedTuple):
    """A committed draft. `message` is the message as it is now: the new one, or the one it changed.

    `repeated`: the entry was there already, under the same user and `client_id`; nothing was stored.
    """

    entry: Entry
    message: Message | None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How a user stands with a room; `unread` counts messages of others after `read_seq`."""

    room: Room
    last_seq: int
    read_seq: int
    unread: int


@dataclass(frozen=True, slots=True)
class Head:
    """What a log reaches: entries `first_seq`..`last_seq`; empty when first is last + 1."""

    first_seq: int
    last_seq: int


def new_user_id() -> int:
    """Return a user's id: random, so that a token outlives the database it was made for as nobody's
    token, and not as that of whoever has the number in the next one."""
    return secrets.randbits(USER_ID_BITS)


class Conversation(NamedTuple):
    """A conversation: its room, the last place in its log, and the ids of its two users."""

    room_id: int
    last_seq: int
    first_id: int
    second_id: int


class Visit(NamedTuple):
    """A user who comes into a room; `joins`: is not known to be a member yet."""

    room_id: int
    user_id: int
    joins: bool


class Visited(NamedTuple):
    """What a visit finds: the room's last place, and the visitor's read mark."""

    last_seq: int
    read_seq: int


class Store(Protocol):
    """Users, rooms, memberships and logs. A verb that refuses does so before it writes anything."""

    @property
    def blocks(self) -> bool:
        """Whether a transaction blocks its thread; if not, only its greenlet."""

    def transaction(self, *, write: bool) -> AbstractContextManager[Any]:
        """Run what is inside as a whole; a `Refusal` or any other exception undoes it.

        Raises what `chatapp.log.repeats` knows where it may succeed when it is done again.
        """

    def savepoint(self, tx: Any) -> AbstractContextManager[Any]:
        """Undo only what is inside when it raises."""

    def close(self) -> None:
        """Let go of files and connections."""

    # Users

    def claim_name(
        self, tx: Any, name: Name, user_id: int | None, now: int, is_held: Callable[[int, int], bool]
    ) -> User:
        """Give `name` to the guest `user_id`, who is made if need be; to a new one, if that is None. Raises
        NameTaken.

        ``is_held(user_id, seen_at)`` says whether whoever has the name now may keep it.
        """

    def sign_in(self, tx: Any, subject: str, name: Name, now: int) -> User:
        """Return the user whom the site knows as `subject`, under the name that the site gives.

        Where another user of the site has that name already, a number is put behind it.
        """

    def known_as(self, tx: Any, subject: str, name: Name) -> User | None:
        """Return the user whom the site knows as `subject`, if this is their name already."""

    def user(self, tx: Any, user_id: int) -> User | None:
        """Return the user with this id."""

    def find_user(self, tx: Any, key: str) -> User | None:
        """Return the user who has the name with this key now."""

    def touch(self, tx: Any, user_ids: Collection[int], now: int) -> None:
        """Note that these users are here."""

    # Rooms and memberships

    def open_room(self, tx: Any, name: RoomName, epoch: str) -> Room:
        """Return the room of this name; make it, with `epoch`, if there is none."""

    def open_conversation(self, tx: Any, first: User, second: User, epoch: str) -> Room:
        """Return the conversation of two users; make it, with both as members, if there is none."""

    def find_room(self, tx: Any, key: str) -> Room | None:
        """Return the room with this key."""

    def is_member(self, tx: Any, room_id: int, user_id: int) -> bool:
        """Return whether the user belongs to the room, connected or not."""

    def add_member(self, tx: Any, room_id: int, user_id: int) -> None:
        """Make the user a member, who has read everything up to now. No-op for one who is."""

    def visit(self, tx: Any, visits: Sequence[Visit]) -> list[Visited]:
        """Make those members who join, like `add_member`, and return what each of `visits` finds. Writes
        nothing where nobody joins."""

    def remove_member(self, tx: Any, room_id: int, user_id: int) -> None:
        """End a membership. No-op without one."""

    def mark_read(self, tx: Any, room_id: int, user_id: int, seq: int) -> int:
        """Move a member's read mark forward to `seq` (at most the last), never back; return it."""

    def read_seq(self, tx: Any, room_id: int, user_id: int) -> int:
        """Return a member's read mark; 0 without one."""

    def standings(self, tx: Any, user_id: int) -> list[Standing]:
        """Return the rooms that the user belongs to, the one with the latest entry last."""

    # The log

    def lock(self, tx: Any, room_ids: Collection[int], *, others: bool) -> None:
        """Keep other processes from appending to these rooms until the transaction ends, and with `others`
        from all transactions that say so, too.

        For one that does several things: what each locks comes in no order, and two that have locked what
        the other needs wait for each other, until the database ends one."""

    def append(self, tx: Any, drafts: Sequence[Draft], now: int) -> list[Appended | Refusal]:
        """Append `drafts` in their order. One outcome each: a refusal refuses that one only."""

    def head(self, tx: Any, room_id: int) -> Head:
        """Return what the room's log reaches."""

    def replay(
        self, tx: Any, room_id: int, after: int, before: int | None, limit: int
    ) -> tuple[list[Item], int]:
        """Return what the first `limit` entries between the two places, both exclusive, are, and the
        place of the last of them (0: there is none)."""

    def page_back(self, tx: Any, room_id: int, before: int | None, limit: int) -> list[Message]:
        """Return the last `limit` messages below `before`, ascending, without the changes."""

    def room(self, tx: Any, room_id: int) -> Room | None:
        """Return the room with this id."""

    def room_ids(self, tx: Any) -> Iterable[int]:
        """Return the ids of all rooms."""

    def heads(self, tx: Any, room_ids: Collection[int]) -> dict[int, int]:
        """Return the last place in the log of each of these rooms."""

    def conversations(self, tx: Any, user_ids: Collection[int]) -> list[Conversation]:
        """Return the conversations that these users have, each once or twice."""

    def trim(self, tx: Any, room_id: int, keep: int | None, since: int | None, limit: int) -> int:
        """Delete the start of a log: all but the last `keep` entries, and what was sent before
        `since`; at most `limit` entries. Return how many went."""

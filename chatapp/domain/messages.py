"""What a room's log holds and what is made of it: drafts, entries, messages.

Drafts and entries are tuples because there is one of each for every message: a frozen dataclass takes three
times as long to make.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from chatapp.errors import Forbidden, InvalidPayload, LimitReached, NotFound


class Kind(str, enum.Enum):
    """What an entry of the log is; the value is what the database keeps."""

    MESSAGE = "message"
    NOTICE = "notice"
    EDIT = "edit"
    DELETE = "delete"
    REACT = "react"
    UNREACT = "unreact"

    #: whether the entry changes an earlier one, named by its `target_seq`
    is_change: bool

    def __init__(self, value: str) -> None:
        self.is_change = value not in ("message", "notice")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody the chat knows. The id stays for ever, the name may change hands."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Room:
    """A log and its name. `pair` holds the two users of a conversation, else None.

    Rooms are told apart by `key`. `epoch` is random and made with the room: a `seq` means something
    only together with it.
    """

    id: int
    key: str
    name: str
    epoch: str
    pair: tuple[User, User] | None = None

    def name_for(self, user_id: int) -> str:
        """The room as this user calls it: a conversation is called ``@`` and the other's name."""
        if self.pair is None:
            return self.name
        return f"@{self.other(user_id).name}"

    def other(self, user_id: int) -> User:
        """The other user of a conversation (oneself, in a conversation with oneself)."""
        assert self.pair is not None
        first, second = self.pair
        return second if first.id == user_id else first


class Draft(NamedTuple):
    """What is to be appended to a room's log. `text` is the emoji of a reaction."""

    room: Room
    user: User
    kind: Kind
    text: str = ""
    target_seq: int | None = None
    client_id: str | None = None


class Entry(NamedTuple):
    """One committed line of a room's log; `sent_at_ms` is Unix time in milliseconds."""

    room_id: int
    seq: int
    kind: Kind
    user: User
    text: str
    sent_at_ms: int
    target_seq: int | None = None
    client_id: str | None = None


@dataclass(slots=True)
class Message:
    """A message as edits, deletion and reactions have left it."""

    entry: Entry
    text: str
    edited_at_ms: int | None = None
    deleted: bool = False
    #: emoji -> ids of the users who gave it, in the order they did
    reactions: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """An entry that changed a message, with the message as it is now."""

    entry: Entry
    message: Message


def conversation_key(first: User, second: User) -> str:
    """Return the key of these two users' room: by their ids, so that it outlives their names."""
    low, high = sorted((first.id, second.id))
    return f"@{low}:{high}"


#: What a reader of the log gets, in the log's order.
Item = Message | Change


def fold(entry: Entry, changes: Iterable[Entry]) -> Message:
    """Return the message that `entry` has become by `changes`, which are in the log's order."""
    message = Message(entry, entry.text)
    for change in changes:
        apply(message, change)
    return message


def apply(message: Message, change: Entry) -> None:
    """Change `message` as `change` says. A deleted message stays deleted."""
    if message.deleted:
        return
    if change.kind is Kind.EDIT:
        message.text = change.text
        message.edited_at_ms = change.sent_at_ms
    elif change.kind is Kind.DELETE:
        message.text = ""
        message.deleted = True
        message.reactions.clear()
    elif change.kind is Kind.REACT:
        users = message.reactions.setdefault(change.text, [])
        if change.user.id not in users:
            users.append(change.user.id)
    elif change.kind is Kind.UNREACT and change.user.id in message.reactions.get(change.text, ()):
        message.reactions[change.text].remove(change.user.id)
        if not message.reactions[change.text]:
            del message.reactions[change.text]


def check_repeat(draft: Draft, entry: Entry) -> None:
    """Raise the refusal if `draft` is not the one that `entry`, of the same `client_id`, was made of."""
    if (draft.room.id, draft.kind, draft.target_seq) != (entry.room_id, entry.kind, entry.target_seq):
        raise InvalidPayload("client_id: was used for something else already")


def check_change(draft: Draft, target: Message | None, *, reactions_per_message: int) -> None:
    """Raise the refusal if `draft` may not change `target` (None: there is no such message)."""
    if target is None or target.deleted:
        raise NotFound()
    if draft.kind in (Kind.EDIT, Kind.DELETE) and target.entry.user.id != draft.user.id:
        raise Forbidden("Only who wrote a message may change it.")
    if draft.kind is Kind.REACT and draft.text not in target.reactions:
        if len(target.reactions) >= reactions_per_message:
            raise LimitReached(f"A message takes at most {reactions_per_message} different reactions.")


def items(entries: Sequence[Entry], messages: dict[int, Message]) -> list[Item]:
    """Put `entries` and the folded `messages` (by seq) together, in the log's order.

    A change whose message the log no longer holds is left out: there is nothing to show it on.
    """
    found: list[Item] = []
    for entry in entries:
        if not entry.kind.is_change:
            found.append(messages[entry.seq])
        elif entry.target_seq in messages:
            found.append(Change(entry, messages[entry.target_seq]))
    return found

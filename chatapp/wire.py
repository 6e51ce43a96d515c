"""What leaves on the wire: message objects, receipts, members. The contract's output half."""

from __future__ import annotations

import functools
from datetime import datetime, timezone
from typing import Any

from chatapp.domain.arrivals import NAMES, Notice
from chatapp.domain.messages import Change, Entry, Item, Kind, Message, Room, User
from chatapp.log.pages import Page
from chatapp.settings import MessageTypes

Wire = dict[str, Any]

#: Whose name a notice carries that nobody has written.
SYSTEM = "system"


@functools.lru_cache(maxsize=64)  # a message and its receipt have the same one
def timestamp(unix_ms: int) -> str:
    """Return RFC 3339 in UTC with milliseconds: ``2026-01-31T12:00:00.000Z``."""
    seconds, milliseconds = divmod(unix_ms, 1000)
    return f"{_second(seconds)}.{milliseconds:03}Z"


@functools.lru_cache(maxsize=64)  # most of what is sent is of this second
def _second(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def entry_id(room: Room, seq: int) -> str:
    """Return the id of a log entry: unique over all rooms, and the same each time it is asked for."""
    return f"{room.epoch}-{seq}"


class Composer:
    """Makes the objects of the contract; knows the configured message types."""

    def __init__(self, types: MessageTypes) -> None:
        self._types = types

    def message(self, room: Room, message: Message, reader_id: int) -> Wire:
        """Return the message object as the user `reader_id` gets it."""
        entry = message.entry
        wire: Wire = {
            "room": room.name_for(reader_id),
            "seq": entry.seq,
            "id": entry_id(room, entry.seq),
            "type": self._type(room, entry),
            "username": entry.user.name,
            "user_id": str(entry.user.id),
            "message": message.text,
            "sent_at": timestamp(entry.sent_at_ms),
        }
        if entry.client_id is not None:
            wire["client_id"] = entry.client_id
        if room.pair is not None:
            wire["target"] = room.other(entry.user.id).name
        if message.edited_at_ms is not None:
            wire["edited_at"] = timestamp(message.edited_at_ms)
        if message.deleted:
            wire["deleted"] = True
        if message.reactions:
            wire["reactions"] = {
                emoji: [str(user_id) for user_id in givers] for emoji, givers in message.reactions.items()
            }
        return wire

    def change(self, room: Room, entry: Entry, message: Message, reader_id: int) -> Wire:
        """Return the message object with ``change``: what changed it, and that change's own place."""
        kind = Kind.REACT if entry.kind is Kind.UNREACT else entry.kind
        return self.message(room, message, reader_id) | {
            "change": {
                "seq": entry.seq,
                "kind": kind.value,
                "user_id": str(entry.user.id),
                "username": entry.user.name,
                "sent_at": timestamp(entry.sent_at_ms),
            }
        }

    def page(self, room: Room, page: Page, reader_id: int) -> Wire:
        """Return the fields that carry a stretch of a log."""
        wire: Wire = {
            "messages": [self.item(room, item, reader_id) for item in page.items],
            "more": page.more,
        }
        return wire | {"gap": True} if page.gap else wire

    def item(self, room: Room, item: Item, reader_id: int) -> Wire:
        """Return the object of a log item."""
        if isinstance(item, Change):
            return self.change(room, item.entry, item.message, reader_id)
        return self.message(room, item, reader_id)

    def notice(self, room: str, text: str, now_ms: int) -> Wire:
        """Return a message object that is in no log: neither ``seq`` nor ``id``."""
        return {
            "room": room,
            "type": self._types.notice,
            "username": SYSTEM,
            "user_id": None,
            "message": text,
            "sent_at": timestamp(now_ms),
        }

    def arrivals(self, room: str, notice: Notice, now_ms: int) -> Wire:
        """Return the same about who came or went, with ``notice``: what it says, for whoever has words of
        their own for that."""
        return self.notice(room, notice.text, now_ms) | {
            "notice": {
                "code": notice.code,
                "usernames": [user.name for user in notice.users[:NAMES]],
                "others": max(0, len(notice.users) - NAMES),
            }
        }

    def _type(self, room: Room, entry: Entry) -> str:
        if room.pair is not None:
            return self._types.private
        return self._types.notice if entry.kind is Kind.NOTICE else self._types.generic


def receipt(room: Room, entry: Entry) -> Wire:
    """Return what is acknowledged: the entry's place. The same whenever and wherever it is asked for."""
    return {
        "room": room.name_for(entry.user.id),
        "seq": entry.seq,
        "id": entry_id(room, entry.seq),
        "sent_at": timestamp(entry.sent_at_ms),
        "epoch": room.epoch,
    }


def member(user: User) -> Wire:
    """Return a user as lists of members show one."""
    return {"user_id": str(user.id), "username": user.name}

"""What the server sends, read into types; what is malformed reads as absent, never as an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Refusals that say "not now" rather than "no": the same request is made again later.
PASSING_CODES = frozenset({"rate_limited", "storage_busy", "storage_unavailable"})


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit, a deletion or a reaction says about itself. `seq` is its own place in the log."""

    seq: int
    kind: str
    username: str
    sent_at: str


@dataclass(frozen=True, slots=True)
class Item:
    """A message, a notice, or (with `change`) a message as a change has left it."""

    room: str
    type: str
    username: str
    text: str
    sent_at: str = ""
    seq: int | None = None
    user_id: str | None = None
    target: str | None = None
    edited: bool = False
    deleted: bool = False
    #: emoji -> how many gave it
    reactions: Mapping[str, int] = field(default_factory=dict)
    change: Change | None = None

    @property
    def place(self) -> int | None:
        """The place in the room's log; None for what no log holds."""
        return self.change.seq if self.change is not None else self.seq


@dataclass(frozen=True, slots=True)
class RoomEntry:
    """A line of the answer of ``rooms``."""

    name: str
    epoch: str
    last_seq: int
    read_seq: int
    unread: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgement. When `ok` is false, `code`, `message` and `retry_after_seconds` say why."""

    ok: bool
    fields: Mapping[str, Any]
    code: str = ""
    message: str = ""
    retry_after_seconds: float | None = None

    @property
    def is_passing(self) -> bool:
        """Whether the same request may well be taken a little later."""
        return not self.ok and self.code in PASSING_CODES

    def text(self, key: str) -> str:
        """The string under `key`, or an empty one."""
        return _text(self.fields, key)

    def number(self, key: str) -> int:
        """The whole number under `key`, or 0."""
        return _number(self.fields.get(key)) or 0

    def flag(self, key: str) -> bool:
        """Whether `key` is there and true."""
        return self.fields.get(key) is True

    def items(self) -> list[Item]:
        """The log items under ``messages``, as they came (ascending)."""
        return [item for item in map(parse_item, _list(self.fields, "messages")) if item is not None]

    def rooms(self) -> list[RoomEntry]:
        """The rooms under ``rooms``."""
        return [
            RoomEntry(
                _text(room, "room"),
                _text(room, "epoch"),
                _number(room.get("last_seq")) or 0,
                _number(room.get("read_seq")) or 0,
                _number(room.get("unread")) or 0,
            )
            for room in _list(self.fields, "rooms")
            if isinstance(room, Mapping) and _text(room, "room")
        ]

    def member_names(self) -> tuple[str, ...]:
        """The names under ``members``."""
        members = (each for each in _list(self.fields, "members") if isinstance(each, Mapping))
        return tuple(_text(member, "username") for member in members)


def parse_answer(payload: object) -> Answer:
    """Return the acknowledgement `payload`; one of the wrong shape reads as a refusal."""
    if not isinstance(payload, Mapping) or not isinstance(payload.get("ok"), bool):
        return Answer(False, {}, "bad_answer", "The server's answer was not understood.")
    if payload["ok"]:
        return Answer(True, payload)
    error = payload.get("error")
    if not isinstance(error, Mapping):
        error = {}
    return Answer(
        False,
        payload,
        _text(error, "code") or "refused",
        _text(error, "message") or "The server refused it without saying why.",
        _seconds(error.get("retry_after")),
    )


def parse_item(payload: object) -> Item | None:
    """Return the message object `payload`, None if it is none (it has no room or no text)."""
    if not isinstance(payload, Mapping):
        return None
    room, text = payload.get("room"), payload.get("message")
    if not isinstance(room, str) or not isinstance(text, str):
        return None
    return Item(
        room=room,
        type=_text(payload, "type"),
        username=_text(payload, "username"),
        text=text,
        sent_at=_text(payload, "sent_at"),
        seq=_number(payload.get("seq")),
        user_id=_text(payload, "user_id") or None,
        target=_text(payload, "target") or None,
        edited=bool(payload.get("edited_at")),
        deleted=payload.get("deleted") is True,
        reactions=_reactions(payload.get("reactions")),
        change=_change(payload.get("change")),
    )


def _change(payload: object) -> Change | None:
    if not isinstance(payload, Mapping):
        return None
    seq = _number(payload.get("seq"))
    if seq is None:
        return None
    return Change(seq, _text(payload, "kind"), _text(payload, "username"), _text(payload, "sent_at"))


def _reactions(payload: object) -> Mapping[str, int]:
    if not isinstance(payload, Mapping):
        return {}
    return {emoji: len(users) for emoji, users in payload.items() if isinstance(users, list) and users}


def _text(payload: Mapping[str, Any], key: str) -> str:
    value = payload.get(key)
    return value if isinstance(value, str) else ""


def _list(payload: Mapping[str, Any], key: str) -> list[Any]:
    value = payload.get(key)
    return value if isinstance(value, list) else []


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None

"""What workers tell each other: JSON arrays whose first element says what they are.

Whoever can write to the bus can make a worker show something to its clients, and nothing else: what does
not have the shape that is expected is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from chatapp.cluster.bus import room_topic, user_topic
from chatapp.domain.messages import User

#: Ids and places are SQL's BIGINT.
_MOST = 2**63 - 1


class Malformed(Exception):
    """A payload is none of those below."""


class Part(NamedTuple):
    """An event and who hears it: a room ("r") or a user ("u") by number."""

    kind: str
    number: int
    event: str
    data: Any

    @property
    def topic(self) -> str:
        """The bus's topic of those who hear it."""
        return room_topic(self.number) if self.kind == "r" else user_topic(self.number)


class EntryNews(NamedTuple):
    """An entry was committed; `parts` is what clients are sent. Parts of a bell say only who hears it."""

    room_id: int
    seq: int
    parts: Sequence[Part]

    def bell(self) -> EntryNews:
        """Return the news without what was said, which is to be read from the log."""
        return self._replace(parts=[Part(part.kind, part.number, "", None) for part in self.parts])

    @property
    def is_bell(self) -> bool:
        """Whether the entry has to be read."""
        return not any(part.event for part in self.parts)


class EventNews(NamedTuple):
    """Events that are in no log."""

    parts: Sequence[Part]


class PresenceNews(NamedTuple):
    """Users who came into a room by a worker, and ids of those who are there no more by it."""

    worker: str
    room_id: int
    arrived: Sequence[User]
    gone: Sequence[int]


Envelope = EntryNews | EventNews | PresenceNews


def encode(envelope: Envelope) -> bytes:
    """Return the payload. Raises TypeError for data that is not JSON's."""
    if isinstance(envelope, EntryNews):
        return orjson.dumps(
            ["entry", envelope.room_id, envelope.seq, [tuple(part) for part in envelope.parts]]
        )
    if isinstance(envelope, EventNews):
        return orjson.dumps(["event", [tuple(part) for part in envelope.parts]])
    arrived = [[user.id, user.name] for user in envelope.arrived]
    return orjson.dumps(["presence", envelope.worker, envelope.room_id, arrived, envelope.gone])


def decode(payload: bytes) -> Envelope:
    """Return what a payload says. Raises Malformed."""
    try:
        kind, *rest = orjson.loads(payload)
        if kind == "entry":
            room_id, seq, parts = rest
            return EntryNews(_number(room_id), _number(seq), [_part(part) for part in parts])
        if kind == "event":
            (parts,) = rest
            return EventNews([_part(part) for part in parts])
        if kind == "presence":
            worker, room_id, arrived, gone = rest
            users = [User(_number(user_id), _text(name)) for user_id, name in arrived]
            return PresenceNews(
                _text(worker), _number(room_id), users, [_number(user_id) for user_id in gone]
            )
    except (TypeError, ValueError):
        pass
    raise Malformed


def _part(part: Any) -> Part:
    kind, number, event, data = part
    if kind not in ("r", "u"):
        raise ValueError
    return Part(kind, _number(number), _text(event), data)


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError
    return value

"""What a connection tells whoever uses it: one small class per kind of news."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chatapp.client.wire import Item


@dataclass(frozen=True, slots=True)
class Joined:
    """The room is joined; `again` after a reconnection. `names` are at most 200, `online` counts all."""

    room: str
    username: str
    online: int
    names: tuple[str, ...]
    again: bool


@dataclass(frozen=True, slots=True)
class Left:
    """One is not, or no more, in the room; `why` is a sentence that names it."""

    room: str
    why: str


@dataclass(frozen=True, slots=True)
class TokenIssued:
    """The guest token to show next time, so as to be the same user."""

    token: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """An item of a room, in the log's order; `past` if it was not seen as it happened."""

    item: Item
    past: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """The room's log no longer reaches back to what was seen last."""

    room: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was said under `client_id` is stored, in `room` at `seq`."""

    client_id: str
    room: str
    seq: int


@dataclass(frozen=True, slots=True)
class Delayed:
    """What was said is not taken yet; it is sent again after `wait_seconds`."""

    client_id: str
    message: str
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class Undelivered:
    """What was said is refused and not sent again."""

    client_id: str
    text: str
    message: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """A request was refused or cannot be made now."""

    message: str


@dataclass(frozen=True, slots=True)
class Announcement:
    """The server has something to say, to one user or to all."""

    code: str
    message: str
    room: str


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in the room: up to 200 names of `online`."""

    room: str
    names: tuple[str, ...]
    online: int


@dataclass(frozen=True, slots=True)
class RoomSummary:
    """One of the user's rooms or conversations."""

    name: str
    unread: int
    joined: bool


@dataclass(frozen=True, slots=True)
class Rooms:
    """The user's rooms and conversations."""

    rooms: tuple[RoomSummary, ...]


@dataclass(frozen=True, slots=True)
class Offline:
    """The connection is lost; the next attempt is made after `retry_seconds`."""

    reason: str
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection has ended for good."""

    reason: str


News = (
    Joined
    | Left
    | TokenIssued
    | Arrived
    | Gap
    | Delivered
    | Delayed
    | Undelivered
    | Trouble
    | Announcement
    | Members
    | Rooms
    | Offline
    | Closed
)

#: Called on the connection's thread; returns soon.
Tell = Callable[[News], None]

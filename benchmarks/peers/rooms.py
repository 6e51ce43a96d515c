"""What the Python peers share: members, numbered messages, and the objects that go out."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

Wire = dict[str, Any]

EPOCH = "0123456789abcdef"


class Rooms:
    """Who is called what in which room. Nothing is stored; rooms live and count in memory."""

    def __init__(self) -> None:
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))
        self._user_ids = itertools.count(1)
        #: sid -> (user id, name, rooms)
        self._users: dict[str, tuple[str, str, set[str]]] = {}

    def join(self, sid: str, data: Wire) -> Wire:
        """Note a join; return its acknowledgement."""
        if sid not in self._users:
            self._users[sid] = (str(next(self._user_ids)), data["username"], set())
        user_id, name, rooms = self._users[sid]
        rooms.add(data["roomname"])
        return {"ok": True, "room": data["roomname"], "user": {"id": user_id, "name": name}}

    def message(self, sid: str, data: Wire) -> Wire:
        """Return the message object of what was said. Raises KeyError from outside the room."""
        user_id, name, rooms = self._users[sid]
        room = data["room"]
        if room not in rooms:
            raise KeyError(room)
        seq = next(self._numbers[room])
        sent_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        return {
            "room": room,
            "seq": seq,
            "id": f"{EPOCH}-{seq}",
            "type": "generic",
            "username": name,
            "user_id": user_id,
            "message": data["message"],
            "sent_at": sent_at.replace("+00:00", "Z"),
        }

    def leave(self, sid: str) -> None:
        """Forget a connection."""
        self._users.pop(sid, None)


def receipt(message: Wire) -> Wire:
    """Return the acknowledgement of a message."""
    return {"ok": True} | {key: message[key] for key in ("room", "seq", "id", "sent_at")}

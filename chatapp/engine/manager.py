"""python-socketio's bookkeeping of who is in which room, for many clients: for the host's own events."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any

import socketio
from socketio import packet

from chatapp.engine.session import Session


class Manager(socketio.Manager):
    """Differs in what it costs: a client is in no room of its own, for its sid says where it is; one that
    goes costs what it was in, not all rooms there are; an event is framed once for all.

    At most `max_callbacks` acknowledgements are waited for from one client; then the oldest is forgotten.
    """

    def __init__(self, max_callbacks: int) -> None:
        super().__init__()
        self._max_callbacks = max_callbacks
        #: Those in namespace /, by their sid.
        self.sessions: dict[str, Session] = {}
        self._rooms_of: collections.defaultdict[tuple[str, str], set[Any]] = collections.defaultdict(set)

    def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """See python-socketio."""
        sid: str | None = super().pre_connect(eio_sid, namespace)
        session = self.server.eio.sockets.get(eio_sid)
        if sid is not None and session is not None and namespace == "/":
            self.sessions[sid] = session
        return sid

    def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **options: Any,
    ) -> None:
        """See python-socketio."""
        if callback is not None:
            super().emit(event, data, namespace, room, skip_sid, callback, to, **options)
            return
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        made = self.server.packet_class(packet.EVENT, namespace=namespace, data=[event, *arguments])
        frames = made.frames()
        for sid, eio_sid in self.get_participants(namespace, to or room):
            session = self.server.eio.sockets.get(eio_sid)
            if session is not None and sid not in skipped:
                for frame in frames:
                    session.put(frame)

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Return sid and Engine.IO sid of all in a room, or in any of several."""
        if isinstance(room, (list, tuple, set)):
            found: dict[str, str] = {}
            for one in room:
                found.update(self.get_participants(namespace, one))
            yield from found.items()
        elif room is not None and self.is_sid_room(namespace, room):
            yield room, self.rooms[namespace][None][room]
        else:
            yield from super().get_participants(namespace, room)

    def basic_enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        """Put a client into a room."""
        if room == sid:
            return
        super().basic_enter_room(sid, namespace, room, eio_sid)
        if room is not None:
            self._rooms_of[namespace, sid].add(room)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Take a client out of a room."""
        if room is not None and (namespace, sid) in self._rooms_of:
            self._rooms_of[namespace, sid].discard(room)
        super().basic_leave_room(sid, namespace, room)

    def basic_disconnect(self, sid: str, namespace: str, **options: Any) -> None:
        """Take a client out of all its rooms."""
        for room in [*self._rooms_of.pop((namespace, sid), ()), None]:
            super().basic_leave_room(sid, namespace, room)
        self.callbacks.pop(sid, None)
        if namespace == "/":
            self.sessions.pop(sid, None)
        for waiting in (self.pending_connect, self.pending_disconnect):
            if sid in waiting.get(namespace, ()):
                waiting[namespace].remove(sid)
                if not waiting[namespace]:
                    del waiting[namespace]

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        """Return the rooms that a client is in, its own included."""
        if not self.is_sid_room(namespace, sid):
            return []
        return [sid, *self._rooms_of.get((namespace, sid), ())]

    def _generate_ack_id(self, sid: str, callback: Any) -> int:
        number: int = super()._generate_ack_id(sid, callback)
        callbacks = self.callbacks[sid]
        if len(callbacks) - 1 > self._max_callbacks:  # number 0 is the counter
            del callbacks[min(key for key in callbacks if key)]
        return number

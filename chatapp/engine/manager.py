"""python-socketio's bookkeeping of who is in which room, for many clients and workers: for the host's own
events."""

from __future__ import annotations

import base64
import collections
import functools
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import gevent
import socketio
from socketio import packet

from chatapp.engine.faults import Fault
from chatapp.engine.packets import parse_json, with_attachments
from chatapp.engine.published import MAX_BYTES, MAX_DEPTH, check_published
from chatapp.engine.session import Session

logger = logging.getLogger("chatapp.engine")

#: Acknowledgements that are waited for from clients of other workers, the latest.
_FAR_CALLBACKS = 10_000


class Bridge(Protocol):
    """The way to the managers of other workers."""

    @property
    def is_alone(self) -> bool:
        """Whether there are none."""

    def publish(self, data: dict[str, Any]) -> None:
        """Have all others `take` this, which is JSON. Never blocks."""


class Manager(socketio.PubSubManager):
    """Differs in what it costs: a client is in no room of its own, for its sid says where it is; one that
    goes costs what it was in, not all rooms there are; an event is framed once for all.

    Events go to the clients of this worker and, over the `bridge`, to the others' managers; without one,
    or while it is alone, nothing is made for them. What they publish is to be given to `take`.
    At most `max_callbacks` acknowledgements are waited for from one client; then the oldest is forgotten.
    """

    def __init__(self, max_callbacks: int) -> None:
        super().__init__()
        self._max_callbacks = max_callbacks
        #: Set once, before `take` is called.
        self.bridge: Bridge | None = None
        #: Called for each message of others that is none.
        self.on_malformed: Callable[[], None] = lambda: None
        self._has_warned = False
        self._far_callbacks: collections.OrderedDict[int, Callable[..., Any]] = collections.OrderedDict()
        self._far_numbers = itertools.count(1)
        #: Those in namespace /, by their sid.
        self.sessions: dict[str, Session] = {}
        self._rooms_of: collections.defaultdict[tuple[str, str], set[Any]] = collections.defaultdict(set)

    def initialize(self) -> None:
        """Start no thread: what others publish comes by `take`."""

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
        namespace, room = namespace or "/", to or room
        is_only_here = self._is_alone or (isinstance(room, str) and self.is_sid_room(namespace, room))
        if is_only_here or options.get("ignore_queue"):
            self._emit_here(event, data, namespace, room, skip_sid, callback)
            return
        place = None
        if callback is not None:
            number = next(self._far_numbers)
            self._far_callbacks[number] = callback
            if len(self._far_callbacks) > _FAR_CALLBACKS:
                self._far_callbacks.popitem(last=False)
            place = (_listed(room), namespace, number)
            callback = functools.partial(self._return_callback, self.host_id, *place)
        self._emit_here(event, data, namespace, room, skip_sid, callback)
        arguments = list(data) if isinstance(data, tuple) else [data]
        is_binary = packet.Packet.data_is_binary(arguments)
        if is_binary:
            arguments, attachments = packet.Packet.deconstruct_binary(arguments)
            arguments = [arguments, *(base64.b64encode(one).decode() for one in attachments)]
        self._publish(
            {
                "method": "emit",
                "event": event,
                "data": arguments,
                "binary": is_binary,
                "namespace": namespace,
                "room": _listed(room),
                "skip_sid": _listed(skip_sid),
                "callback": place,
                "host_id": self.host_id,
            }
        )

    def _emit_here(
        self, event: str, data: Any, namespace: str, room: Any, skip_sid: Any, callback: Any
    ) -> None:
        if callback is not None:
            socketio.Manager.emit(self, event, data, namespace, room, skip_sid, callback)
            return
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        made = self.server.packet_class(packet.EVENT, namespace=namespace, data=[event, *arguments])
        frames = made.frames()
        for sid, eio_sid in self.get_participants(namespace, room):
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

    # Other workers

    @property
    def _is_alone(self) -> bool:
        return self.bridge is None or self.bridge.is_alone

    def _is_here(self, sid: str, namespace: str) -> bool:
        return bool(self.is_connected(sid, namespace) or self.is_pre_connected(sid, namespace))

    def can_disconnect(self, sid: str, namespace: str) -> bool:
        """Return whether a client is here; have its worker disconnect one that is not."""
        if self._is_here(sid, namespace):
            return True
        self._publish(
            {"method": "disconnect", "sid": sid, "namespace": namespace or "/", "host_id": self.host_id}
        )
        return False

    def disconnect(self, sid: str, namespace: str | None = None, **options: Any) -> None:
        """Forget a client of this worker."""
        socketio.Manager.disconnect(self, sid, namespace, **options)

    def enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        """Put a client into a room, wherever it is."""
        if self._is_alone:  # who is not here is nowhere, and an error
            socketio.Manager.enter_room(self, sid, namespace, room, eio_sid=eio_sid)
        else:
            super().enter_room(sid, namespace, room, eio_sid=eio_sid)

    def leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Take a client out of a room, wherever it is."""
        if self._is_alone:
            socketio.Manager.leave_room(self, sid, namespace, room)
        else:
            super().leave_room(sid, namespace, room)

    def _publish(self, data: dict[str, Any]) -> None:
        if self.bridge is not None and not self.bridge.is_alone:
            self.bridge.publish(data)

    def take_json(self, message: bytes) -> None:
        """Do what some manager has published: ours over the bridge, or python-socketio's from a process
        of any kind. What is none of its messages is dropped. Does not block."""
        try:
            if len(message) > MAX_BYTES:
                raise ValueError
            data, has_surrogates = parse_json(message.decode(), MAX_DEPTH)
            if has_surrogates:
                raise ValueError
            check_published(data)
        except (ValueError, Fault):
            self._refuse()
            return
        try:
            self._take(data)
        except Fault:
            self._refuse()
        except Exception:
            logger.exception("what another manager published was not done")

    def _refuse(self) -> None:
        self.on_malformed()
        if not self._has_warned:
            self._has_warned = True
            logger.warning("what no manager of python-socketio publishes came from elsewhere; it is dropped")

    def _take(self, data: dict[str, Any]) -> None:
        method, is_ours = data["method"], data.get("host_id") == self.host_id
        if method == "callback":
            if is_ours:
                self._answered(data["id"], data["args"])
        elif is_ours:
            pass  # it was done when it was published
        elif method == "disconnect":
            if self._is_here(data["sid"], data["namespace"]):
                # The host's handler for it may block.
                _spawn(self.server.disconnect, data["sid"], data["namespace"], ignore_queue=True)
        else:
            getattr(self, f"_handle_{method}")(data)

    def _handle_emit(self, message: dict[str, Any]) -> None:
        arguments, place, callback = message["data"], message.get("callback"), None
        if message.get("binary"):
            arguments = with_attachments(arguments[0], [base64.b64decode(one) for one in arguments[1:]])
        data = arguments[0] if len(arguments) == 1 else tuple(arguments)
        if place is not None:
            callback = functools.partial(self._return_callback, message["host_id"], *place)
        room, skip_sid = message.get("room"), message.get("skip_sid")
        self._emit_here(message["event"], data, message["namespace"], room, skip_sid, callback)

    def _return_callback(self, host_id: str, sid: Any, namespace: str, callback_id: int, *args: Any) -> None:
        if host_id == self.host_id:
            self._answered(callback_id, args)
        else:
            super()._return_callback(host_id, sid, namespace, callback_id, *args)

    def _answered(self, number: int, args: Any) -> None:
        callback = self._far_callbacks.pop(number, None)
        if callback is not None:  # else another of the room was first
            _spawn(callback, *args)


def _listed(value: Any) -> Any:
    """Return what python-socketio takes as one or several as JSON can hold it."""
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else value


def _spawn(function: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Call a function of the host, which may block or fail."""

    def call() -> None:
        try:
            function(*args, **options)
        except Exception:
            logger.exception("a handler of the host failed")

    gevent.spawn(call)

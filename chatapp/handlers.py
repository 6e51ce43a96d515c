"""Socket.IO events: from their payload to the chat, and back as an acknowledgement or a refusal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from socketio.exceptions import ConnectionRefusedError

from chatapp import payloads
from chatapp.chat.context import Ack, Context
from chatapp.chat.people import People
from chatapp.chat.reading import Reading
from chatapp.chat.rooms import Rooms
from chatapp.chat.speech import Speech
from chatapp.domain.presence import Connection
from chatapp.engine.server import SendAck
from chatapp.errors import Internal, InvalidPayload, Refusal
from chatapp.wire import Wire

logger = logging.getLogger("chatapp.handlers")

Handler = Callable[[Connection, Any, Ack], None]

#: How much of one connection may be on its way into the log before it has to wait. It is also what it can
#: make the server remember.
MAX_APPENDING = 100


class Handlers:
    """The table of events, and the one way in which each of them is answered."""

    def __init__(
        self, context: Context, people: People, rooms: Rooms, speech: Speech, reading: Reading
    ) -> None:
        self._context = context
        self._people = people
        self._rooms = rooms
        events = context.settings.events
        self._appending = {
            events.newmsg,
            events.privatemsg,
            events.editmsg,
            events.deletemsg,
            events.react,
        }
        self._table: dict[str, tuple[type[payloads.Payload], Handler]] = {
            events.joinroom: (payloads.Join, rooms.join),
            events.leaveroom: (payloads.Leave, rooms.leave),
            events.newmsg: (payloads.Say, speech.say),
            events.privatemsg: (payloads.SayPrivately, speech.say_privately),
            events.members: (payloads.Members, rooms.members),
            events.typing: (payloads.Typing, reading.typing),
            events.history: (payloads.History, reading.history),
            events.read: (payloads.Read, reading.read),
            events.rooms: (payloads.Rooms, reading.rooms),
            events.editmsg: (payloads.Edit, speech.edit),
            events.deletemsg: (payloads.Delete, speech.delete),
            events.react: (payloads.React, speech.react),
        }

    def connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Admit a connection, or refuse it with the code of the reason."""
        try:
            self._people.connect(sid, environ, auth)
        except Refusal as refusal:
            raise self._refused(refusal) from None
        except Exception:
            logger.exception("a connection failed")
            raise self._refused(Internal()) from None
        logger.info("a client connected; %d are", self._context.presence.connections())

    def _refused(self, refusal: Refusal) -> ConnectionRefusedError:
        self._context.metrics.refusals.count(refusal.code)
        return ConnectionRefusedError(refusal.message, refusal.to_wire())

    def disconnect(self, sid: str, reason: str) -> None:
        """Take a connection away; its user's grace begins."""
        user = self._context.presence.disconnect(sid, self._context.clock())
        if user is not None:
            self._context.wake()
        logger.info("a client disconnected (%s); %d are", reason, self._context.presence.connections())

    def knows(self, event: str) -> bool:
        """Return whether the event is one of the chat's."""
        return event in self._table

    def is_known(self, sid: str) -> bool:
        """Return whether it is known who this client is."""
        connection = self._context.presence.connection(sid)
        return connection is not None and connection.user is not None

    def dispatch(self, sid: str, event: str, args: tuple[Any, ...], ack: SendAck) -> None:
        """Handle an event. Whatever goes wrong refuses this event and leaves the connection alone.

        May block. What appends to a log returns before its commit, and is answered after it; everything
        else is handled after what the connection has appended before it.
        """
        connection = self._context.presence.connection(sid)
        if connection is None:
            return  # it went while the event was on its way
        answer = _Answer(self, sid, ack)
        try:
            model, handle = self._lookup(event)
            most = MAX_APPENDING if event in self._appending else 1
            if connection.appending >= most:
                self._context.log.wait()
                if self._context.presence.connection(sid) is not connection:
                    return
            handle(connection, payloads.parse_payload(model, args), answer)
        except Refusal as refusal:
            answer.refuse(refusal)
        except Exception:
            logger.exception("the event %r failed", event if self.knows(event) else "?")
            answer.refuse(Internal())

    def _lookup(self, event: str) -> tuple[type[payloads.Payload], Handler]:
        try:
            return self._table[event]
        except (KeyError, TypeError):
            raise InvalidPayload(f"There is no event {str(event)[:64]!r}.") from None

    def refuse(self, sid: str, refusal: Refusal, ack: SendAck) -> None:
        """Tell a client why its request is not carried out."""
        self._context.metrics.refusals.count(refusal.code)
        if ack is not None:
            ack({"ok": False, "error": refusal.to_wire()})
        else:
            error = {"error": True, "msg": refusal.message, "code": refusal.code}
            self._context.delivery.to_connection(sid, self._context.settings.events.newmsg, error)


class _Answer:
    """See `chatapp.chat.context.Ack`."""

    __slots__ = ("_ack", "_handlers", "_sid")

    def __init__(self, handlers: Handlers, sid: str, ack: SendAck) -> None:
        self._handlers = handlers
        self._sid = sid
        self._ack = ack

    def __call__(self, fields: Wire) -> None:
        if self._ack is not None:
            self._ack({"ok": True, **fields})

    def refuse(self, refusal: Refusal) -> None:
        self._handlers.refuse(self._sid, refusal, self._ack)

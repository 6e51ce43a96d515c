"""python-socketio's server on our engine, with the chat's events on a way of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import gevent
import socketio
from gevent.event import AsyncResult
from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT

from chatapp.engine.dialect import PROTOCOL_4, Dialect
from chatapp.engine.engineio import EngineServer
from chatapp.engine.faults import Malformed, Unexpected
from chatapp.engine.manager import Manager
from chatapp.engine.origins import Origins
from chatapp.engine.packets import HostPacket, Packet, ack_frame, event_frame, with_attachments
from chatapp.engine.session import Audience, Session
from chatapp.settings import Settings

logger = logging.getLogger("chatapp.engine")

#: Sends what an event is answered with; None when its client asked for no answer.
SendAck = Callable[[Any], None] | None


class Dispatcher(Protocol):
    """Takes the events of connected clients."""

    def knows(self, event: str) -> bool:
        """Return whether it takes this event."""

    def dispatch(self, sid: str, event: str, args: tuple[Any, ...], ack: SendAck) -> None:
        """Handle one event; raises nothing. May block."""

    def is_known(self, sid: str) -> bool:
        """Return whether it is known who this client is."""


class SocketServer(socketio.Server):
    """Socket.IO that hands its events to a `Dispatcher`.

    A handler of python-socketio acknowledges by returning, whenever its greenlet gets its turn. Ours
    are given the means to acknowledge at once, so that an acknowledgement keeps its place between the
    messages of other senders. Events that the dispatcher does not know go to handlers that the host
    site has added with ``on``. What one client sends is handled in its order.

    ``opened(version)`` is called for each session, with the version of its protocol, and ``closed(why)`` for
    each that ends or is not let in.
    """

    def __init__(
        self,
        settings: Settings,
        origins: Origins,
        opened: Callable[[str], None],
        closed: Callable[[str], None],
    ) -> None:
        self._limits = settings.limits
        super().__init__(
            async_mode="gevent",
            async_handlers=False,
            client_manager=Manager(settings.limits.pending_acks),
            serializer=HostPacket,
            logger=_quiet_logger("chatapp.engine.socketio"),
            engineio_logger=_quiet_logger("chatapp.engine.engineio"),
            ping_interval=settings.app.ping_interval_seconds,
            ping_timeout=settings.app.ping_timeout_seconds,
            limits=settings.limits,
            origins=origins,
            opened=opened,
            closed=closed,
            dialects=_dialects(settings, origins),
        )
        #: Set once, before the first request.
        self.dispatcher: Dispatcher
        self.eio.on_packet = self._handle_packet

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    # In

    def _handle_packet(self, session: Session, packet: Packet | bytes) -> None:
        """Handle what a session received. Raises Fault."""
        if isinstance(packet, bytes):
            complete = session.take_attachment(packet)
            if complete is None:
                return
            packet, attachments = complete
            kind = EVENT if packet.type == BINARY_EVENT else ACK
            packet = packet._replace(type=kind, data=with_attachments(packet.data, attachments))
        elif session.awaiting is not None:
            raise Unexpected("a text where an attachment is awaited")
        if packet.type == CONNECT:
            self._connect(session, packet)
            return
        if packet.namespace not in session.namespaces:
            raise Unexpected("a packet for a namespace that is not connected")
        if packet.type == EVENT:
            self._event(session, packet)
        elif packet.type == DISCONNECT:
            self._handle_disconnect(session.sid, packet.namespace, self.reason.CLIENT_DISCONNECT)
            del session.namespaces[packet.namespace]
            session.expect_connection()
        elif packet.type in (BINARY_EVENT, BINARY_ACK):
            session.await_attachments(packet)
        elif packet.has_surrogates:
            raise Malformed("an answer with half a character")
        else:
            self._host_call(self._handle_ack, session.sid, packet.namespace, packet.id, packet.data)

    def _connect(self, session: Session, packet: Packet) -> None:
        namespace = packet.namespace
        if namespace in session.namespaces:
            raise Unexpected("a second connection to a namespace")
        known = {*self.handlers, *self.namespace_handlers, *self.namespaces}
        if namespace not in known and "*" not in known:
            refusal = {"message": "Invalid namespace"}
            self._send_packet(session.sid, HostPacket(CONNECT_ERROR, refusal, namespace))
            return
        self._host_call(self._handle_connect, session.sid, namespace, packet.data)
        sid = self.manager.sid_from_eio_sid(session.sid, namespace)
        if sid is None:
            return  # it was refused, and told so
        if self.manager.is_connected(sid, namespace):
            session.namespaces[namespace] = sid
            if namespace == "/" and self._limits.join_seconds:
                self.eio.deadlines.after(self._limits.join_seconds, lambda: self._check_known(session, sid))
        else:  # the handler of the host failed
            self.manager.disconnect(sid, namespace)
            refusal = {"message": "Connection rejected by server"}
            self._send_packet(session.sid, HostPacket(CONNECT_ERROR, refusal, namespace))

    def _check_known(self, session: Session, sid: str) -> None:
        if not session.closed and not session.is_in_use and not self.dispatcher.is_known(sid):
            session.fail(Unexpected("nobody joined in time"))

    def _event(self, session: Session, packet: Packet) -> None:
        event, namespace = packet.data[0], packet.namespace
        sid = session.namespaces[namespace]
        if namespace != "/" or (not self.dispatcher.knows(event) and self._has_handler(event)):
            if packet.has_surrogates:
                raise Malformed("an event with half a character")
            self._host_call(
                self._handle_event_internal, self, sid, session.sid, packet.data, namespace, packet.id
            )
            return
        ack: SendAck = None
        if packet.id is not None:
            number = packet.id

            def ack(answer: Any) -> None:
                session.put(ack_frame(number, answer))

        self.dispatcher.dispatch(sid, event, tuple(packet.data[1:]), ack)

    def _has_handler(self, event: str) -> bool:
        handler, _ = self._get_event_handler(event, "/", ())
        return handler is not None

    def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        if event != "disconnect":
            return super()._trigger_event(event, namespace, *args)
        # Who goes is gone, whatever the host's handler makes of it.
        return self._host_call(super()._trigger_event, event, namespace, *args)

    @staticmethod
    def _host_call(function: Callable[..., Any], *args: Any) -> None:
        """Call what ends in a handler of the host: its faults are not the client's."""
        try:
            function(*args)
        except Exception:
            logger.exception("a handler of the host failed")

    # Out

    def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """See python-socketio. A client cannot be called in a handler of an event of its own: its answer
        is read after that."""
        if to is None and sid is None:
            raise ValueError("Cannot use call() to broadcast.")
        answered: AsyncResult = AsyncResult()
        self.emit(
            event,
            data,
            room=to or sid,
            namespace=namespace,
            callback=lambda *args: answered.set(args),
            ignore_queue=ignore_queue,
        )
        try:
            args = answered.get(timeout=timeout)
        except gevent.Timeout:
            raise socketio.exceptions.TimeoutError from None
        return args if len(args) > 1 else args[0] if args else None

    def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        session = self.eio.sockets.get(eio_sid)
        if session is not None:
            for frame in session.frames_of(pkt):
                session.put(frame)


class SocketDelivery:
    """Sends events through a `SocketServer`; see `chatapp.chat.context.Delivery`. An event is framed once
    for all who hear it."""

    def __init__(self, server: SocketServer) -> None:
        self._sessions: dict[str, Session] = server.manager.sessions
        self._rooms: dict[int, Audience] = {}
        self._users: dict[int, Audience] = {}

    def to_room(self, room_id: int, event: str, data: Any, skip_sid: str | None = None) -> None:
        self._send(self._rooms.get(room_id), event, data, skip_sid)

    def to_user(self, user_id: int, event: str, data: Any, skip_sid: str | None = None) -> None:
        self._send(self._users.get(user_id), event, data, skip_sid)

    def to_connection(self, sid: str, event: str, data: Any) -> None:
        session = self._sessions.get(sid)
        if session is not None:
            session.put(event_frame(event, data))

    def to_all(self, event: str, data: Any) -> None:
        frame = event_frame(event, data)
        for session in self._sessions.values():
            session.put(frame)

    def add_to_room(self, sid: str, room_id: int) -> None:
        self._add(self._rooms, room_id, sid)

    def remove_from_room(self, sid: str, room_id: int) -> None:
        session, audience = self._sessions.get(sid), self._rooms.get(room_id)
        if session is not None and audience is not None:
            audience.remove(session)

    def add_to_user(self, sid: str, user_id: int) -> None:
        self._add(self._users, user_id, sid)

    def _add(self, audiences: dict[int, Audience], number: int, sid: str) -> None:
        session = self._sessions.get(sid)
        if session is not None:
            (audiences.get(number) or Audience(audiences, number)).add(session)

    def _send(self, audience: Audience | None, event: str, data: Any, skip_sid: str | None) -> None:
        if audience:
            skipped = None if skip_sid is None else self._sessions.get(skip_sid)
            audience.put(event_frame(event, data), skipped)


def _dialects(settings: Settings, origins: Origins) -> Sequence[Dialect]:
    """Return the versions of the protocol that are spoken. What is for the older one alone is imported only
    where it is: without its folder, ``socketio2 = no`` goes on."""
    if not settings.app.socketio2:
        return [PROTOCOL_4]
    from chatapp.engine.protocol3.dialect import Protocol3

    return [PROTOCOL_4, Protocol3(origins)]


def _quiet_logger(name: str) -> logging.Logger:
    """Return a logger that lets faults of code through and nothing else: the libraries' other lines
    hold session ids, which whoever reads a log could take a session over with."""
    quiet = logging.getLogger(name)
    if not quiet.filters:
        quiet.addFilter(lambda record: bool(record.exc_info))
    return quiet

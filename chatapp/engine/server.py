"""python-socketio's server, with acknowledgements that leave at their place in the order of events."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

import engineio
import socketio
from engineio.async_drivers import gevent as gevent_driver
from socketio import packet

from chatapp.engine.websocket import websocket_driver

#: Sends what an event is answered with; None when its client asked for no answer.
SendAck = Callable[[Any], None] | None


class Dispatcher(Protocol):
    """Takes the events of connected clients."""

    def knows(self, event: str) -> bool:
        """Return whether it takes this event."""

    def dispatch(self, sid: str, event: str, args: tuple[Any, ...], ack: SendAck) -> None:
        """Handle one event; raises nothing."""


class EngineServer(engineio.Server):
    """Engine.IO with WebSocket under every server that can host us."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._async: dict[str, Any] = {**gevent_driver._async, "websocket": websocket_driver}

    def handle_request(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer a request, also one that comes when its session has just ended."""
        try:
            return super().handle_request(environ, start_response)
        except _SessionGone:
            refusal = self._bad_request("Session is disconnected")
            start_response(refusal["status"], refusal["headers"])
            return [refusal["response"]]

    def _get_socket(self, sid: str) -> Any:
        try:
            return super()._get_socket(sid)
        except KeyError as error:
            raise _SessionGone(*error.args) from None


class _SessionGone(KeyError):
    """python-engineio's own KeyError would pass for any; on a POST it passes through to the server,
    which logs a traceback and the session's id."""


class SocketServer(socketio.Server):
    """Socket.IO that hands its events to a `Dispatcher`.

    A handler of python-socketio acknowledges by returning, whenever its greenlet gets its turn. Ours
    are given the means to acknowledge at once, so that an acknowledgement keeps its place between the
    messages of other senders. Events that the dispatcher does not know go to handlers that the host
    site has added with ``on``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(
            async_mode="gevent",
            async_handlers=False,  # a connection's events are handled in its order
            logger=_quiet_logger("chatapp.engine.socketio"),
            engineio_logger=_quiet_logger("chatapp.engine.engineio"),
            **options,
        )
        #: Set once, before the first request.
        self.dispatcher: Dispatcher

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    def _handle_event(self, eio_sid: str, namespace: str, id: int | None, data: Any) -> None:
        if not isinstance(data, list) or not data or not isinstance(data[0], str):
            data = [None]  # without a name, which is an event that nobody knows
        super()._handle_event(eio_sid, namespace, id, data)

    def _handle_event_internal(
        self, server: Any, sid: str, eio_sid: str, data: list[Any], namespace: str, id: int | None
    ) -> None:
        event = data[0]
        if event in self.reserved_events:
            return  # what only the server may say
        if namespace != "/" or (not self.dispatcher.knows(event) and self._has_handler(event)):
            super()._handle_event_internal(server, sid, eio_sid, data, namespace, id)
            return

        def ack(answer: Any) -> None:
            reply = self.packet_class(packet.ACK, namespace=namespace, id=id, data=[answer])
            self._send_packet(eio_sid, reply)

        self.dispatcher.dispatch(sid, event, tuple(data[1:]), None if id is None else ack)

    def _has_handler(self, event: str) -> bool:
        handler, _ = self._get_event_handler(event, "/", ())
        return handler is not None


class SocketDelivery:
    """Sends events through a `SocketServer`; see `chatapp.chat.context.Delivery`."""

    def __init__(self, server: SocketServer) -> None:
        self._server = server

    def to_room(self, room_id: int, event: str, data: Any, skip_sid: str | None = None) -> None:
        self._server.emit(event, data, room=f"room:{room_id}", skip_sid=skip_sid)

    def to_user(self, user_id: int, event: str, data: Any, skip_sid: str | None = None) -> None:
        self._server.emit(event, data, room=f"user:{user_id}", skip_sid=skip_sid)

    def to_connection(self, sid: str, event: str, data: Any) -> None:
        self._server.emit(event, data, to=sid)

    def to_all(self, event: str, data: Any) -> None:
        self._server.emit(event, data)

    def add_to_room(self, sid: str, room_id: int) -> None:
        self._server.enter_room(sid, f"room:{room_id}")

    def remove_from_room(self, sid: str, room_id: int) -> None:
        self._server.leave_room(sid, f"room:{room_id}")

    def add_to_user(self, sid: str, user_id: int) -> None:
        self._server.enter_room(sid, f"user:{user_id}")


def _quiet_logger(name: str) -> logging.Logger:
    """Return a logger that lets faults of code through and nothing else: the libraries' other lines
    hold session ids, which whoever reads a log could take a session over with."""
    logger = logging.getLogger(name)
    if not logger.filters:
        logger.addFilter(lambda record: bool(record.exc_info))
    return logger

"""Engine.IO for python-socketio: its server's face, with sessions, transports and timing of our own."""

from __future__ import annotations

import _socket
import collections
import io
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import engineio
import orjson

from chatapp.cluster.handover import Handover, Passed
from chatapp.engine.deadlines import Deadlines
from chatapp.engine.dialect import PROTOCOL_4, Dialect, Query
from chatapp.engine.exchange import Exchange, StartResponse, kept
from chatapp.engine.frames import RESTART, TEXT, encode_frame
from chatapp.engine.handshake import is_upgrade
from chatapp.engine.http import CLOSING, Requests
from chatapp.engine.origins import Origins
from chatapp.engine.packets import Packet
from chatapp.engine.reactor import Reactor
from chatapp.engine.session import Session
from chatapp.engine.takeover import Environ, Taken
from chatapp.settings import Limits

logger = logging.getLogger("chatapp.engine")

#: Within that many seconds, at random, clients are asked to come back from a restart.
RECONNECT_SPREAD_SECONDS = 5.0


class EngineServer(engineio.Server):
    """What python-socketio calls is python-engineio's; requests, sessions and timing are ours.

    Its loop is that of the thread with the first request: nothing is opened before.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        origins: Origins,
        opened: Callable[[str], None],
        closed: Callable[[str], None],
        dialects: Sequence[Dialect] = (PROTOCOL_4,),
        **options: Any,
    ) -> None:
        super().__init__(monitor_clients=False, **options)
        self.limits = limits
        self.reactor = Reactor()
        self.deadlines = Deadlines()
        self.sockets: dict[str, Session] = {}
        self.handover: Handover | None = None
        self._origins = origins
        self._opened = opened
        self._closed = closed
        self._requests = Requests(self, dialects)
        self._addresses: collections.Counter[str] = collections.Counter()
        self.is_closing = False
        #: Handles a Socket.IO packet, or bytes that may be an attachment; see `session.Host`. Set once.
        self.on_packet: Callable[[Session, Packet | bytes], None]

    def handle_request(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request: the WSGI application."""
        self.reactor.open()
        exchange = Exchange(environ, self.reactor, self.deadlines, start_response=start_response)
        return self._requests.answer(exchange)

    # Other workers

    def join(self, handover: Handover) -> None:
        """Hand over from now on what is for sessions of other workers, and answer what they hand over.
        To be called before the first request, in the process that answers them. Raises HostingError."""
        handover.open(self._answer_handed)
        self.handover = handover

    def _answer_handed(self, request: Passed, connection: _socket.socket) -> None:
        self.reactor.open()
        environ = {**request.environ, "wsgi.input": io.BytesIO(request.body)}
        taken = Taken(connection, request.is_websocket, list)
        self._requests.answer(Exchange(environ, self.reactor, self.deadlines, taken=taken))

    def generate_id(self) -> str:
        """Return a session id that names this worker, if there may be others."""
        sid: str = super().generate_id()
        return sid if self.handover is None else self.handover.worker_id + sid

    # What requests ask

    def allows(self, origin: str, environ: Environ) -> bool:
        """See `http.Engine`."""
        return self._origins(origin, environ)

    def admit(self, environ: Environ) -> str | None:
        """See `http.Engine`."""
        if self.is_closing:
            return CLOSING
        if len(self.sockets) >= self.limits.connections:
            self._closed("connections")
            return "The chat is full."
        address = self._origins.client_address(environ)
        if address and self._addresses[address] >= self.limits.connections_per_address:
            self._closed("connections_per_address")
            return "Too many connections from your address."
        return None

    def open_session(self, environ: Environ, query: Query, dialect: Dialect) -> tuple[Session, bytes]:
        """See `http.Engine`."""
        sid = self.generate_id()
        address = self._origins.client_address(environ)
        session = self.sockets[sid] = dialect.session(self, sid, address, environ, query)
        self._opened(str(session.version))
        if address:
            self._addresses[address] += 1
        self._trigger_event("connect", sid, kept(environ), run_async=False)
        opened = {
            "sid": sid,
            "upgrades": [] if is_upgrade(environ) else ["websocket"],
            "pingInterval": int(self.ping_interval * 1000),
            "pingTimeout": int(self.ping_timeout * 1000),
            "maxPayload": self.limits.frame_bytes,
        }
        return session, encode_frame(TEXT, b"0" + orjson.dumps(opened))

    # What sessions tell

    def on_end(self, session: Session) -> None:
        """See `session.Host`."""
        self.sockets.pop(session.sid, None)
        if session.address:
            self._addresses[session.address] -= 1
            if not self._addresses[session.address]:
                del self._addresses[session.address]

    def on_ended(self, session: Session, why: str) -> None:
        """See `session.Host`."""
        self._closed(why)
        if not session.namespaces:  # or whoever handles the disconnection says so
            logger.info("a connection ended: %s", why)
        self._trigger_event("disconnect", session.sid, why, run_async=False)

    # The end

    def retire(self, goodbye: Callable[[float], bytes]) -> None:
        """Let nobody in any more, and end all sessions with the frame ``goodbye(reconnect_seconds)``."""
        self.is_closing = True
        if self.handover is not None:
            self.handover.retire()
        for session in list(self.sockets.values()):
            delay = random.uniform(0.5, RECONNECT_SPREAD_SECONDS)
            session.end(self.reason.SERVER_DISCONNECT, RESTART, goodbye(round(delay, 1)))

    @property
    def is_quiet(self) -> bool:
        """Whether all that was said at the end has left, and its clients are gone."""
        is_answering = self.handover is not None and not self.handover.is_quiet
        return not self.reactor.is_watching and not self.reactor.is_busy and not is_answering

    def close(self) -> None:
        """Let go of everything."""
        self.is_closing = True
        if self.handover is not None:
            self.handover.retire()
            self.handover.close()
        self.deadlines.close()
        self.reactor.close()

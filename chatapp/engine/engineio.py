"""Engine.IO for python-socketio: its server's face, with sessions, transports and timing of our own."""

from __future__ import annotations

import collections
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any

import engineio
import orjson

from chatapp.engine.deadlines import Deadlines
from chatapp.engine.frames import RESTART, TEXT, encode_frame
from chatapp.engine.handshake import is_upgrade
from chatapp.engine.http import Environ, Requests, StartResponse
from chatapp.engine.origins import Origins
from chatapp.engine.packets import Packet
from chatapp.engine.reactor import Reactor
from chatapp.engine.session import Session
from chatapp.settings import Limits

logger = logging.getLogger("chatapp.engine")

#: What is kept of a request for the connect handlers: what the client said, and not how the server
#: that hosts us keeps it.
_KEPT = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "REMOTE_PORT")
_KEPT_TOO = ("SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "wsgi.url_scheme")

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
        closed: Callable[[str], None],
        **options: Any,
    ) -> None:
        super().__init__(monitor_clients=False, **options)
        self.limits = limits
        self.reactor = Reactor()
        self.deadlines = Deadlines()
        self.sockets: dict[str, Session] = {}
        self._origins = origins
        self._closed = closed
        self._requests = Requests(self)
        self._addresses: collections.Counter[str] = collections.Counter()
        self._is_closing = False
        #: Handles a Socket.IO packet, or bytes that may be an attachment; see `session.Host`. Set once.
        self.on_packet: Callable[[Session, Packet | bytes], None]

    def handle_request(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request: the WSGI application."""
        self.reactor.open()
        return self._requests.answer(environ, start_response)

    # What requests ask

    def allows(self, origin: str, environ: Environ) -> bool:
        """See `http.Engine`."""
        return self._origins(origin, environ)

    def admit(self, environ: Environ) -> str | None:
        """See `http.Engine`."""
        if self._is_closing:
            return "The server is about to restart."
        if len(self.sockets) >= self.limits.connections:
            self._closed("connections")
            return "The chat is full."
        address = self._origins.client_address(environ)
        if address and self._addresses[address] >= self.limits.connections_per_address:
            self._closed("connections_per_address")
            return "Too many connections from your address."
        return None

    def open_session(self, environ: Environ) -> tuple[Session, bytes]:
        """See `http.Engine`."""
        sid = self.generate_id()
        address = self._origins.client_address(environ)
        session = self.sockets[sid] = Session(self, sid, address)
        if address:
            self._addresses[address] += 1
        kept = {key: environ[key] for key in (*_KEPT, *_KEPT_TOO) if key in environ}
        kept |= {key: value for key, value in environ.items() if key.startswith("HTTP_")}
        self._trigger_event("connect", sid, kept, run_async=False)
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
        self._is_closing = True
        for session in list(self.sockets.values()):
            delay = random.uniform(0.5, RECONNECT_SPREAD_SECONDS)
            session.end(self.reason.SERVER_DISCONNECT, RESTART, goodbye(round(delay, 1)))

    @property
    def is_quiet(self) -> bool:
        """Whether all that was said at the end has left, and its clients are gone."""
        return not self.reactor.is_watching and not self.reactor.is_busy

    def close(self) -> None:
        """Let go of everything."""
        self._is_closing = True
        self.deadlines.close()
        self.reactor.close()

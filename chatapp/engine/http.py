"""Engine.IO over HTTP (protocol 4): handshakes, polls, posts, and the requests that become WebSockets."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import parse_qs

import gevent
from gevent.event import Event

from chatapp.engine import handshake
from chatapp.engine.deadlines import Deadlines
from chatapp.engine.faults import Fault
from chatapp.engine.frames import AGAIN_LATER, POLICY, decode_frame, encode_close
from chatapp.engine.payload import parse_payload
from chatapp.engine.polls import CONTENT_TYPE, Headers, Poll, WaitingPoll
from chatapp.engine.reactor import Reactor
from chatapp.engine.session import Session
from chatapp.engine.takeover import Taken, take
from chatapp.engine.websocket import WebSocket
from chatapp.settings import Limits

logger = logging.getLogger("chatapp.engine")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

#: When a client that found the house full, or closing, may try again: in so many seconds.
RETRY = ("Retry-After", "5")
#: How long a client may take to send the body of a request.
_BODY_SECONDS = 10


class Refused(Exception):
    """The request is answered with this status and sentence, and nothing more is read if it `ends` its
    connection."""

    def __init__(self, status: str, reason: str, *headers: tuple[str, str], ends: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers
        self.ends = ends


class Engine(Protocol):
    """What requests work with."""

    reactor: Reactor
    deadlines: Deadlines
    limits: Limits
    sockets: dict[str, Session]

    def allows(self, origin: str, environ: Environ) -> bool:
        """Return whether pages of this origin may connect."""

    def admit(self, environ: Environ) -> str | None:
        """Return why nobody more is let in, None if somebody is."""

    def open_session(self, environ: Environ) -> tuple[Session, bytes]:
        """Return a new session and its first packet's frame."""


def bad(reason: str) -> Refused:
    """Return the answer to a request that breaks the protocol."""
    return Refused("400 Bad Request", reason)


class Requests:
    """Answers requests, as a WSGI application."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request. What it raises is for the server that called, to let its connection go."""
        cors: Headers = []
        try:
            cors = self._cors(environ)
            return self._route(environ, start_response, cors)
        except Refused as refused:
            body = json.dumps(str(refused)).encode()
            if environ.get("wsgi.websocket") is not None:
                code = AGAIN_LATER if refused.status.startswith("503") else POLICY
                return self._refuse_websocket(environ, start_response, code)
            headers = [("Content-Type", "application/json"), *refused.headers]
            # A server would read on to the end of a body, however long it is.
            if refused.ends and (taken := take(environ, start_response)) is not None:
                self._hold(taken, cors, lambda poll: None).respond(refused.status, headers, body)
                return taken.let_go()
            return _respond(start_response, refused.status, [*headers, *cors], body)

    def _cors(self, environ: Environ) -> Headers:
        """Return the headers that let a page of another origin read the answer. Raises Refused."""
        origin = environ.get("HTTP_ORIGIN")
        if not origin:
            return []
        if not self._engine.allows(origin, environ):
            raise bad("Not an accepted origin.")
        headers = [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true")]
        if environ["REQUEST_METHOD"] == "OPTIONS":
            headers.append(("Access-Control-Allow-Methods", "OPTIONS, GET, POST"))
            if asked := environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS"):
                headers.append(("Access-Control-Allow-Headers", asked))
        return [*headers, ("Vary", "Origin")]

    def _route(self, environ: Environ, start_response: StartResponse, cors: Headers) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return _respond(start_response, "200 OK", cors, b"")
        if method not in ("GET", "POST"):
            raise bad("The method is not GET or POST.")
        query = parse_qs(environ.get("QUERY_STRING", ""))
        transport, sid = query.get("transport"), query.get("sid")
        if transport not in (["polling"], ["websocket"]):
            raise bad("transport has to be polling or websocket.")
        if query.get("EIO") != ["4"]:
            raise bad("Protocol version 4 of Engine.IO is spoken here: socket.io-client 3 and newer.")
        if "j" in query:
            raise bad("JSONP is no part of this protocol version.")
        session = self._session(sid[0]) if sid else None
        if transport == ["websocket"]:
            return self._connect(session, environ, start_response)
        if method == "POST":
            return self._post(session, environ, start_response, cors)
        if session is None:
            return self._open(environ, start_response, cors)
        return self._poll(session, environ, start_response, cors)

    def _session(self, sid: str) -> Session:
        session = self._engine.sockets.get(sid)
        if session is None or session.closed:
            raise bad("There is no such session.")
        return session

    def _admitted(self, environ: Environ) -> tuple[Session, bytes]:
        refusal = self._engine.admit(environ)
        if refusal is not None:
            raise Refused("503 Service Unavailable", refusal, RETRY)
        return self._engine.open_session(environ)

    # Polling

    def _open(self, environ: Environ, start_response: StartResponse, cors: Headers) -> Iterable[bytes]:
        session, opened = self._admitted(environ)
        session.start(opened)
        return _respond(start_response, "200 OK", [CONTENT_TYPE, *cors], decode_frame(opened)[1])

    def _poll(
        self, session: Session, environ: Environ, start_response: StartResponse, cors: Headers
    ) -> Iterable[bytes]:
        self._check_polling(session)
        if session.has_poll:
            session.end("two polls at once")
            raise bad("Two polls at once.")
        taken = take(environ, start_response)
        if taken is None:
            waiting = WaitingPoll()
            session.hold(waiting)
            return _respond(start_response, "200 OK", [CONTENT_TYPE, *cors], waiting.wait())
        session.hold(self._hold(taken, cors, session.poll_lost))
        return taken.let_go()

    def _hold(self, taken: Taken, cors: Headers, on_lost: Callable[[Poll], None]) -> Poll:
        return Poll(taken.socket, cors, self._engine.reactor, self._engine.deadlines, on_lost)

    @staticmethod
    def _check_polling(session: Session) -> None:
        if session.upgraded:
            raise bad("The session is on WebSocket.")

    def _post(
        self, session: Session | None, environ: Environ, start_response: StartResponse, cors: Headers
    ) -> Iterable[bytes]:
        if session is None:
            raise bad("There is no such session.")
        self._check_polling(session)
        if session.is_posting:
            session.end("two posts at once")
            raise bad("Two posts at once.")
        session.is_posting = True
        try:
            self._take_post(session, environ)
        finally:
            session.is_posting = False
        return _respond(start_response, "200 OK", [CONTENT_TYPE, *cors], b"ok")

    def _take_post(self, session: Session, environ: Environ) -> None:
        """Handle all packets of a POST, or none. Raises Refused."""
        body = self._body(environ)
        if session.closed:
            raise bad("The session is over.")
        try:
            messages = [
                session.parse(packet)
                for packet in parse_payload(body, self._engine.limits.packets_per_request)
            ]
        except Fault as fault:
            session.fail(fault)
            raise bad("The payload is malformed.") from None
        done = Event()
        failed: list[Fault] = []

        def work() -> None:
            try:
                for message in messages:
                    session.handle(message)
            except Fault as fault:
                failed.append(fault)
                session.fail(fault)
            finally:
                done.set()

        session.run(work)
        done.wait()
        if failed:
            raise bad("A packet is not allowed.")

    def _body(self, environ: Environ) -> bytes:
        most = self._engine.limits.frame_bytes
        declared = environ.get("CONTENT_LENGTH") or ""
        too_big = Refused("413 Content Too Large", f"At most {most} bytes.", ends=True)
        if declared.isdigit() and int(declared) > most:
            raise too_big
        # One byte more than is allowed, for what comes in chunks declares nothing.
        size = int(declared) if declared.isdigit() else most + 1
        body = bytearray()
        with gevent.Timeout(_BODY_SECONDS, False), contextlib.suppress(OSError):
            body += environ["wsgi.input"].read(size)
        if len(body) > most:
            raise too_big
        if declared and len(body) < size:
            raise Refused("400 Bad Request", "The body breaks off.", ends=True)
        return bytes(body)

    # WebSocket

    def _connect(
        self, session: Session | None, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        if session is not None:
            self._check_polling(session)
            if session.is_probing:
                raise bad("The session has a WebSocket already.")
        opened = None
        greeting = b""
        if environ.get("wsgi.websocket") is None:
            greeting = _handshake(environ)
        if session is None:
            session, opened = self._admitted(environ)
        try:
            taken = take(environ, start_response)
        except OSError as error:  # no descriptor is left
            if opened is not None:
                session.end("it could not be held")
            logger.warning("a connection cannot be held: %s", error.strerror)
            raise Refused("503 Service Unavailable", "The chat is full.", RETRY) from None
        if taken is None:
            if opened is not None:
                session.end("no WebSocket here")
            raise Refused("501 Not Implemented", "No WebSocket here: TLS has to end in the proxy before us.")
        with contextlib.suppress(OSError):  # who is gone already is noticed by the first read
            taken.socket.send(greeting)  # a fresh connection takes more than these few bytes
        websocket = self._websocket(taken, session)
        if opened is not None:
            session.start(opened, websocket)
        else:
            session.probe(websocket)
        return taken.let_go()

    def _websocket(self, taken: Taken, session: Session) -> WebSocket:
        limits = self._engine.limits
        return WebSocket(
            taken.socket,
            session,
            self._engine.reactor,
            self._engine.deadlines,
            max_bytes=limits.frame_bytes,
            max_fragments=limits.fragments_per_message,
            max_rest_bytes=limits.outbox_bytes,
        )

    @staticmethod
    def _refuse_websocket(environ: Environ, start_response: StartResponse, code: int) -> Iterable[bytes]:
        """Refuse after the handshake: gevent-websocket makes it before it asks us."""
        taken = take(environ, start_response)
        if taken is None:
            return []
        with contextlib.suppress(OSError):
            taken.socket.send(encode_close(code))
        taken.socket.close()
        return taken.let_go()


def _handshake(environ: Environ) -> bytes:
    try:
        return handshake.answer_to(environ)
    except handshake.HandshakeError as error:
        raise Refused(error.status, str(error), *error.headers) from None


def _respond(start_response: StartResponse, status: str, headers: Headers, body: bytes) -> Iterable[bytes]:
    start_response(status, [*headers, ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
    return [body]

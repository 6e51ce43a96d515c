"""Engine.IO over HTTP: handshakes, polls, posts, and the requests that become WebSockets."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Sequence
from typing import Protocol
from urllib.parse import parse_qs

import gevent
from gevent.event import Event

from chatapp.cluster.handover import Handover, Passed
from chatapp.engine import handshake
from chatapp.engine.deadlines import Deadlines
from chatapp.engine.dialect import Dialect, Query
from chatapp.engine.exchange import Exchange, kept
from chatapp.engine.faults import Fault
from chatapp.engine.frames import AGAIN_LATER, POLICY
from chatapp.engine.payload import Headers
from chatapp.engine.polls import WaitingPoll
from chatapp.engine.reactor import Reactor
from chatapp.engine.refused import Refused, bad
from chatapp.engine.session import Session
from chatapp.engine.takeover import Environ, Taken
from chatapp.engine.websocket import WebSocket
from chatapp.settings import Limits

logger = logging.getLogger("chatapp.engine")

#: When a client that found the house full, or closing, may try again: in so many seconds.
RETRY = ("Retry-After", "5")
#: How long a client may take to send the body of a request.
_BODY_SECONDS = 10

_NO_SESSION = "There is no such session."
#: Why a closing server lets nobody in.
CLOSING = "The server is about to restart."


class Engine(Protocol):
    """What requests work with."""

    reactor: Reactor
    deadlines: Deadlines
    limits: Limits
    sockets: dict[str, Session]
    #: To the other workers; None if there can be none.
    handover: Handover | None
    #: Nobody is let in any more.
    is_closing: bool

    def allows(self, origin: str, environ: Environ) -> bool:
        """Return whether pages of this origin may connect."""

    def admit(self, environ: Environ) -> str | None:
        """Return why nobody more is let in, None if somebody is."""

    def open_session(self, environ: Environ, query: Query, dialect: Dialect) -> tuple[Session, bytes]:
        """Return a new session and its first packet's frame. Raises Refused."""


def _again_later(reason: str) -> Refused:
    """Return the answer to a request that may succeed in a moment."""
    return Refused("503 Service Unavailable", reason, RETRY)


class Requests:
    """Answers requests in all these dialects, and hands over those for sessions of other workers."""

    def __init__(self, engine: Engine, dialects: Sequence[Dialect]) -> None:
        self._engine = engine
        self._dialects = dialects

    def answer(self, exchange: Exchange) -> Iterable[bytes]:
        """Answer one request; return what a WSGI application returns. What it raises is for the server
        that called, to let its connection go."""
        try:
            exchange.cors = self._cors(exchange)
            return self._route(exchange)
        except Refused as refused:
            if exchange.is_websocket:
                return exchange.close(AGAIN_LATER if refused.status.startswith("503") else POLICY)
            if refused.ends:  # a server would read on to the end of a body, however long it is
                exchange.take()
            headers = [("Content-Type", "application/json"), *refused.headers]
            return exchange.respond(refused.status, headers, json.dumps(str(refused)).encode())

    def _cors(self, exchange: Exchange) -> Headers:
        """Return the headers that let a page of another origin read the answer. Raises Refused."""
        environ = exchange.environ
        origin = environ.get("HTTP_ORIGIN")
        if not origin:
            return []
        if not self._engine.allows(origin, environ):
            raise bad("Not an accepted origin.")
        headers = [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true")]
        if exchange.method == "OPTIONS":
            headers.append(("Access-Control-Allow-Methods", "OPTIONS, GET, POST"))
            if asked := environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS"):
                headers.append(("Access-Control-Allow-Headers", asked))
        return [*headers, ("Vary", "Origin")]

    def _route(self, exchange: Exchange) -> Iterable[bytes]:
        if exchange.method == "OPTIONS":
            return exchange.respond("200 OK", [], b"")
        if exchange.method not in ("GET", "POST"):
            raise bad("The method is not GET or POST.")
        query = parse_qs(exchange.environ.get("QUERY_STRING", ""), keep_blank_values=True)
        transport, sid = query.get("transport"), query.get("sid", [""])[0]
        if transport not in (["polling"], ["websocket"]):
            raise bad("transport has to be polling or websocket.")
        dialect = self._dialect(query)
        handed = self._hand_over(exchange, sid or None)
        if handed is not None:
            return handed
        session = self._session(sid, dialect) if sid else None
        if transport == ["websocket"]:
            return self._connect(session, exchange, query, dialect)
        if exchange.method == "POST":
            return self._post(session, exchange)
        if session is None:
            return self._open(exchange, query, dialect)
        return self._poll(session, exchange)

    def _dialect(self, query: Query) -> Dialect:
        for dialect in self._dialects:
            if dialect.is_asked(query.get("EIO")):
                return dialect
        spoken = " or ".join(str(dialect.version) for dialect in self._dialects)
        raise bad(f"Of Engine.IO's protocol, version {spoken} is spoken here.")

    def _session(self, sid: str, dialect: Dialect) -> Session:
        session = self._engine.sockets.get(sid)
        if session is None or session.closed or session.version != dialect.version:
            raise bad(_NO_SESSION)
        return session

    def _admitted(self, environ: Environ, query: Query, dialect: Dialect) -> tuple[Session, bytes]:
        refusal = self._engine.admit(environ)
        if refusal is not None:
            raise _again_later(refusal)
        return self._engine.open_session(environ, query, dialect)

    # Other workers

    def _hand_over(self, exchange: Exchange, sid: str | None) -> Iterable[bytes] | None:
        """Let the worker answer that has this session; without one, some other if nobody is let in here.
        Return None if this worker is to answer: it has the session, or nobody has."""
        handover = self._engine.handover
        if handover is None or exchange.is_handed:
            return None
        if sid is not None:
            worker_id = handover.owner(sid)
        else:
            worker_id = handover.any_other() if self._engine.is_closing else None
        if worker_id is None:
            return None
        body = self._body(exchange.environ) if exchange.method == "POST" else b""
        taken = self._take(exchange)
        if taken is None:
            return None
        request = Passed(_passed(exchange.environ, body), taken.is_websocket, body)
        if not handover.send(worker_id, request, taken.socket):
            return None
        taken.socket.close()
        return taken.let_go()

    @staticmethod
    def _take(exchange: Exchange) -> Taken | None:
        try:
            return exchange.take()
        except OSError as error:  # no descriptor is left
            logger.warning("a connection cannot be held: %s", error.strerror)
            raise _again_later("The chat is full.") from None

    # Polling

    def _open(self, exchange: Exchange, query: Query, dialect: Dialect) -> Iterable[bytes]:
        session, opened = self._admitted(exchange.environ, query, dialect)
        session.start(opened)
        return exchange.respond("200 OK", *session.payload_format.encode([opened]))

    def _poll(self, session: Session, exchange: Exchange) -> Iterable[bytes]:
        self._check_polling(session)
        if session.has_poll:
            session.end("two polls at once")
            raise bad("Two polls at once.")
        taken = exchange.take()
        if taken is None:
            waiting = WaitingPoll(session.payload_format)
            session.hold(waiting)
            return exchange.respond("200 OK", *waiting.wait())
        session.hold(exchange.hold(taken, session.poll_lost, session.payload_format))
        return taken.let_go()

    @staticmethod
    def _check_polling(session: Session) -> None:
        if session.upgraded:
            raise bad("The session is on WebSocket.")

    def _post(self, session: Session | None, exchange: Exchange) -> Iterable[bytes]:
        if session is None:
            raise bad(_NO_SESSION)
        self._check_polling(session)
        if session.is_posting:
            session.end("two posts at once")
            raise bad("Two posts at once.")
        session.is_posting = True
        try:
            self._take_post(session, exchange.environ)
        finally:
            session.is_posting = False
        return exchange.respond("200 OK", *session.payload_format.thanks)

    def _take_post(self, session: Session, environ: Environ) -> None:
        """Handle all packets of a POST, or none. Raises Refused."""
        body = self._body(environ)
        if session.closed:
            raise bad("The session is over.")
        try:
            packets = session.payload_format.parse(body, self._engine.limits.packets_per_request)
            messages = [session.parse(packet) for packet in packets]
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
        self, session: Session | None, exchange: Exchange, query: Query, dialect: Dialect
    ) -> Iterable[bytes]:
        if session is not None:
            self._check_polling(session)
            if session.is_probing:
                raise bad("The session has a WebSocket already.")
        opened = None
        greeting = b"" if exchange.is_websocket else _handshake(exchange.environ)
        if session is None:
            session, opened = self._admitted(exchange.environ, query, dialect)
        try:
            taken = self._take(exchange)
            if taken is None:
                raise Refused(
                    "501 Not Implemented", "No WebSocket here: TLS has to end in the proxy before us."
                )
        except Refused:
            if opened is not None:
                session.end("it could not be held")
            raise
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
        return session.websocket_type(
            taken.socket,
            session,
            self._engine.reactor,
            self._engine.deadlines,
            max_bytes=limits.frame_bytes,
            max_fragments=limits.fragments_per_message,
            max_rest_bytes=limits.outbox_bytes,
        )


def _handshake(environ: Environ) -> bytes:
    try:
        return handshake.answer_to(environ)
    except handshake.HandshakeError as error:
        raise Refused(error.status, str(error), *error.headers) from None


def _passed(environ: Environ, body: bytes) -> dict[str, str]:
    """Return what another worker needs to know of a request whose body was read."""
    head = {key: value for key, value in kept(environ).items() if isinstance(value, str)}
    if environ["REQUEST_METHOD"] == "POST":
        return head | {"CONTENT_LENGTH": str(len(body))}
    return head | {"CONTENT_LENGTH": str(environ.get("CONTENT_LENGTH") or "")}

"""One Socket.IO connection: python-socketio's client, made to keep order and to say what went wrong."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import engineio
import requests
import socketio
import websocket

#: Hands a piece of work to the connection's thread.
Post = Callable[[Callable[[], None]], None]

#: What the client calls itself to the site.
DEFAULT_USER_AGENT = "chatapp client"

#: Seconds to wait for each answer of the handshake.
HANDSHAKE_SECONDS = 5.0
#: Seconds for a polite goodbye.
GOODBYE_SECONDS = 2.0

logger = logging.getLogger("chatapp.client.link")

#: The libraries' own loggers write to the person's terminal, and at lower levels what was said.
_SILENT = logging.Logger("silent", logging.CRITICAL + 1)

#: What the libraries raise, besides their own errors, when the other side is no Engine.IO server.
_NO_SENSE = (ValueError, LookupError, TypeError, AttributeError)

#: python-engineio takes an answer to a poll with more packets than its bound of 16 for a broken connection; a
#: server may well have had more to say since the last.
MAX_PACKETS_PER_POLL = 100_000


def allow_long_polls() -> None:
    """Raise that bound. It holds for the whole process, so this is for one that is only a client."""
    engineio.payload.Payload.max_decode_packets = MAX_PACKETS_PER_POLL


class LinkError(Exception):
    """No connection can be made; the message is a sentence for the person."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and how. Without `transports` polling begins and WebSocket takes over if it can."""

    url: str
    path: str = "/socket.io"
    transports: tuple[str, ...] | None = None
    cookies: tuple[tuple[str, str], ...] = ()
    user_agent: str = DEFAULT_USER_AGENT


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears of a link; each is called by way of the link's `Post`."""

    opened: Callable[[], None]
    #: with the reason for which the server does not let one in
    refused: Callable[[str], None]
    #: with the event and its payload
    received: Callable[[str, object], None]
    lost: Callable[[], None]


class Link:
    """One attempt to connect, and the connection it becomes. Not used again once lost."""

    def __init__(self, target: Target, post: Post, listener: Listener) -> None:
        self._target = target
        self._post = post
        self._listener = listener
        self._http = _Http(target)
        self._client = _Client(
            post=post,
            lost=listener.lost,
            http_session=self._http,
            reconnection=False,
            handle_sigint=False,
            request_timeout=HANDSHAKE_SECONDS,
            websocket_extra_options={"class_": _WebSocket},
            logger=_SILENT,
            engineio_logger=_SILENT,
        )
        self._client.on("connect", lambda: post(listener.opened))
        self._client.on("*", self._received)

    def connect(self) -> None:
        """Make the connection; the listener hears the rest. Blocks for seconds at most. Raises LinkError."""
        target = self._target
        try:
            self._client.connect(
                target.url,
                headers={"User-Agent": target.user_agent},  # of the handshake; later polls have the session's
                transports=list(target.transports) if target.transports else None,
                namespaces=["/"],
                socketio_path=target.path,
                wait=False,
            )
        except (socketio.exceptions.SocketIOError, OSError, *_NO_SENSE) as error:
            raise LinkError(f"Cannot connect to {target.url}: {_reason(error, self._http)}") from error
        # Only now: before, this event also tells what `connect` raises.
        self._client.on("connect_error", self._refused)

    def call(self, event: str, payload: object, on_answer: Callable[[object], None]) -> None:
        """Send `event`; `on_answer` gets what is acknowledged. On a lost connection nothing happens."""

        def acknowledged(*args: object) -> None:
            self._post(partial(on_answer, args[0] if args else None))

        try:
            self._client.emit(event, payload, callback=acknowledged)
        except socketio.exceptions.BadNamespaceError:
            logger.debug("not sent: the connection is being lost")

    def close(self) -> None:
        """Say goodbye. Takes seconds at most, whatever the network does."""
        goodbye = threading.Thread(target=self._say_goodbye, daemon=True)
        goodbye.start()
        goodbye.join(GOODBYE_SECONDS)

    def _say_goodbye(self) -> None:
        try:
            self._client.disconnect()
        except (OSError, RuntimeError, *_NO_SENSE) as error:
            logger.debug("the goodbye failed: %s", type(error).__name__)
        # A connection that the other side has ended is still open on this one.
        if self._client.eio.ws is not None:
            self._client.eio.ws.shutdown()
        self._http.close()

    def _received(self, event: str, *args: object) -> None:
        self._post(partial(self._listener.received, event, args[0] if args else None))

    def _refused(self, why: object = None) -> None:
        message = why.get("message") if isinstance(why, dict) else why
        sentence = message if isinstance(message, str) and message else "The server refused the connection."
        self._post(partial(self._listener.refused, sentence))


class _Client(socketio.Client):
    """python-socketio's client on the engine below."""

    def __init__(self, *, post: Post, lost: Callable[[], None], **options: Any) -> None:
        self._engine_class = partial(_Engine, post=post, lost=lost)
        super().__init__(**options)

    def _engineio_client_class(self) -> Callable[..., _Engine]:
        return self._engine_class


class _Engine(engineio.Client):
    """python-engineio's client, but what arrives is handled in order, and no thread dies unheard.

    The original starts a thread for every packet; those run in any order.
    """

    def __init__(self, *, post: Post, lost: Callable[[], None], **options: Any) -> None:
        self._post = post
        self._lost = lost
        super().__init__(**options)

    def _trigger_event(self, event: str, *args: Any, **options: Any) -> Any:
        if options.pop("run_async", False):
            self._post(partial(self._guarded, self.handlers[event], *args))
            return None
        result = super()._trigger_event(event, *args, **options)
        if event == "disconnect":
            self._post(self._lost)
        return result

    def disconnect(self, abort: bool = False, reason: str | None = None) -> None:
        """Say goodbye while polling, too: the original does not while another request is under way."""
        if not abort and self.state == "connected" and self.current_transport == "polling":
            close = engineio.packet.Packet(engineio.packet.CLOSE).encode()
            self._send_request("POST", self.base_url, body=close, timeout=GOODBYE_SECONDS)
        super().disconnect(abort, reason)

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return super().start_background_task(self._guarded, target, *args, **kwargs)

    def _guarded(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Let malformed packets, and failures the library did not think of, end the connection."""
        try:
            target(*args, **kwargs)
        except Exception:
            logger.debug("the connection failed", exc_info=True)
            self._post(self._lost)


class _WebSocket(websocket.WebSocket):
    """websocket-client's socket, which closes at once.

    The original waits 3 s for the answering Close frame, in vain when the reading thread gets it.
    """

    def close(self, status: int = 1000, reason: str | bytes = b"", timeout: float | None = 0) -> None:
        super().close(status, reason, timeout)


class _Http(requests.Session):
    """The session for polling. It sends the cookies to the target's host, and remembers what went wrong."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.last_error: BaseException | None = None
        self.last_status = 0
        self.headers["User-Agent"] = target.user_agent
        host = urlsplit(target.url).hostname or ""
        host = f"[{host}]" if ":" in host else host
        # http.cookiejar calls hosts without a dot "<host>.local" (eff_request_host).
        domain = host if "." in host else f"{host}.local"
        for name, value in target.cookies:
            self.cookies.set(name, value, domain=domain, path="/")

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            response = super().request(*args, **kwargs)
        except requests.RequestException as error:
            self.last_error = error
            raise
        self.last_status = response.status_code
        return response


def _reason(error: BaseException, http: _Http) -> str:
    """Return why a connection could not be made, without the libraries' inner words."""
    status = http.last_status
    for cause in _causes(http.last_error or error):
        if isinstance(cause, ConnectionRefusedError):
            return "nothing listens there."
        if isinstance(cause, socket.gaierror):
            return "there is no such host."
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed ({cause.reason or 'no reason given'})."
        if isinstance(cause, TimeoutError):
            return "no answer came in time."
        status = getattr(cause, "status_code", status)
    if status == requests.codes.service_unavailable:
        return "the server is busy or restarting (HTTP 503)."
    if status and status != requests.codes.ok:
        return f"the answer was HTTP {status}; is the path right?"
    return "no chat server answered."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

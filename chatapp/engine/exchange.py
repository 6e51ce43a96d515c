"""A request and the ways to answer it, wherever it came from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from chatapp.engine.deadlines import Deadlines
from chatapp.engine.frames import encode_close
from chatapp.engine.payload import SEPARATED, Headers, PayloadFormat
from chatapp.engine.polls import Poll
from chatapp.engine.reactor import Reactor
from chatapp.engine.takeover import Environ, Taken, take

StartResponse = Callable[..., Any]

#: What is kept of a request for the connect handlers: what the client said, and not how the server
#: that hosts us keeps it.
_KEPT = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "REMOTE_PORT")
_KEPT_TOO = ("SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "wsgi.url_scheme")


def kept(environ: Environ) -> Environ:
    """Return what a client said in the head of its request."""
    found = {key: environ[key] for key in (*_KEPT, *_KEPT_TOO) if key in environ}
    return found | {key: value for key, value in environ.items() if key.startswith("HTTP_")}


class Exchange:
    """A request, as WSGI has it, and its answer: through the server that hosts us or, once the connection
    is taken, on that, which ends with it. One from another worker comes with its connection."""

    def __init__(
        self,
        environ: Environ,
        reactor: Reactor,
        deadlines: Deadlines,
        *,
        start_response: StartResponse | None = None,
        taken: Taken | None = None,
    ) -> None:
        self.environ = environ
        #: It was handed over by another worker.
        self.is_handed = taken is not None
        #: Headers of every answer.
        self.cors: Headers = []
        self._reactor = reactor
        self._deadlines = deadlines
        self._start_response = start_response
        self._taken = taken

    @property
    def method(self) -> str:
        """Its method."""
        return str(self.environ["REQUEST_METHOD"])

    @property
    def is_websocket(self) -> bool:
        """Whether the handshake was made before we were asked: gevent-websocket does that."""
        if self._taken is not None:
            return self._taken.is_websocket
        return self.environ.get("wsgi.websocket") is not None

    def take(self) -> Taken | None:
        """Return its connection, which is ours then; None where it can't be had. Raises OSError if no
        descriptor is left."""
        if self._taken is None:
            self._taken = take(self.environ, self._start_response)
        return self._taken

    def hold(
        self, taken: Taken, on_lost: Callable[[Poll], None], payload_format: PayloadFormat = SEPARATED
    ) -> Poll:
        """Return a poll on its connection."""
        return Poll(taken.socket, self.cors, self._reactor, self._deadlines, on_lost, payload_format)

    def respond(self, status: str, headers: Headers, body: bytes) -> Iterable[bytes]:
        """Answer with this response."""
        headers = [*headers, ("Cache-Control", "no-store")]
        if self._taken is not None:
            self.hold(self._taken, lambda poll: None).respond(status, headers, body)
            return self._taken.let_go()
        assert self._start_response is not None
        self._start_response(status, [*headers, *self.cors, ("Content-Length", str(len(body)))])
        return [body]

    def close(self, code: int) -> Iterable[bytes]:
        """End a WebSocket with this code (RFC 6455 section 7.4)."""
        taken = self.take()
        if taken is None:
            return []
        with contextlib.suppress(OSError):  # its client may be gone
            taken.socket.send(encode_close(code))
        taken.socket.close()
        return taken.let_go()

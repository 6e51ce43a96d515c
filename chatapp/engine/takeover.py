"""Taking a request's connection from the server that hosts us, whichever it is.

The descriptor is duplicated and the server is made to let go of its own: it must neither read from the
connection again, nor shut it down. What is taken costs neither a greenlet nor one of gunicorn's
``worker_connections``.
"""

from __future__ import annotations

import _socket
import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from gevent.pywsgi import Input, WSGIHandler

Environ = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Taken:
    """A connection that is ours now. The application ends with ``return taken.let_go()``."""

    socket: _socket.socket
    #: gevent-websocket has made the WebSocket handshake before it asked us.
    is_websocket: bool
    let_go: Callable[[], Iterable[bytes]]


def take(environ: Environ, start_response: Any) -> Taken | None:
    """Return the request's connection, None where it can't be had: TLS ends in this process, or the
    server is none that we know."""
    if environ.get("wsgi.websocket") is not None:
        return _from_gevent_websocket(environ["wsgi.websocket"])
    if "gunicorn.socket" in environ:
        lent = environ["gunicorn.socket"]
        return None if _is_tls(lent) else Taken(_duplicate(lent), False, _stop_iteration)
    handler = getattr(start_response, "__self__", None)
    if isinstance(handler, WSGIHandler) and not _is_tls(handler.socket):
        return _from_pywsgi(handler)
    return None


def _from_pywsgi(handler: Any) -> Taken:
    taken = Taken(_duplicate(handler.socket), False, list)
    _release(handler)
    return taken


def _from_gevent_websocket(websocket: Any) -> Taken | None:
    if _is_tls(websocket.handler.socket):
        return None
    taken = Taken(_duplicate(websocket.handler.socket), True, list)
    _release(websocket.handler)
    websocket.stream = websocket.raw_read = websocket.raw_write = websocket.environ = None
    websocket.closed = True  # or it would send a Close frame
    return taken


def _release(handler: Any) -> None:
    """Make pywsgi's handler end without reading on, which it does to the end of its connection."""
    handler.socket.close()
    handler.socket = None
    handler.wsgi_input = Input(None, 0)  # what a body has left, it would read
    handler.close_connection = True


def _stop_iteration() -> NoReturn:
    """Make gunicorn's async workers let go: what an application returns leaves their loop reading."""
    raise StopIteration


def _duplicate(lent: Any) -> _socket.socket:
    # The plain type: it neither waits nor takes the memory of gevent's.
    taken = _socket.socket(fileno=os.dup(lent.fileno()))
    taken.settimeout(0)
    with contextlib.suppress(OSError):  # a Unix socket
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return taken


def _is_tls(lent: Any) -> bool:
    return isinstance(lent, ssl.SSLSocket) or hasattr(lent, "getpeercert")

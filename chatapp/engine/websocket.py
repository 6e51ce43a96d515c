"""WebSocket under whichever server hosts us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent.event
import gevent.selectors
from engineio.async_drivers import gevent as gevent_driver
from engineio.async_drivers._websocket_wsgi import SimpleWebSocketWSGI
from geventwebsocket.handler import WebSocketHandler

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Any]


class Handler(WebSocketHandler):
    """gevent-websocket's handler without its access log: request lines hold session ids.

    It makes the handshake before the application is asked. So it leaves pages that
    ``server.is_allowed(origin, environ)`` does not allow to the application, as a plain request.
    """

    def log_request(self) -> None:
        """Write nothing."""

    def upgrade_websocket(self) -> Any:
        """Make the handshake; without one the request goes to the application as it is."""
        origin = self.environ.get("HTTP_ORIGIN")
        if origin and not self.server.is_allowed(origin, self.environ):
            return None
        return super().upgrade_websocket()


def websocket_driver(handler: Callable[[Any], Any], server: Any) -> Wsgi:
    """Return the WSGI application that makes the handshake and then runs `handler`.

    gevent's WSGI server with gevent-websocket's handler, alone or as gunicorn's worker, has done the
    handshake before us. gunicorn's own workers leave it to the application and lend it the socket.
    """

    def run(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if "wsgi.websocket" in environ:
            return gevent_driver.WebSocketWSGI(handler, server)(environ, start_response)
        if "gunicorn.socket" in environ:
            return _on_lent_socket(handler, server)(environ, start_response)
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [b"This server does not speak WebSocket; use polling."]

    return run


def _on_lent_socket(handler: Callable[[Any], Any], server: Any) -> Wsgi:
    # gevent's own classes, as they are: nobody is asked to have patched the standard library.
    driver: Wsgi = SimpleWebSocketWSGI(
        handler,
        server,
        thread_class=gevent_driver.Thread,
        event_class=gevent.event.Event,
        selector_class=gevent.selectors.DefaultSelector,
    )
    return driver

"""gevent's WSGI server, as `chatapp serve` uses it."""

from __future__ import annotations

import gevent
from gevent.pywsgi import WSGIHandler

#: How long a connection may be idle between requests, and how long a request's head may take.
_KEEP_ALIVE_SECONDS = 30
_HEAD_SECONDS = 10


class Handler(WSGIHandler):
    """Without an access log, for request lines hold session ids, and with an end to waiting."""

    def log_request(self) -> None:
        """Write nothing."""

    def read_requestline(self) -> str:
        """Return the next request's first line; empty when none came in time."""
        with gevent.Timeout(_KEEP_ALIVE_SECONDS, False):
            return str(super().read_requestline())
        return ""  # type: ignore[unreachable]  # a Timeout of gevent's ends its block

    def read_request(self, raw_requestline: str) -> bool:
        """Read a request's head; without success when it did not come in time."""
        with gevent.Timeout(_HEAD_SECONDS, False):
            return bool(super().read_request(raw_requestline))
        return False  # type: ignore[unreachable]

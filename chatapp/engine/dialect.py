"""Versions of Engine.IO's protocol: what a request's version decides."""

from __future__ import annotations

from typing import Protocol

from chatapp.engine.refused import bad
from chatapp.engine.session import Host, Session
from chatapp.engine.takeover import Environ

#: A request's query, as `urllib.parse.parse_qs` returns it.
Query = dict[str, list[str]]


class Dialect(Protocol):
    """A version of the protocol."""

    version: int

    def is_asked(self, versions: list[str] | None) -> bool:
        """Return whether a request whose `EIO` is this, or that has none, asks for it."""

    def session(self, host: Host, sid: str, address: str, environ: Environ, query: Query) -> Session:
        """Return a new session of whoever sent this request. Raises Refused."""


class Protocol4:
    """The present one: socket.io-client 3 and newer."""

    version = Session.version

    def is_asked(self, versions: list[str] | None) -> bool:
        """See `Dialect`."""
        return versions == ["4"]

    def session(self, host: Host, sid: str, address: str, environ: Environ, query: Query) -> Session:
        """See `Dialect`."""
        if "j" in query:
            raise bad("JSONP is no part of this protocol version.")
        return Session(host, sid, address)


PROTOCOL_4 = Protocol4()

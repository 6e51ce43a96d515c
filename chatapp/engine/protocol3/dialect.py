"""What a request of socket.io-client 1.x or 2.x asks for."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from chatapp.engine.dialect import Query
from chatapp.engine.origins import Origins
from chatapp.engine.payload import PayloadFormat
from chatapp.engine.protocol3.payload import Bytes, Jsonp, Plain
from chatapp.engine.protocol3.session import Session3
from chatapp.engine.protocol3.websocket import TextWebSocket3, WebSocket3
from chatapp.engine.refused import bad
from chatapp.engine.session import Host
from chatapp.engine.takeover import Environ

#: The cookie, and the parameter, in which a page without `auth` says whose it is.
TOKEN_COOKIE = "chatapp_token"
TOKEN_PARAMETER = "token"

#: What a page calls one of its scripts.
_NUMBER = re.compile("[0-9]{1,9}")


class Protocol3:
    """See `dialect.Dialect`."""

    version = Session3.version

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._plain, self._bytes = Plain(), Bytes()

    def is_asked(self, versions: list[str] | None) -> bool:
        """See `dialect.Dialect`."""
        return versions is None or versions == ["3"]

    def session(self, host: Host, sid: str, address: str, environ: Environ, query: Query) -> Session3:
        """See `dialect.Dialect`."""
        payload_format = self._payload_format(environ, query)
        websocket_type = TextWebSocket3 if "b64" in query else WebSocket3
        return Session3(host, sid, address, _auth(environ, query), payload_format, websocket_type)

    def _payload_format(self, environ: Environ, query: Query) -> PayloadFormat:
        numbers = query.get("j")
        if numbers is None:
            return self._plain if "b64" in query else self._bytes
        number = numbers[0]
        if len(numbers) > 1 or not _NUMBER.fullmatch(number):
            raise bad("j has to be a number.")
        self._check_page(environ)
        return Jsonp(int(number))

    def _check_page(self, environ: Environ) -> None:
        """A script's request has no Origin header, and any page may run what it is answered."""
        if environ.get("HTTP_ORIGIN"):
            return  # it has been checked
        referer = environ.get("HTTP_REFERER")
        if not referer:
            if environ.get("HTTP_SEC_FETCH_SITE") != "same-origin":
                raise bad("JSONP is for pages that say which they are.")
            return
        try:
            address = urlsplit(referer)
        except ValueError:
            address = urlsplit("")
        if not self._origins(f"{address.scheme}://{address.netloc}", environ):
            raise bad("Not an accepted origin.")


def _auth(environ: Environ, query: Query) -> dict[str, str]:
    token = query.get(TOKEN_PARAMETER, [""])[0] or _cookie(environ)
    return {TOKEN_PARAMETER: token} if token else {}


def _cookie(environ: Environ) -> str:
    cookies: str = environ.get("HTTP_COOKIE", "")
    for cookie in cookies.split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == TOKEN_COOKIE and value:
            return value.strip('"')
    return ""

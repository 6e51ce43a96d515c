"""Whose pages may talk to us, by ``[app] allowed_origins``, and from which address a request comes."""

from __future__ import annotations

import ipaddress
from typing import Any

from chatapp.settings import App

DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Origins:
    """Decides by the Origin header (RFC 6454). What a proxy forwards is believed only if
    ``[app] trusted_proxies`` names the proxy."""

    def __init__(self, settings: App) -> None:
        self._allowed = frozenset(settings.allowed_origins)
        self._proxies = settings.trusted_proxies

    def __call__(self, origin: str | None, environ: dict[str, Any]) -> bool:
        """Return whether this Origin is allowed; None, for a request without one, is no page's."""
        if origin is None:
            return False
        if "*" in self._allowed:
            return True
        origin = normal_origin(origin)
        return origin in self._allowed or origin == self._own(environ)

    def _own(self, environ: dict[str, Any]) -> str | None:
        scheme, host = environ.get("wsgi.url_scheme", "http"), environ.get("HTTP_HOST", "")
        if self._is_trusted(environ.get("REMOTE_ADDR", "")):
            scheme = _first(environ.get("HTTP_X_FORWARDED_PROTO")) or scheme
            host = _first(environ.get("HTTP_X_FORWARDED_HOST")) or host
        if not host:
            return None
        # A WebSocket's scheme may come as ws or wss.
        scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
        return normal_origin(f"{scheme}://{host}")

    def client_address(self, environ: dict[str, Any]) -> str:
        """Return the address that a request comes from; empty if many clients may share it: a private
        one, such as that of a proxy which ``trusted_proxies`` does not name."""
        peer = environ.get("REMOTE_ADDR", "")
        if not self._is_trusted(peer):
            address = _parse_address(peer)
            return str(address) if address is not None and address.is_global else ""
        # Each proxy adds whom it heard from: the last one that is none of ours is the client.
        for hop in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            if not self._is_trusted(hop.strip()):
                address = _parse_address(hop.strip())
                return "" if address is None else str(address)
        return ""

    def _is_trusted(self, peer: str) -> bool:
        if not peer:  # a Unix socket has no address
            return "unix" in self._proxies
        address = _parse_address(peer)
        return address is not None and any(
            not isinstance(proxy, str) and address in proxy for proxy in self._proxies
        )


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # ::ffff:10.0.0.1 is what 10.0.0.1 is called by a socket of both families.
    return getattr(address, "ipv4_mapped", None) or address


def normal_origin(origin: str) -> str:
    """Return an origin in lower case, without its scheme's default port."""
    origin = origin.strip().lower()
    return origin.removesuffix(DEFAULT_PORTS.get(origin.partition("://")[0], "\0"))


def _first(header: str | None) -> str:
    return (header or "").partition(",")[0].strip()

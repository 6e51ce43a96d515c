"""The opening handshake of WebSocket (RFC 6455 section 4.2), as a server that borrows its HTTP."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HandshakeError(Exception):
    """The request is no WebSocket handshake; `status` and `headers` answer it."""

    def __init__(self, status: str, reason: str, *headers: tuple[str, str]) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers


def is_upgrade(environ: dict[str, Any]) -> bool:
    """Return whether the request asks for a WebSocket."""
    return "websocket" in _tokens(environ, "HTTP_UPGRADE")


def answer_to(environ: dict[str, Any]) -> bytes:
    """Return the 101 response. Raises HandshakeError."""
    if (
        environ["REQUEST_METHOD"] != "GET"
        or environ["SERVER_PROTOCOL"] != "HTTP/1.1"
        or "HTTP_HOST" not in environ
        or not is_upgrade(environ)
        or "upgrade" not in _tokens(environ, "HTTP_CONNECTION")
        or environ.get("CONTENT_LENGTH") not in (None, "", "0")
        or "HTTP_TRANSFER_ENCODING" in environ
    ):
        raise HandshakeError("400 Bad Request", "This is no WebSocket handshake.")
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
        raise HandshakeError(
            "426 Upgrade Required", "WebSocket version 13 is spoken here.", ("Sec-WebSocket-Version", "13")
        )
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
    try:
        is_valid = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:  # not base64, or not even ASCII
        is_valid = False
    if not is_valid:
        raise HandshakeError("400 Bad Request", "Sec-WebSocket-Key is not 16 bytes in base64.")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def _tokens(environ: dict[str, Any], name: str) -> list[str]:
    return [token.strip().lower() for token in environ.get(name, "").split(",")]

"""The opening handshake: what is answered by 101, what is refused, and how."""

from __future__ import annotations

from typing import Any

import pytest

from chatapp.engine.handshake import HandshakeError, answer_to, is_upgrade

#: The request of RFC 6455 section 1.3, as WSGI has it.
REQUEST: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "server.example.com",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


def test_the_example_of_the_rfc_is_answered_as_it_says() -> None:
    head, _, rest = answer_to(REQUEST).partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"HTTP/1.1 101 Switching Protocols"
    assert set(head.split(b"\r\n")[1:]) == {
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    }
    assert rest == b""


@pytest.mark.parametrize(
    "change",
    [
        {"HTTP_CONNECTION": "keep-alive, Upgrade"},
        {"HTTP_CONNECTION": "UPGRADE"},
        {"HTTP_UPGRADE": "WebSocket"},
        {"HTTP_UPGRADE": "h2c, websocket"},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "0"},
    ],
    ids=str,
)
def test_what_clients_and_proxies_write_otherwise_is_accepted(change: dict[str, str]) -> None:
    assert is_upgrade(REQUEST | change)
    assert answer_to(REQUEST | change).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    "change",
    [
        {"REQUEST_METHOD": "POST"},
        {"SERVER_PROTOCOL": "HTTP/1.0"},
        {"SERVER_PROTOCOL": "HTTP/2"},
        {"HTTP_HOST": None},
        {"HTTP_UPGRADE": None},
        {"HTTP_UPGRADE": "h2c"},
        {"HTTP_CONNECTION": None},
        {"HTTP_CONNECTION": "keep-alive"},
        {"CONTENT_LENGTH": "5"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"HTTP_SEC_WEBSOCKET_KEY": None},
        {"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZQ=="},  # not 16 bytes
        {"HTTP_SEC_WEBSOCKET_KEY": "no base64 but so long!!!"},
        {"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==,dGhlIHNhbXBsZSBub25jZQ=="},  # sent twice
        {"HTTP_SEC_WEBSOCKET_KEY": "d\xe9hlIHNhbXBsZSBub25jZQ=="},
    ],
    ids=str,
)
def test_what_is_no_handshake_is_refused(change: dict[str, str | None]) -> None:
    environ = {key: value for key, value in (REQUEST | change).items() if value is not None}
    with pytest.raises(HandshakeError) as refusal:
        answer_to(environ)
    assert refusal.value.status == "400 Bad Request"


@pytest.mark.parametrize("version", [None, "8", "14", "13, 8"])
def test_another_version_is_told_ours(version: str | None) -> None:
    environ = {
        key: value
        for key, value in (REQUEST | {"HTTP_SEC_WEBSOCKET_VERSION": version}).items()
        if value is not None
    }
    with pytest.raises(HandshakeError) as refusal:
        answer_to(environ)
    assert refusal.value.status == "426 Upgrade Required"
    assert refusal.value.headers == (("Sec-WebSocket-Version", "13"),)

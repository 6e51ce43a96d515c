"""How requests are answered: through their server, or on a connection that was taken or handed over."""

from __future__ import annotations

import _socket
import socket
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from chatapp.engine.deadlines import Deadlines
from chatapp.engine.exchange import Exchange, kept
from chatapp.engine.frames import POLICY, encode_close
from chatapp.engine.reactor import Reactor
from chatapp.engine.takeover import Taken

ORIGIN = ("Access-Control-Allow-Origin", "https://a.example")


class Asked:
    """A request, the server that asks us, and the client's end of its connection."""

    def __init__(self) -> None:
        self.reactor, self.deadlines = Reactor(), Deadlines()
        self.reactor.open()
        self.client, ours = socket.socketpair()
        self.connection = _socket.socket(fileno=ours.detach())
        self.connection.settimeout(0)
        self.begun: list[Any] = []

    def hosted(self, **environ: Any) -> Exchange:
        environ = {"REQUEST_METHOD": "GET", **environ}
        return Exchange(environ, self.reactor, self.deadlines, start_response=self.start_response)

    def start_response(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.begun.append((status, dict(headers)))

    def handed(self, *, is_websocket: bool = False) -> Exchange:
        taken = Taken(self.connection, is_websocket, list)
        return Exchange({"REQUEST_METHOD": "POST"}, self.reactor, self.deadlines, taken=taken)

    def heard(self) -> bytes:
        """Return what the client hears to the end."""
        self.client.settimeout(10)
        data = b""
        while part := self.client.recv(65536):
            data += part
        return data


@pytest.fixture
def asked() -> Iterator[Asked]:
    asked = Asked()
    yield asked
    asked.client.close()
    asked.connection.close()
    gevent.sleep(0.02)
    asked.deadlines.close()
    asked.reactor.close()


def test_an_answer_goes_through_the_server_that_asks(asked: Asked) -> None:
    exchange = asked.hosted()
    exchange.cors = [ORIGIN]
    assert list(exchange.respond("200 OK", [("Content-Type", "text/plain")], b"body")) == [b"body"]
    ((status, headers),) = asked.begun
    assert status == "200 OK" and not exchange.is_handed
    assert headers == {
        "Content-Type": "text/plain",
        "Cache-Control": "no-store",
        "Content-Length": "4",
        ORIGIN[0]: ORIGIN[1],
    }


def test_a_connection_that_cannot_be_had_leaves_the_answer_to_the_server(asked: Asked) -> None:
    exchange = asked.hosted()
    assert exchange.take() is None
    assert list(exchange.respond("200 OK", [], b"body")) == [b"body"]


def test_what_was_handed_over_is_answered_on_its_connection_which_ends(asked: Asked) -> None:
    exchange = asked.handed()
    exchange.cors = [ORIGIN]
    assert exchange.is_handed and exchange.method == "POST"
    assert list(exchange.respond("400 Bad Request", [("Retry-After", "5")], b"why")) == []
    head, _, body = asked.heard().partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 400 Bad Request" and body == b"why"
    assert sorted(lines[1:]) == [
        "Access-Control-Allow-Origin: https://a.example",
        "Cache-Control: no-store",
        "Connection: close",
        "Content-Length: 3",
        "Retry-After: 5",
    ]


def test_a_websocket_that_was_greeted_is_known_as_one_and_ended_with_a_code(asked: Asked) -> None:
    assert asked.hosted(**{"wsgi.websocket": object()}).is_websocket
    assert not asked.hosted().is_websocket and not asked.handed().is_websocket
    exchange = asked.handed(is_websocket=True)
    assert exchange.is_websocket
    assert list(exchange.close(POLICY)) == []
    assert asked.heard() == encode_close(POLICY)


def test_of_a_request_is_kept_what_its_client_said(asked: Asked) -> None:
    said = {"REQUEST_METHOD": "GET", "QUERY_STRING": "EIO=4", "HTTP_HOST": "a", "wsgi.url_scheme": "http"}
    assert kept({**said, "wsgi.input": object(), "gunicorn.socket": object(), "SERVER_SOFTWARE": "x"}) == said

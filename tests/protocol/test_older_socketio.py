"""Socket.IO's protocol 4 (socket.io-client 1.x and 2.x): namespaces, their parameters, errors, tokens."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from older_peer import OlderPolling
from protocol_peer import called, hosted, mark
from raw_websocket import RawWebSocket
from servers import ServerProcess

QUERY = "EIO=3&transport=websocket"


@contextlib.contextmanager
def connected(server: ServerProcess, more: str = "", **headers: str) -> Iterator[RawWebSocket]:
    with RawWebSocket(server.url, query=QUERY + more, **headers) as client:
        assert client.receive_text()[0] == "0"
        assert client.receive_text() == "40"
        yield client


def test_a_namespace_is_connected_beside_the_first(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say("40/custom,")
        assert client.receive_text() == "40/custom,"
        assert json.loads(client.receive_text().partition(",")[2])[0] == "auth"
        client.say('42/custom,3["message-with-ack",1,"2"]')
        assert client.receive_text() == '43/custom,3[1,"2"]'
        assert client.call("echo", "root") == "root"


@pytest.mark.parametrize("packet", ["40/custom?a=b%2C%C3%BC&token=t,", "40/custom?a=b%2C%C3%BC&token=t"])
def test_the_parameters_of_a_namespace_are_what_its_handler_is_told(
    server: ServerProcess, packet: str
) -> None:
    with connected(server, "&token=other") as client:
        client.say(packet)
        assert client.receive_text() == "40/custom,"
        assert client.receive_text() == '42/custom,["auth",{"token":"t","a":"b,ü"}]'


@pytest.mark.parametrize(
    ("more", "cookie"),
    [
        ("&token=mine", ""),
        ("&token=mine", "chatapp_token=other"),
        ("", "chatapp_token=mine"),
        ("", 'a=b; chatapp_token="mine"; c'),
    ],
)
def test_the_token_comes_as_a_parameter_or_a_cookie(server: ServerProcess, more: str, cookie: str) -> None:
    with connected(server, more, Cookie=cookie) as client:
        client.say("40/custom,")
        assert client.receive_text() == "40/custom,"
        assert client.receive_text() == '42/custom,["auth",{"token":"mine"}]'


def test_a_token_is_in_no_line_of_the_log(server: ServerProcess) -> None:
    start, _ = mark(server)
    more, headers = "&token=Secret1", {"Cookie": "chatapp_token=Secret2"}
    OlderPolling(server.url, more, headers=headers).connected().say("1")
    broken = OlderPolling(server.url, more, headers=headers).connected()
    assert broken.post(b"x").status == 400
    with connected(server, more, **headers) as client:
        client.say("40/custom?token=Secret3,")
        client.receive_text()
        client.say("nonsense")
        client.closed_with()
    end, _ = mark(server)
    assert "Secret" not in "".join(server.output[start:end])


def test_a_refusal_is_an_error_and_leaves_the_rest_alone(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say("40/custom?token=wrong,")
        packet = client.receive_text()
        assert packet.startswith('44/custom,"'), packet
        client.say("40/unknown,")
        assert client.receive_text() == '44/unknown,"Invalid namespace"'
        client.say("40/custom,")
        assert client.receive_text() == "40/custom,"
        assert client.receive_text().startswith('42/custom,["auth"')
        assert client.call("echo", "root") == "root"


def test_a_namespace_is_left(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say("40/custom,")
        assert client.receive_text() == "40/custom,"
        client.receive_text()
        _, calls = mark(server)
        client.say("41/custom,")
        assert client.call("echo", 1) == 1
        assert "disconnect" in str(called(server.url)[calls:])
        client.say('42/custom,["message"]')
        client.closed_with()


@pytest.mark.parametrize("packet", ["40/custom,", "40/custom?x=1,"])
def test_a_second_connection_to_a_namespace_ends_everything(server: ServerProcess, packet: str) -> None:
    with connected(server) as client:
        client.say("40/custom,")
        assert client.receive_text() == "40/custom,"
        client.say(packet)
        client.closed_with()


def test_a_namespace_has_so_many_parameters_at_most(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say(f"40/custom?{quote('a')}=1" + "&a=1" * 100 + ",")
        client.closed_with()


def test_the_server_lets_a_client_go(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say('42["let me go"]')
        assert client.receive_text() == "41"


def test_whoever_is_only_in_a_namespace_of_the_hosts_need_not_join(tmp_path: Path) -> None:
    with (
        hosted("serve", tmp_path, LIMITS_JOIN_SECONDS="1") as server,
        connected(server) as other,
        connected(server) as guest,
    ):
        other.say("40/custom,")
        assert other.receive_text() == "40/custom,"
        other.receive_text()
        guest.closed_with()
        assert other.call("echo", "still here") == "still here"

"""Who an older page is: by a token in its query or its cookie, for there is no `auth`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from older_clients import OLDER, node_caller
from older_peer import OlderPolling
from raw_websocket import RawWebSocket
from servers import HOSTINGS, ServerProcess, running

QUERY = "EIO=3&transport=websocket"


@pytest.fixture(scope="module", params=HOSTINGS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    with running(request.param, tmp_path_factory.mktemp("tokens"), LOG_LEVEL="debug") as server:
        yield server


@pytest.mark.parametrize("package", OLDER)
def test_a_guest_comes_back_by_the_query_and_the_token_is_in_no_log(
    server: ServerProcess, package: str
) -> None:
    with node_caller(package, server.url) as first:
        first.await_connections(1)
        token = first.join("room", f"ann {package}")["token"]
    for options in ({"query": {"token": token}}, {"query": f"token={token}"}):
        with node_caller(package, server.url, **options) as again:
            again.await_connections(1)
            assert again.join("room")["user"]["name"] == f"ann {package}"
    assert token not in "".join(server.output)
    assert token.rpartition(".")[2] not in "".join(server.output)


def test_a_guest_comes_back_by_the_cookie_and_the_token_is_in_no_log(server: ServerProcess) -> None:
    with RawWebSocket(server.url, query=QUERY) as client:
        client.receive_text()
        client.receive_text()
        token = client.call("join room", {"roomname": "cookies", "username": "cookie"})["token"]
    with RawWebSocket(server.url, query=QUERY, Cookie=f"a=b; chatapp_token={token}") as client:
        client.receive_text()
        client.receive_text()
        assert client.call("join room", {"roomname": "cookies"})["user"]["name"] == "cookie"
    polling = OlderPolling(server.url, headers={"Cookie": f"chatapp_token={token}"})
    polling.say('421["join room",{"roomname":"cookies"}]')
    (answer,) = (packet for packet in polling.packets(2) if str(packet).startswith("431"))
    assert json.loads(str(answer)[3:])[0]["user"]["name"] == "cookie"
    assert token not in "".join(server.output)


def test_a_forged_token_is_an_error(server: ServerProcess) -> None:
    with RawWebSocket(server.url, query=f"{QUERY}&token={quote('forged.token')}") as client:
        assert client.receive_text()[0] == "0"
        packet = client.receive_text()
        if packet == "40":  # of a guest it is noticed when one joins
            answer = client.call("join room", {"roomname": "forged"})
            assert not answer["ok"]
        else:
            assert json.loads(packet.removeprefix("44"))["code"] == "invalid_token"
    assert "forged" not in "".join(server.output)


def test_whom_the_site_does_not_know_gets_an_error_and_ends_in_time(tmp_path: Path) -> None:
    settings = {"AUTH_MODE": "flask", "AUTH_SITE_SECRET_KEY": "site" * 8, "LIMITS_CONNECT_SECONDS": "1"}
    with running("serve", tmp_path, **settings) as server, RawWebSocket(server.url, query=QUERY) as client:
        assert client.receive_text()[0] == "0"
        error = json.loads(client.receive_text().removeprefix("44"))
        assert error["code"] == "unauthorized"
        client.closed_with()

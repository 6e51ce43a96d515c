"""Engine.IO's protocol, version 3: WebSocket, the upgrade to it, and the client's pings."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import pytest

from clients import wait_until
from older_peer import OlderPolling, as_text, parts
from protocol_peer import check_output, get, hosted, mark, opens_websocket
from raw_websocket import BINARY, CLOSE, PING, TEXT, RawWebSocket, frame
from servers import HOSTINGS, ServerProcess

QUERY = "EIO=3&transport=websocket"

ATTACHED = '451-1["echo",{"_placeholder":true,"num":0}]'
ANSWERED = '461-1[{"_placeholder":true,"num":0}]'


@contextlib.contextmanager
def connected(server: ServerProcess, more: str = "") -> Iterator[RawWebSocket]:
    with RawWebSocket(server.url, query=QUERY + more) as client:
        opened = client.receive_text()
        assert opened[0] == "0"
        assert json.loads(opened[1:])["upgrades"] == []
        assert client.receive_text() == "40"
        yield client


@pytest.mark.parametrize("query", [QUERY, "transport=websocket"])
def test_a_session_opens_and_is_connected_unasked(server: ServerProcess, query: str) -> None:
    with RawWebSocket(server.url, query=query) as client:
        assert client.receive_text()[0] == "0"
        assert client.receive_text() == "40"
        assert client.call("echo", "Grüße 😀") == "Grüße 😀"


@pytest.mark.parametrize("data", ["", "probe", "Grüße"])
def test_a_ping_is_answered_with_what_it_holds(server: ServerProcess, data: str) -> None:
    with connected(server) as client:
        client.say("2" + data)
        assert client.receive_text() == "3" + data


def test_the_frames_of_websocket_itself_are_as_ever(server: ServerProcess) -> None:
    with connected(server) as client:
        client.send(frame(PING, b"x"))
        assert client.receive() == (0xA, b"x")


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b"x" * 3000])
def test_bytes_have_a_type(server: ServerProcess, data: bytes) -> None:
    with connected(server) as client:
        client.say(ATTACHED)
        client.send(frame(BINARY, b"\x04" + data))
        assert client.receive() == (TEXT, ANSWERED.encode())
        assert client.receive() == (BINARY, b"\x04" + data)


def test_bytes_go_in_base64_to_whom_asks_for_it(server: ServerProcess) -> None:
    with connected(server, "&b64=1") as client:
        client.say(ATTACHED)
        client.say("b4AAH/")
        assert client.receive_text() == ANSWERED
        assert client.receive_text() == "b4AAH/"


MALFORMED = [
    "",
    "x",
    "b",
    "b4=",
    "b9",
    "4x",
    '42["echo"',
    "47",
    "421",
    "40[1]",
    '40"x"',
    '40{"token":"x"}',
    "44",
    '44"x"',
    "0",
    "3",
    "3x",
    "5",
    "7",
]
MALFORMED_BYTES = [b"", b"\x02", b"\x07", b"4", b"\x04unasked"]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_text_ends_the_connection_within_a_second(server: ServerProcess, text: str) -> None:
    with connected(server) as client:
        start, _ = mark(server)
        client.say(text)
        _, seconds = client.closing()
        assert seconds < 1
    end, _ = mark(server)
    assert len(server.output[start : end - 1]) <= 1


@pytest.mark.parametrize("data", MALFORMED_BYTES)
def test_malformed_bytes_end_the_connection_within_a_second(server: ServerProcess, data: bytes) -> None:
    with connected(server) as client:
        start, _ = mark(server)
        client.send(frame(BINARY, data))
        _, seconds = client.closing()
        assert seconds < 1
    end, _ = mark(server)
    assert len(server.output[start : end - 1]) <= 1


def test_the_client_ends_a_session(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say("1")
        assert client.closing()[0] == 1000


# From polling to WebSocket


@contextlib.contextmanager
def probing(polling: OlderPolling) -> Iterator[RawWebSocket]:
    with RawWebSocket(polling.url, query=f"{QUERY}&sid={polling.sid}") as client:
        client.say("2probe")
        assert client.receive_text() == "3probe"
        yield client


def test_a_session_goes_on_by_websocket(server: ServerProcess) -> None:
    polling = OlderPolling(server.url).connected()
    poll = polling.hold()
    with probing(polling) as client:
        assert parts(poll.answer()) == ["6"]
        client.say("5")
        assert client.call("echo", "hello") == "hello"
        client.say("2")
        assert client.receive_text() == "3"
        assert polling.get().status == 400
        assert polling.post(as_text("2")).status == 400


def test_what_waits_for_a_poll_comes_by_websocket_after_the_upgrade(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    polling.say('421["echo","é"]')
    with probing(polling) as client:
        client.say("5")
        assert client.receive_text() == "40"
        assert client.receive_text() == '431["é"]'


@pytest.mark.parametrize("version", ["EIO=4&", "EIO=5&"])
def test_a_session_upgrades_in_its_own_protocol(server: ServerProcess, version: str) -> None:
    polling = OlderPolling(server.url).connected()
    assert not opens_websocket(server.url, f"{version}transport=websocket&sid={polling.sid}")
    polling.say('421["echo",1]')
    assert polling.packets(1) == ["431[1]"]


@pytest.mark.parametrize("text", ["5", "2", "2other", "3probe", "40", "1"])
def test_a_websocket_that_begins_without_a_probe_is_closed(server: ServerProcess, text: str) -> None:
    polling = OlderPolling(server.url).connected()
    with RawWebSocket(server.url, query=f"{QUERY}&sid={polling.sid}") as client:
        client.say(text)
        client.closed_with()
    polling.say("2")
    assert "3" in polling.packets(1)


# Heartbeat

INTERVAL_SECONDS, TIMEOUT_SECONDS = 0.4, 0.2
LATE_SECONDS = 0.8


@pytest.fixture(scope="module", params=HOSTINGS)
def hasty(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    with hosted(
        request.param,
        tmp_path_factory.mktemp("older"),
        APP_PING_INTERVAL_SECONDS=str(INTERVAL_SECONDS),
        APP_PING_TIMEOUT_SECONDS=str(TIMEOUT_SECONDS),
    ) as server:
        yield server
    check_output(server)


def test_a_client_that_is_silent_is_gone(hasty: ServerProcess) -> None:
    with connected(hasty) as client:
        began = time.monotonic()
        assert client.receive()[0] == CLOSE  # and nothing before: the server does not ping
        took = time.monotonic() - began
    patience = INTERVAL_SECONDS + TIMEOUT_SECONDS
    assert patience * 0.9 <= took < patience + LATE_SECONDS


def test_a_client_that_pings_stays(hasty: ServerProcess) -> None:
    with connected(hasty) as client:
        began = time.monotonic()
        while time.monotonic() - began < 3 * (INTERVAL_SECONDS + TIMEOUT_SECONDS):
            client.say("2")
            assert client.receive_text() == "3"
            client.socket.settimeout(INTERVAL_SECONDS / 2)
            with contextlib.suppress(TimeoutError):
                raise AssertionError(client.receive())
            client.socket.settimeout(5)


def test_a_polling_client_that_only_polls_is_gone(hasty: ServerProcess) -> None:
    start, _ = mark(hasty)
    polling = OlderPolling(hasty.url).connected()
    assert parts(polling.get()) == ["1"]
    assert polling.is_over()
    wait_until(lambda: any("ping timeout" in line for line in hasty.output[start:]), "its end")
    get(hasty.url, "/pid")

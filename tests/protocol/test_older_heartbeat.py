"""Engine.IO's protocol, version 3: the client pings, and one that is silent for too long is gone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from clients import wait_until
from older_peer import JsonpPolling, OlderPolling, OlderWebSocket
from protocol_peer import check_output, hosted, mark
from raw_websocket import CLOSE, frame
from servers import HOSTINGS, ServerProcess

PING_INTERVAL_SECONDS, PING_TIMEOUT_SECONDS = 0.3, 0.2
PATIENCE = PING_INTERVAL_SECONDS + PING_TIMEOUT_SECONDS

#: How late a server may be that shares its machine.
LATE_SECONDS = 0.8


@pytest.fixture(scope="module", params=HOSTINGS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    with hosted(
        request.param,
        tmp_path_factory.mktemp("heartbeat"),
        APP_PING_INTERVAL_SECONDS=str(PING_INTERVAL_SECONDS),
        APP_PING_TIMEOUT_SECONDS=str(PING_TIMEOUT_SECONDS),
    ) as server:
        yield server
    check_output(server)


def wait_between_pings() -> None:
    """Wait as a client does that pings more often than it has to."""
    until = time.monotonic() + PING_INTERVAL_SECONDS * 0.7
    wait_until(lambda: time.monotonic() >= until)


@pytest.mark.parametrize("kind", [OlderPolling, JsonpPolling])
def test_a_polling_client_that_pings_stays(server: ServerProcess, kind: type[OlderPolling]) -> None:
    polling = kind(server.url)
    assert (polling.session["pingInterval"], polling.session["pingTimeout"]) == (300, 200)
    for _ in range(4):
        wait_between_pings()
        polling.say("2")
        assert polling.packets(1) == ["3"]


def test_a_websocket_client_that_pings_stays_and_is_not_pinged(server: ServerProcess) -> None:
    with OlderWebSocket(server.url) as client:
        client.open_session()
        for _ in range(4):
            wait_between_pings()
            client.say("2")
            assert client.receive_text() == "3"


def test_whatever_a_client_says_shows_that_it_is_there(server: ServerProcess) -> None:
    with OlderWebSocket(server.url) as client:
        client.open_session()
        for number in range(4):
            wait_between_pings()
            assert client.call("echo", number) == number


def test_a_websocket_client_that_is_silent_is_gone(server: ServerProcess) -> None:
    with OlderWebSocket(server.url) as client:
        client.open_session()
        began = time.monotonic()
        with contextlib.suppress(AssertionError, ConnectionError):  # how it ends is up to the server
            client.closed_with()
        assert PATIENCE * 0.8 <= time.monotonic() - began < PATIENCE + LATE_SECONDS


def test_a_polling_client_that_is_silent_is_gone(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    began = time.monotonic()
    start, _ = mark(server)
    poll = polling.hold()
    assert polling.read(poll.answer()) == ["1"]
    assert PATIENCE * 0.8 <= time.monotonic() - began < PATIENCE + LATE_SECONDS
    wait_until(lambda: any("ping timeout" in line for line in server.output[start:]), "its end")
    assert polling.is_over()


def test_pings_go_on_after_an_upgrade(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    with OlderWebSocket(server.url, f"&sid={polling.sid}") as client:
        client.say("2probe")
        assert client.receive_text() == "3probe"
        client.say("5")
        for _ in range(3):
            wait_between_pings()
            client.say("2")
            while client.receive_text() != "3":  # a NOOP
                pass


def test_a_frame_of_websocket_is_no_ping_of_engineio(server: ServerProcess) -> None:
    with OlderWebSocket(server.url) as client:
        client.open_session()
        began = time.monotonic()
        while client.receive()[0] != CLOSE:
            client.send(frame(0xA))
        assert time.monotonic() - began < PATIENCE + LATE_SECONDS

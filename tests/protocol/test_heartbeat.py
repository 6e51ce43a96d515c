"""Engine.IO's protocol, version 4: the server pings, and whoever does not answer is gone ("Heartbeat").

The official test suite has 0.3 and 0.2 seconds; ours have to be shorter, for there are many of us.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from clients import wait_until
from protocol_peer import Polling, check_output, hosted, mark
from raw_websocket import CLOSE, RawWebSocket, frame
from servers import HOSTINGS, ServerProcess

PING_INTERVAL_SECONDS, PING_TIMEOUT_SECONDS = 0.2, 0.1

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


def test_the_handshake_tells_the_times_in_milliseconds(server: ServerProcess) -> None:
    session = Polling(server.url, connect=False).session
    assert (session["pingInterval"], session["pingTimeout"]) == (200, 100)


def test_a_polling_client_that_answers_pings_stays(server: ServerProcess) -> None:
    polling = Polling(server.url)
    began = time.monotonic()
    for number in range(1, 4):
        assert polling.get().text == "2"
        assert time.monotonic() - began >= number * PING_INTERVAL_SECONDS * 0.8
        polling.say("3")
    polling.say('421["echo","here"]')
    assert '431["here"]' in polling.packets(1)


def test_a_websocket_client_that_answers_pings_stays(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        client.open_session()
        began = time.monotonic()
        for number in range(1, 4):
            assert client.receive_text() == "2"
            assert time.monotonic() - began >= number * PING_INTERVAL_SECONDS * 0.8
            client.say("3")
        assert client.call("echo", "here") == "here"


def test_a_pong_nobody_asked_for_does_no_harm_and_does_not_stop_the_pings(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        client.open_session()
        client.say("3")
        client.say("3")
        assert client.receive_text() == "2"
        client.say("3")
        assert client.receive_text() == "2"


def test_pings_go_on_after_an_upgrade(server: ServerProcess) -> None:
    polling = Polling(server.url)
    with RawWebSocket(server.url, query=f"EIO=4&transport=websocket&sid={polling.sid}") as client:
        client.say("2probe")
        assert client.receive_text() == "3probe"
        client.say("5")
        for _ in range(3):
            while client.receive_text() != "2":  # a NOOP
                pass
            client.say("3")


@pytest.mark.parametrize("connect", [True, False])
def test_a_polling_client_that_does_not_answer_is_gone(server: ServerProcess, connect: bool) -> None:
    began = time.monotonic()
    polling = Polling(server.url, connect=connect)
    assert polling.get().text == "2"
    poll = polling.hold()
    assert poll.answer().status in (200, 400)
    assert polling.is_over()
    took = time.monotonic() - began
    assert PING_INTERVAL_SECONDS <= took < PING_INTERVAL_SECONDS + PING_TIMEOUT_SECONDS + LATE_SECONDS


def test_a_client_that_neither_polls_nor_posts_is_gone(server: ServerProcess) -> None:
    polling = Polling(server.url)
    start, _ = mark(server)
    wait_until(lambda: any("ping timeout" in line for line in server.output[start:]), "its end")
    assert polling.is_over()


@pytest.mark.parametrize("connect", [True, False])
def test_a_websocket_client_that_does_not_answer_is_gone(server: ServerProcess, connect: bool) -> None:
    with RawWebSocket(server.url) as client:
        began = time.monotonic()
        if connect:
            client.open_session()
        with contextlib.suppress(AssertionError, ConnectionError):  # how it ends is up to the server
            client.closed_with()
        took = time.monotonic() - began
        assert PING_INTERVAL_SECONDS <= took < PING_INTERVAL_SECONDS + PING_TIMEOUT_SECONDS + LATE_SECONDS


def test_a_frame_of_websocket_is_no_answer_to_a_ping_of_engineio(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        client.open_session()
        began = time.monotonic()
        while client.receive()[0] != CLOSE:
            client.send(frame(0xA))
        assert time.monotonic() - began < PING_INTERVAL_SECONDS + PING_TIMEOUT_SECONDS + LATE_SECONDS

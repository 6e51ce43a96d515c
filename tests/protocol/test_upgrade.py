"""Engine.IO's protocol, version 4: from polling to WebSocket ("Upgrade" in the protocol's document)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from clients import wait_until
from protocol_peer import Polling, ask, get, opens_websocket
from raw_websocket import BINARY, TEXT, RawWebSocket, frame
from servers import ServerProcess


@contextlib.contextmanager
def probing(polling: Polling) -> Iterator[RawWebSocket]:
    """A WebSocket for the session whose probe has been answered."""
    with RawWebSocket(polling.url, query=f"EIO=4&transport=websocket&sid={polling.sid}") as client:
        assert client.head.startswith(b"HTTP/1.1 101 "), client.head
        client.say("2probe")
        assert client.receive_text() == "3probe"
        yield client


@contextlib.contextmanager
def upgraded(polling: Polling) -> Iterator[RawWebSocket]:
    with probing(polling) as client:
        client.say("5")
        assert call(client, "done") == "done"
        yield client


def call(client: RawWebSocket, text: str) -> object:
    return client.call("echo", text)


def receive(client: RawWebSocket) -> str:
    """Return the next packet that is no NOOP."""
    while (text := client.receive_text()) == "6":
        pass
    return text


def test_a_session_goes_on_by_websocket(server: ServerProcess) -> None:
    polling = Polling(server.url)
    with probing(polling) as client:
        # "a NOOP packet to cleanly close the HTTP long-polling transport"
        answer = polling.get()
        assert (answer.status, answer.text) == (200, "6")
        client.say("5")
        client.say('421["echo","hello"]')
        assert client.receive_text() == '431["hello"]'
        client.say('451-2["echo",{"_placeholder":true,"num":0}]')
        client.send(frame(BINARY, b"\x01\x02"))
        assert client.receive()[0] == TEXT
        assert client.receive() == (BINARY, b"\x01\x02")


def test_a_poll_that_is_held_is_answered_before_the_upgrade(server: ServerProcess) -> None:
    polling = Polling(server.url)
    poll = polling.hold()
    with probing(polling) as client:
        answer = poll.answer()
        assert (answer.status, answer.text) == (200, "6")
        client.say("5")
        assert call(client, "hello") == "hello"


def test_a_session_may_upgrade_before_it_connects(server: ServerProcess) -> None:
    polling = Polling(server.url, connect=False)
    with probing(polling) as client:
        client.say("5")
        client.say("40")
        assert receive(client).startswith("40{")
        assert call(client, "hello") == "hello"


def test_requests_of_an_upgraded_session_are_refused_and_leave_it_alone(server: ServerProcess) -> None:
    polling = Polling(server.url)
    with upgraded(polling) as client:
        assert polling.get().status == 400
        assert polling.post("42").status == 400
        assert polling.post('42["message"]').status == 400
        assert not opens_websocket(server.url, f"EIO=4&transport=websocket&sid={polling.sid}")
        assert ask(server.url, "PUT", polling.query).status == 400
        assert call(client, "still here") == "still here"


def test_what_waits_for_a_poll_comes_by_websocket_after_the_upgrade(server: ServerProcess) -> None:
    polling = Polling(server.url)
    polling.say('421["echo","waits"]', '422["echo","too"]')
    with probing(polling) as client:
        client.say("5")
        assert receive(client) == '431["waits"]'
        assert receive(client) == '432["too"]'


def test_what_is_sent_around_an_upgrade_comes_once_and_in_order(server: ServerProcess) -> None:
    polling = Polling(server.url)
    polling.say('421["echo",1]')
    with probing(polling) as client:
        polling.say('422["echo",2]')
        client.say("5")
        client.say('423["echo",3]')
        assert [receive(client) for _ in range(3)] == ["431[1]", "432[2]", "433[3]"]
        assert call(client, "end") == "end"


def test_a_probe_that_leads_to_nothing_leaves_polling_as_it_is(server: ServerProcess) -> None:
    polling = Polling(server.url)
    with probing(polling):
        pass
    get(server.url, "/pid")
    polling.say('421["echo","by polling"]')
    packets = polling.packets(1)
    assert '431["by polling"]' in (packets if packets != ["6"] else polling.packets(1))
    with upgraded(polling):  # another may follow
        pass


@pytest.mark.parametrize("text", ["5", "2", "2other", '42["message"]', "40", "abc", "1"])
def test_a_websocket_that_begins_without_a_probe_is_closed(server: ServerProcess, text: str) -> None:
    polling = Polling(server.url)
    with RawWebSocket(server.url, query=f"EIO=4&transport=websocket&sid={polling.sid}") as client:
        client.say(text)
        client.closed_with()


@pytest.mark.parametrize("text", ["3", '42["message"]', "abc"])
def test_a_probe_is_followed_by_the_upgrade_or_by_nothing(server: ServerProcess, text: str) -> None:
    polling = Polling(server.url)
    with probing(polling) as client:
        client.say(text)
        client.closed_with()


def test_the_end_of_an_upgraded_connection_is_the_end_of_its_session(server: ServerProcess) -> None:
    polling = Polling(server.url)
    with upgraded(polling):
        pass
    wait_until(lambda: polling.get().status == 400, "the end of the session")
    assert not opens_websocket(server.url, f"EIO=4&transport=websocket&sid={polling.sid}")

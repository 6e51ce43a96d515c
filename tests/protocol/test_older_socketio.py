"""Socket.IO's protocol, version 4, rule by rule: what differs from version 5, and that the rest does not.

Its document is the Readme of socket.io-protocol at version 4.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from clients import wait_until
from older_peer import JsonpPolling, OlderPolling, OlderWebSocket
from protocol_peer import called, hosted, mark
from raw_websocket import RawWebSocket
from servers import ServerProcess

ATTACHMENTS: list[str | bytes] = [bytes((1, 2, 3)), bytes((4, 5, 6))]
PLACEHOLDERS = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'


@contextlib.contextmanager
def connected(server: ServerProcess, *namespaces: str, more: str = "") -> Iterator[OlderWebSocket]:
    """A WebSocket that is connected to ``/`` and to these namespaces."""
    with OlderWebSocket(server.url, more) as client:
        client.open_session()
        for namespace in namespaces:
            client.say(f"40{namespace},")
            assert client.receive_text() == f"40{namespace},"
            assert client.receive_text() == f'42{namespace},["auth",{{}}]'
        yield client


# CONNECT


def test_a_client_is_in_the_main_namespace_from_the_beginning(server: ServerProcess) -> None:
    with OlderWebSocket(server.url) as client:
        assert client.receive_text()[0] == "0"
        assert client.receive_text() == "40"
        assert client.call("echo", "here") == "here"
    polling = OlderPolling(server.url, connect=False)
    assert polling.packets(1) == ["40"]


def test_what_comes_before_the_answer_to_the_connection_is_handled(server: ServerProcess) -> None:
    with OlderWebSocket(server.url) as client:
        client.say('421["echo","early"]')
        assert client.receive_text()[0] == "0"
        assert client.receive_text() == "40"
        assert client.receive_text() == '431["early"]'


def test_a_client_that_asks_for_what_it_was_given_goes_on(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say("40")
        assert client.call("echo", "here") == "here"


@pytest.mark.parametrize("text", ["40/custom,", "40/custom?x=1,"])
def test_a_second_connection_to_another_namespace_ends_everything(server: ServerProcess, text: str) -> None:
    with connected(server, "/custom") as client:
        client.say(text)
        assert client.closed_with() == 1008


@pytest.mark.parametrize("text", ["40/custom", "40/custom,"])
def test_a_client_connects_to_another_namespace(server: ServerProcess, text: str) -> None:
    with connected(server) as client:
        client.say(text)
        assert client.receive_text() == "40/custom,"
        assert client.receive_text() == '42/custom,["auth",{}]'
        client.say('42/custom,["message","there"]')
        assert client.receive_text() == '42/custom,["message-back","there"]'
        client.say('42["message","here"]')
        assert client.receive_text() == '42["message-back","here"]'


@pytest.mark.parametrize("end", ["", ","])
def test_the_parameters_of_a_connection_reach_its_handler(server: ServerProcess, end: str) -> None:
    with connected(server) as client:
        query = "token=" + quote("a&b=µ,{") + "&x=1"
        client.say(f"40/custom?{query}{end}")
        assert client.receive_text() == "40/custom,"
        text = client.receive_text()
        assert json.loads(text[10:]) == ["auth", {"token": "a&b=µ,{", "x": "1"}]


@pytest.mark.parametrize(
    ("more", "cookie"),
    [("&token=abc", None), ("", 'a=b; chatapp_token="abc"; c=d'), ("&token=abc", "chatapp_token=other")],
)
def test_the_token_of_a_handshake_reaches_handlers_as_that_of_a_connection_does(
    server: ServerProcess, more: str, cookie: str | None
) -> None:
    with OlderWebSocket(server.url, more, Cookie=cookie) as client:
        client.open_session()
        client.say("40/custom,")
        assert client.receive_text() == "40/custom,"
        assert client.receive_text() == '42/custom,["auth",{"token":"abc"}]'


def test_the_parameters_of_a_connection_come_before_those_of_the_handshake(server: ServerProcess) -> None:
    with connected(server, more="&token=other") as client:
        client.say("40/custom?token=mine,")
        assert client.receive_text() == "40/custom,"
        assert client.receive_text() == '42/custom,["auth",{"token":"mine"}]'


def test_a_token_is_in_no_line_of_the_log(server: ServerProcess) -> None:
    start, _ = mark(server)
    more, headers = "&token=Secret1", {"Cookie": "chatapp_token=Secret2"}
    for kind in (OlderPolling, JsonpPolling):
        page = {**headers, "Referer": server.url}
        kind(server.url, more, headers=page).say("1")
        assert kind(server.url, more, headers=page).post("x").status == 400
    with OlderWebSocket(server.url, more, **headers) as client:
        client.open_session()
        client.say("40/custom?token=Secret3,")
        client.receive_text()
        client.say("nonsense")
        client.closed_with()
    end, _ = mark(server)
    assert "Secret" not in "".join(server.output[start:end])


# ERROR


def test_a_handler_may_refuse_a_connection(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say("40/custom?token=wrong,")
        assert client.receive_text() == '44/custom,"Connection rejected by server"'
        client.say("40/custom,")
        assert client.receive_text() == "40/custom,"


@pytest.mark.parametrize("text", ["40/random", "40/random,", "40/random?token=1,"])
def test_a_namespace_that_nobody_knows_is_refused(server: ServerProcess, text: str) -> None:
    with connected(server) as client:
        client.say(text)
        assert client.receive_text() == '44/random,"Invalid namespace"'
        assert client.call("echo", "still here") == "still here"


# EVENT and ACK


def test_a_text_event_goes_each_way(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say('42["message",1,"2",{"3":[true]}]')
        assert client.receive_text() == '42["message-back",1,"2",{"3":[true]}]'
        client.say('4212["message-with-ack"]')
        assert client.receive_text() == "4312[]"


def receive_binary(client: OlderWebSocket, start: str) -> tuple[Any, list[Any]]:
    text = client.receive_text()
    assert text.startswith(start), text
    return json.loads(text[len(start) :]), [client.receive_bytes() for _ in ATTACHMENTS]


def test_an_event_with_attachments_goes_each_way(server: ServerProcess) -> None:
    with connected(server) as client:
        client.send_packets(f'452-["message",{PLACEHOLDERS}]', *ATTACHMENTS)
        data, attachments = receive_binary(client, "452-")
        assert (data, attachments) == (json.loads(f'["message-back",{PLACEHOLDERS}]'), ATTACHMENTS)
        client.send_packets(f'452-789["message-with-ack",{PLACEHOLDERS}]', *ATTACHMENTS)
        data, attachments = receive_binary(client, "462-789")
        assert (data, attachments) == (json.loads(f"[{PLACEHOLDERS}]"), ATTACHMENTS)


def test_an_event_of_a_namespace_may_have_attachments(server: ServerProcess) -> None:
    with connected(server, "/custom") as client:
        client.send_packets(f'452-/custom,7["message-with-ack",{PLACEHOLDERS}]', *ATTACHMENTS)
        assert receive_binary(client, "462-/custom,7") == (json.loads(f"[{PLACEHOLDERS}]"), ATTACHMENTS)


def test_attachments_may_be_awaited_across_heartbeats(server: ServerProcess) -> None:
    with connected(server) as client:
        client.send_packets(f'452-8["echo",{PLACEHOLDERS}]', ATTACHMENTS[0], "2", ATTACHMENTS[1])
        assert client.receive_text() == "3"
        assert receive_binary(client, "462-8")[1] == ATTACHMENTS


def test_the_server_may_ask_and_be_answered_with_attachments(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    polling.say('451-["ask me",{"_placeholder":true,"num":0}]', b"\x01")
    text, attachment = polling.packets(2)
    assert isinstance(text, str) and text.startswith("451-") and attachment == b"\x01"
    number = text[4 : text.index("[")]
    polling.say(f'461-{number}["older",{{"_placeholder":true,"num":0}}]', b"\x04\x05")
    wait_until(lambda: ["answer", "older", "0405"] in called(server.url))


# DISCONNECT


def test_who_disconnects_from_one_namespace_stays_in_the_others(server: ServerProcess) -> None:
    with connected(server, "/custom") as client:
        before = called(server.url).count(["disconnect"])
        client.say("41/custom,")
        assert client.call("echo", "here") == "here"
        assert called(server.url).count(["disconnect"]) == before + 1
    with connected(server, "/custom") as client:
        client.say("41")
        client.say('42/custom,["message","there"]')
        assert client.receive_text() == '42/custom,["message-back","there"]'


def test_what_is_said_in_a_namespace_that_was_left_ends_everything(server: ServerProcess) -> None:
    with connected(server, "/custom") as client:
        client.say("41/custom,")
        client.say('42/custom,["message"]')
        assert client.closed_with() == 1008


def test_whoever_is_only_in_a_namespace_of_the_hosts_need_not_join(tmp_path: Path) -> None:
    with (
        hosted("serve", tmp_path, LIMITS_JOIN_SECONDS="1") as server,
        connected(server, "/custom") as other,
        connected(server) as guest,
    ):
        guest.closed_with()
        assert other.call("echo", "still here") == "still here"


def test_a_host_disconnects_a_client(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say('42["let me go"]')
        assert client.receive_text() == "41"


# With clients of the newer version, in one room


def test_clients_of_both_versions_hear_each_other(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    with connected(server) as older, RawWebSocket(server.url) as newer:
        newer.open_session()
        for client, name in ((newer, "newer"), (older, "older")):
            assert client.call("join room", {"roomname": "both", "username": name})["ok"]
        polling.say('421["join room",{"roomname":"both","username":"polling"}]')
        for speaker, listener, said in ((older, newer, "é"), (newer, older, "\U0001f600")):
            assert speaker.call("new message", {"room": "both", "message": said})["ok"]
            assert told(listener) == said
        heard: list[Any] = []
        while len(heard) < 2:
            (packet,) = polling.packets(1)
            assert isinstance(packet, str)
            if packet.startswith('42["new message"'):
                heard += (
                    [message] if "joined" not in (message := json.loads(packet[2:])[1]["message"]) else []
                )
        assert heard == ["é", "\U0001f600"]


def told(client: RawWebSocket) -> str:
    """Return the next message of another, which is no notice of the room's."""
    while True:
        text = client.receive_text()
        if text.startswith('42["new message"'):
            message = str(json.loads(text[2:])[1]["message"])
            if "joined" not in message:
                return message

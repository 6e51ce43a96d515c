"""Socket.IO's protocol, version 5, rule by rule.

Each section names its heading in the protocol's document (socketio/socket.io-protocol, Readme). All that
its official test suite looks at of Socket.IO is here; what it looks at of Engine.IO is in that one's
modules. What breaks the rules is in the module on malformed input.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from clients import wait_until
from protocol_peer import Polling, called
from raw_websocket import BINARY, TEXT, RawWebSocket, frame
from servers import ServerProcess

ATTACHMENTS = [bytes((1, 2, 3)), bytes((4, 5, 6))]
PLACEHOLDERS = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'


@contextlib.contextmanager
def opened(server: ServerProcess) -> Iterator[RawWebSocket]:
    """A WebSocket that has read Engine.IO's first packet and said nothing."""
    with RawWebSocket(server.url) as client:
        assert client.receive_text()[0] == "0"
        yield client


@contextlib.contextmanager
def connected(server: ServerProcess, *namespaces: str) -> Iterator[RawWebSocket]:
    """A WebSocket that is connected to ``/`` and to these namespaces."""
    with RawWebSocket(server.url) as client:
        client.open_session()
        for namespace in namespaces:
            client.say(f"40{namespace},")
            assert client.receive_text().startswith(f"40{namespace},{{")
            assert client.receive_text() == f'42{namespace},["auth",{{}}]'
        yield client


def sid_of(text: str, start: str) -> str:
    """Return the id of a CONNECT packet that says nothing else."""
    assert text.startswith(start), text
    payload = json.loads(text[len(start) :])
    assert list(payload) == ["sid"] and isinstance(payload["sid"], str) and payload["sid"]
    return str(payload["sid"])


def send_binary(client: RawWebSocket, text: str, attachments: list[bytes] = ATTACHMENTS) -> None:
    client.say(text)
    for attachment in attachments:
        client.send(frame(BINARY, attachment))


def receive_binary(client: RawWebSocket, start: str, count: int = 2) -> tuple[Any, list[bytes]]:
    """Return the JSON of a packet that starts so, and the attachments that follow it."""
    text = client.receive_text()
    assert text.startswith(start), text
    frames = [client.receive() for _ in range(count)]
    assert {opcode for opcode, _payload in frames} == {BINARY}
    return json.loads(text[len(start) :]), [payload for _opcode, payload in frames]


# Connection to a namespace


@pytest.mark.parametrize("text", ["40", "40{}", '40{"token":null}', "40/,", "40/"])
def test_a_client_connects_to_the_main_namespace(server: ServerProcess, text: str) -> None:
    with opened(server) as client:
        client.say(text)
        sid_of(client.receive_text(), "40")
        assert client.call("echo", "here") == "here"


@pytest.mark.parametrize("text", ["40/custom,", "40/custom", "40/custom?with=query,"])
def test_a_client_connects_to_a_namespace_of_the_hosts(server: ServerProcess, text: str) -> None:
    with opened(server) as client:
        client.say(text)
        sid_of(client.receive_text(), "40/custom,")
        assert client.receive_text() == '42/custom,["auth",{}]'


def test_the_payload_of_a_connection_reaches_its_handler(server: ServerProcess) -> None:
    with opened(server) as client:
        client.say('40/custom,{"token":"abc","unicode":"µ,{"}')
        sid_of(client.receive_text(), "40/custom,")
        text = client.receive_text()
        assert text.startswith("42/custom,")
        assert json.loads(text[10:]) == ["auth", {"token": "abc", "unicode": "µ,{"}]


def test_a_client_may_be_in_several_namespaces_with_an_id_in_each(server: ServerProcess) -> None:
    with opened(server) as client:
        client.say("40")
        main = sid_of(client.receive_text(), "40")
        client.say("40/custom,")
        custom = sid_of(client.receive_text(), "40/custom,")
        assert main != custom
        assert client.receive_text() == '42/custom,["auth",{}]'
        client.say('42/custom,["message","there"]')
        assert client.receive_text() == '42/custom,["message-back","there"]'
        client.say('42["message","here"]')
        assert client.receive_text() == '42["message-back","here"]'


def test_the_id_of_a_connection_is_not_that_of_its_session(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        session = json.loads(client.receive_text()[1:])["sid"]
        client.say("40")
        assert sid_of(client.receive_text(), "40") != session


def test_a_handler_may_refuse_a_connection(server: ServerProcess) -> None:
    with opened(server) as client:
        client.say('40/custom,{"token":"wrong"}')
        text = client.receive_text()
        assert text.startswith("44/custom,")
        assert isinstance(json.loads(text[10:])["message"], str)
        # Another attempt is no second CONNECT.
        client.say("40/custom,")
        sid_of(client.receive_text(), "40/custom,")


@pytest.mark.parametrize("connect", [True, False])
@pytest.mark.parametrize("text", ["40/random", "40/random,", '40/random,{"token":1}'])
def test_a_namespace_that_nobody_knows_is_refused(server: ServerProcess, text: str, connect: bool) -> None:
    with connected(server) if connect else opened(server) as client:
        client.say(text)
        # The words are those that the official test suite wants.
        assert client.receive_text() == '44/random,{"message":"Invalid namespace"}'
        client.say("40/custom,")
        sid_of(client.receive_text(), "40/custom,")


def test_a_client_connects_by_polling_too(server: ServerProcess) -> None:
    polling = Polling(server.url)
    assert polling.connected["sid"] != polling.sid
    polling.say("40/custom,")
    first, second = polling.packets(2)
    sid_of(first, "40/custom,")
    assert second == '42/custom,["auth",{}]'
    polling.say("40/random,")
    assert polling.packets(1) == ['44/random,{"message":"Invalid namespace"}']


# Sending and receiving data


def test_a_text_event_goes_each_way(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say('42["message",1,"2",{"3":[true]}]')
        assert client.receive_text() == '42["message-back",1,"2",{"3":[true]}]'


def test_an_event_may_have_no_arguments(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say('42["message"]')
        assert client.receive_text() == '42["message-back"]'


def test_an_event_of_a_namespace_goes_each_way(server: ServerProcess) -> None:
    with connected(server, "/custom") as client:
        client.say('42/custom,["message",1,"2",{"3":[true]}]')
        assert client.receive_text() == '42/custom,["message-back",1,"2",{"3":[true]}]'


def test_an_event_with_attachments_goes_each_way(server: ServerProcess) -> None:
    with connected(server) as client:
        send_binary(client, f'452-["message",{PLACEHOLDERS}]')
        data, attachments = receive_binary(client, "452-")
        assert data == json.loads(f'["message-back",{PLACEHOLDERS}]')
        assert attachments == ATTACHMENTS


def test_attachments_go_to_their_places_wherever_these_are(server: ServerProcess) -> None:
    with connected(server) as client:
        inner = '{"deep":[{"b":{"_placeholder":true,"num":1}}],"a":{"num":0,"_placeholder":true}}'
        send_binary(client, f'452-["message",{inner},"text"]')
        data, attachments = receive_binary(client, "452-")
        name, value, text = data
        assert (name, text) == ("message-back", "text")
        assert attachments[value["deep"][0]["b"]["num"]] == ATTACHMENTS[1]
        assert attachments[value["a"]["num"]] == ATTACHMENTS[0]


def test_an_event_of_a_namespace_may_have_attachments(server: ServerProcess) -> None:
    with connected(server, "/custom") as client:
        send_binary(client, f'452-/custom,["message",{PLACEHOLDERS}]')
        data, attachments = receive_binary(client, "452-/custom,")
        assert data == json.loads(f'["message-back",{PLACEHOLDERS}]')
        assert attachments == ATTACHMENTS


@pytest.mark.parametrize("attachment", [b"", b"\x00", b"4", b"\x04\xff", b"b42[1]"])
def test_an_attachment_is_any_bytes(server: ServerProcess, attachment: bytes) -> None:
    with connected(server) as client:
        send_binary(client, '451-7["echo",{"_placeholder":true,"num":0}]', [attachment])
        assert receive_binary(client, "461-7", 1) == ([{"_placeholder": True, "num": 0}], [attachment])


@pytest.mark.parametrize("attachment", [b"", b"\x00\xff"])
def test_an_attachment_may_be_base64(server: ServerProcess, attachment: bytes) -> None:
    """So it comes from a client with ``forceBase64``."""
    with connected(server) as client:
        client.say('451-7["echo",{"_placeholder":true,"num":0}]')
        client.say("b" + base64.b64encode(attachment).decode())
        assert receive_binary(client, "461-7", 1) == ([{"_placeholder": True, "num": 0}], [attachment])


def test_what_looks_like_a_placeholder_in_a_text_event_is_data(server: ServerProcess) -> None:
    with connected(server) as client:
        value = {"_placeholder": False, "num": 0}
        assert client.call("echo", value) == value


def test_attachments_may_be_awaited_across_heartbeats_of_websocket(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say(f'452-8["echo",{PLACEHOLDERS}]')
        client.send(frame(9, b"between") + frame(BINARY, ATTACHMENTS[0]))
        client.say("3")  # of Engine.IO, which is no packet of Socket.IO
        client.send(frame(BINARY, ATTACHMENTS[1]))
        assert client.receive() == (0xA, b"between")
        assert receive_binary(client, "462-8")[1] == ATTACHMENTS


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        1.5,
        1e300,
        2**53,
        2**63,
        "",
        "text",
        "\u0000\u001f\u007f\u2028\ufeff\U0001f600",
        '"\\/',
        [],
        {},
        {"": {"": [[]]}},
        [[1], {"a": None}],
    ],
    ids=repr,
)
def test_any_json_is_an_argument(server: ServerProcess, value: Any) -> None:
    with connected(server) as client:
        assert client.call("echo", value) == value
        client.say("429" + json.dumps(["echo", value], ensure_ascii=False, indent=1))
        assert json.loads(client.receive_text()[3:]) == [value]


def test_events_keep_their_order(server: ServerProcess) -> None:
    with connected(server) as client:
        client.send(b"".join(frame(TEXT, b'42["message",%d]' % number) for number in range(100)))
        for number in range(100):
            assert client.receive_text() == f'42["message-back",{number}]'


def test_an_event_that_nobody_knows_is_refused_and_the_connection_stays(server: ServerProcess) -> None:
    with connected(server) as client:
        assert client.call("unheard of", 1)["error"]["code"] == "invalid_payload"
        client.say('42["unheard of"]')
        assert json.loads(client.receive_text()[2:])[1]["code"] == "invalid_payload"
        assert client.call("echo", "here") == "here"


# Acknowledgement


@pytest.mark.parametrize("number", ["0", "1", "12", "456", "4294967296", "999999999999999"])
def test_an_event_is_acknowledged_with_its_number(server: ServerProcess, number: str) -> None:
    with connected(server) as client:
        client.say(f'42{number}["message-with-ack",1,"2",{{"3":[false]}}]')
        assert client.receive_text() == f'43{number}[1,"2",{{"3":[false]}}]'


def test_an_acknowledgement_may_be_empty(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say('4212["message-with-ack"]')
        assert client.receive_text() == "4312[]"


def test_an_event_of_a_namespace_is_acknowledged_there(server: ServerProcess) -> None:
    with connected(server, "/custom") as client:
        client.say('42/custom,456["message-with-ack",1]')
        assert client.receive_text() == "43/custom,456[1]"
        send_binary(client, f'452-/custom,7["message-with-ack",{PLACEHOLDERS}]')
        data, attachments = receive_binary(client, "462-/custom,7")
        assert (data, attachments) == (json.loads(f"[{PLACEHOLDERS}]"), ATTACHMENTS)


def test_an_event_with_attachments_is_acknowledged_with_attachments(server: ServerProcess) -> None:
    with connected(server) as client:
        send_binary(client, f'452-789["message-with-ack",{PLACEHOLDERS}]')
        data, attachments = receive_binary(client, "462-789")
        assert (data, attachments) == (json.loads(f"[{PLACEHOLDERS}]"), ATTACHMENTS)


def test_an_event_with_attachments_may_be_acknowledged_without(server: ServerProcess) -> None:
    with connected(server) as client:
        send_binary(client, '451-14["size",{"_placeholder":true,"num":0}]', [b"1234"])
        assert client.receive_text() == "4314[4]"


def asked(client: RawWebSocket, question: str, namespace: str = "") -> str:
    """Let the server ask something; return the number under which it wants the answer."""
    client.say(f"42{namespace}" + json.dumps(["ask me", question]))
    text = client.receive_text()
    start = text.index("[")
    assert json.loads(text[start:]) == ["question", question]
    assert text.startswith(f"42{namespace}")
    return text[2 + len(namespace) : start]


def test_the_server_may_ask_for_an_acknowledgement(server: ServerProcess) -> None:
    with connected(server) as client:
        first, second = asked(client, "first?"), asked(client, "second?")
        assert first != second
        client.say(f'43{second}["ack of the second"]')
        client.say(f'43{first}["ack of the first",{{"more":1}}]')
        assert client.call("echo", "end") == "end"
    answers = called(server.url)
    assert ["answer", "ack of the first", {"more": 1}] in answers
    assert answers.index(["answer", "ack of the second"]) < answers.index(
        ["answer", "ack of the first", {"more": 1}]
    )


def test_an_empty_acknowledgement_reaches_the_server(server: ServerProcess) -> None:
    before = called(server.url).count(["answer"])
    with connected(server) as client:
        client.say(f"43{asked(client, 'well?')}[]")
        assert client.call("echo", "end") == "end"
    assert called(server.url).count(["answer"]) == before + 1


def test_an_acknowledgement_with_attachments_reaches_the_server(server: ServerProcess) -> None:
    with connected(server) as client:
        send_binary(client, f'462-{asked(client, "what?")}["binary",{PLACEHOLDERS}]')
        assert client.call("echo", "end") == "end"
    assert ["answer", "binary", *(part.hex() for part in ATTACHMENTS)] in called(server.url)


def test_an_acknowledgement_counts_in_its_own_namespace_alone(server: ServerProcess) -> None:
    with connected(server, "/custom") as client:
        there = asked(client, "there?", "/custom,")
        client.say(f'43{there}["here"]')
        client.say(f'43/custom,{there}["there"]')
        assert client.call("echo", "end") == "end"
    answers = called(server.url)
    assert ["custom answer", "there"] in answers
    assert ["custom answer", "here"] not in answers and ["answer", "here"] not in answers


def test_an_acknowledgement_counts_once_and_a_late_one_does_no_harm(server: ServerProcess) -> None:
    with connected(server) as client:
        number = asked(client, "once?")
        client.say(f'43{number}["counts once"]')
        client.say(f'43{number}["counts once"]')
        client.say('43123456["nobody asked"]')
        assert client.call("echo", "still here") == "still here"
    answers = called(server.url)
    assert answers.count(["answer", "counts once"]) == 1
    assert ["answer", "nobody asked"] not in answers


def test_the_server_may_send_attachments_with_a_question_by_polling(server: ServerProcess) -> None:
    polling = Polling(server.url)
    polling.say('451-["ask me",{"_placeholder":true,"num":0}]', "bAQID")
    text, attachment = polling.packets(2)
    assert text.startswith("451-") and attachment == "bAQID"
    number = text[4 : text.index("[")]
    polling.say(f'461-{number}["by polling",{{"_placeholder":true,"num":0}}]', "bBAUG")
    wait_until(lambda: ["answer", "by polling", "040506"] in called(server.url))


# Disconnection from a namespace


def test_who_disconnects_from_the_main_namespace_may_come_back_to_it(server: ServerProcess) -> None:
    """If it does not, it is as one that never connected: the module on bounds sees its end."""
    with connected(server) as client:
        client.say("41")
        client.say("40")
        sid_of(client.receive_text(), "40")
        assert client.call("echo", "here") == "here"


def test_who_disconnects_from_one_namespace_stays_in_the_others(server: ServerProcess) -> None:
    with connected(server, "/custom") as client:
        before = called(server.url)
        client.say("41/custom,")
        client.say('42["message","message to main namespace"]')
        assert client.receive_text() == '42["message-back","message to main namespace"]'
        after = called(server.url)
        assert after.count(["disconnect"]) == before.count(["disconnect"]) + 1


def test_a_namespace_may_be_left_without_a_comma_and_entered_again(server: ServerProcess) -> None:
    with connected(server, "/custom") as client:
        client.say("41/custom")
        client.say("40/custom,")
        sid_of(client.receive_text(), "40/custom,")
        assert client.receive_text() == '42/custom,["auth",{}]'
        assert client.call("echo", "here") == "here"


def test_a_host_disconnects_a_client(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say('42["let me go"]')
        assert client.receive_text() == "41"


def test_a_connection_that_breaks_is_a_disconnection(server: ServerProcess) -> None:
    before = called(server.url).count(["disconnect"])
    with connected(server, "/custom"):
        pass
    wait_until(lambda: called(server.url).count(["disconnect"]) == before + 1)

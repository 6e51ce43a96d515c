"""What breaks the rules of the protocols ends its connection: soon, with the right code, and one line of log.

By WebSocket it is a close code: 1007 for what is no packet, 1008 for a packet that is not allowed there,
1003 for bytes that nobody awaits. By polling it is 400, and the session is over. Nobody's handler is called,
and no line of the log tells a session's id or what was in a packet.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Sequence

import pytest

from clients import wait_until
from protocol_peer import SEPARATOR, Polling, mark
from raw_websocket import BINARY, CONTINUATION, TEXT, RawWebSocket, frame, header
from servers import ServerProcess

NOT_A_PACKET, NOT_ALLOWED, NOT_AWAITED = 1007, 1008, 1003

#: Names that clients of this protocol version keep for themselves, and python-socketio's own. Those that
#: only clients of version 2 keep (``error``, ``ping``, …) are a host's to use.
RESERVED = ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
RESERVED += ("*", "__disconnect_final")

#: What is in the packets and never in the log.
SECRET = "hush"

Packets = Sequence[str | bytes]

PLACEHOLDER = '{"_placeholder":true,"num":0}'


def nested(depth: int) -> str:
    """Return an event that is nested so deep."""
    return '42["echo",' + "[" * (depth - 1) + "]" * (depth - 1) + "]"


#: No packet of Engine.IO or Socket.IO, or one whose JSON is not valid.
MALFORMED: dict[str, Packets] = {
    "nothing": [""],
    "no number": ["hush"],
    "a space": [" "],
    "a JSON text": ['["echo","hush"]'],
    "a message without a packet": ["4"],
    "a packet without a number": ["4hush"],
    "a packet of digits beyond ASCII": ['4٢["hush"]'],
    "an event that does not end": ['42["echo","hush"'],
    "an event that goes on": ['42["echo","hush"]x'],
    "two values": ['42["echo","hush"]["echo"]'],
    "NaN": ['421["echo","hush",NaN]'],
    "Infinity": ['421["echo","hush",Infinity]'],
    "-Infinity": ['421["echo","hush",-Infinity]'],
    "a number beyond a double": ['421["echo","hush",1e400]'],
    "a negative number beyond a double": ['421["echo","hush",-1e400]'],
    "a lone high surrogate": ['421["echo","hush\\ud800"]'],
    "half a character in an answer": ['431["hush\\ud800"]'],
    "a lone low surrogate": ['421["echo","hush\\udc00"]'],
    "surrogates in the wrong order": ['421["echo","hush\\udc00\\ud800"]'],
    "a lone surrogate as a key": ['421["echo",{"hush\\ud800":1}]'],
    "a control character": ['421["echo","hush\n"]'],
    "single quotes": ["421[\"echo\",'hush']"],
    "a comma too many": ['421["echo","hush",]'],
    "a comment": ['421["echo","hush"/**/]'],
    "a leading zero": ['421["echo","hush",01]'],
    "a byte order mark": ['421\ufeff["echo","hush"]'],
    "an unknown escape": ['421["echo","hush\\x41"]'],
    "deeper than allowed": [nested(33)],
    "much deeper than allowed": [nested(20000)],
    "objects deeper than allowed": ['42["echo",' + '{"a":' * 32 + "1" + "}" * 32 + "]"],
    "an id of letters": ['42abc["echo","hush"]'],
    "an id that is too long": ["42" + "9" * 400 + '["echo","hush"]'],
    "an id that is negative": ['42-1["echo","hush"]'],
    "attachments without a count": ['45["echo","hush"]'],
    "an empty count of attachments": ['45-["echo","hush"]'],
    "a count of letters": ['45a-["echo","hush"]'],
    "attachments of a text event": ['421-["echo","hush"]'],
    "a connection that does not end": ['40{"token":"hush"'],
    "an answer without a list": ['431{"hush":1}'],
    "an answer without anything": ["431"],
    "an answer without an id": ['43["hush"]'],
}

#: What JSON can say and no event can be; the documents leave the code open, so either is right.
NO_EVENT: dict[str, Packets] = {
    "an event of nothing": ["42"],
    "an event of no list": ['42{"hush":1}'],
    "an event of null": ["42null"],
    "an event of a text": ['42"hush"'],
    "an event of an empty list": ["42[]"],
    "a namespace without its comma": ['42/custom["echo","hush"]'],
    "a connection with a list": ["40[1]"],
    "a connection with a text": ['40"hush"'],
    "a disconnection with a payload": ['41{"hush":1}'],
    "a binary event of no list": ['451-{"hush":1}'],
}

#: Well-formed, and not allowed.
FORBIDDEN: dict[str, Packets] = {
    "a second CONNECT": ["40"],
    "a second CONNECT with a payload": ['40{"token":"hush"}'],
    "CONNECT_ERROR": ['44{"message":"hush"}'],
    "an unknown type of packet": ['47["echo","hush"]'],
    "another unknown type of packet": ['48["echo","hush"]'],
    "the last unknown type of packet": ["49"],
    "an unknown type of Engine.IO": ["7"],
    "another unknown type of Engine.IO": ["9hush"],
    "a ping from the client": ["2"],
    "a probe outside of an upgrade": ["2probe"],
    "OPEN from the client": ['0{"sid":"hush"}'],
    "an upgrade outside of one": ["5"],
    "an event whose name is a number": ['42[1,"hush"]'],
    "an event whose name is null": ['42[null,"hush"]'],
    "an event whose name is a list": ['42[["echo"],"hush"]'],
    "an event of a namespace that is not connected": ['42/custom,["message","hush"]'],
    "an event of a namespace that nobody knows": ['42/random,["message","hush"]'],
    "an answer in a namespace that is not connected": ['43/custom,1["hush"]'],
    "a disconnection of a namespace that is not connected": ["41/custom,"],
    "more attachments than allowed": ['4511-["echo","hush"]'],
    "very many attachments": ["45" + "9" * 300 + '-["echo","hush"]'],
    "text where an attachment is awaited": [f'451-["echo","hush",{PLACEHOLDER}]', '42["echo","hush"]'],
    "a placeholder beyond the attachments": ['451-["echo",{"_placeholder":true,"num":1}]', b"hush"],
    "a placeholder below zero": ['451-["echo",{"_placeholder":true,"num":-1}]', b"hush"],
    "a placeholder of a text": ['451-["echo",{"_placeholder":true,"num":"0"}]', b"hush"],
    "a placeholder of a fraction": ['451-["echo",{"_placeholder":true,"num":0.5}]', b"hush"],
    "a placeholder of a truth": ['451-["echo",{"_placeholder":true,"num":false}]', b"hush"],
    "a placeholder without a number": ['451-["echo",{"_placeholder":true}]', b"hush"],
    "fewer placeholders than attachments": [f'452-["echo",{PLACEHOLDER}]', b"hush", b"hush"],
    "no placeholder for an attachment": ['451-["echo","hush"]', b"hush"],
    "an attachment as the name of an event": [f"451-[{PLACEHOLDER}]", b"hush"],
    **{f"the reserved name {name}": ["42" + json.dumps([name, "hush"])] for name in RESERVED},
    "a reserved name with an id": ['421["disconnect","hush"]'],
    "a reserved name with an attachment": [f'451-["disconnect",{PLACEHOLDER}]', b"hush"],
    "a reserved name in escapes": ['42["\\u0064isconnect","hush"]'],
}

UNAWAITED: dict[str, Packets] = {
    "bytes that nobody awaits": [b"hush"],
    "no bytes at all that nobody awaits": [b""],
    "an attachment too many": [f'451-["echo","hush",{PLACEHOLDER}]', b"hush", b"hush"],
}

#: What is allowed once the client is connected, and not before.
BEFORE_CONNECT: dict[str, Packets] = {
    "an event": ['42["echo","hush"]'],
    "an event of the chat's": ['42["join room",{"roomname":"hush"}]'],
    "an event with an attachment": [f'451-["echo",{PLACEHOLDER}]', b"hush"],
    "an answer": ['431["hush"]'],
    "a disconnection": ["41"],
}

FAULTS: list[tuple[str, Packets, tuple[int, ...], bool]] = [
    *((name, packets, (NOT_A_PACKET,), True) for name, packets in MALFORMED.items()),
    *((name, packets, (NOT_A_PACKET, NOT_ALLOWED), True) for name, packets in NO_EVENT.items()),
    *((name, packets, (NOT_ALLOWED,), True) for name, packets in FORBIDDEN.items()),
    *((name, packets, (NOT_AWAITED,), True) for name, packets in UNAWAITED.items()),
    *((f"{name} before CONNECT", packets, (NOT_ALLOWED,), False) for name, packets in BEFORE_CONNECT.items()),
    ("bytes before CONNECT", [b"hush"], (NOT_AWAITED,), False),
    ("no packet before CONNECT", ["hush"], (NOT_A_PACKET,), False),
]

faults = pytest.mark.parametrize(
    ("packets", "codes", "connect"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)

#: Handlers that were called for what a client had said before its fault.
HANDLED = {tuple(UNAWAITED["an attachment too many"]): 1}


@pytest.fixture
def quiet(server: ServerProcess) -> Iterator[ServerProcess]:
    """The server, which prints one line for the fault that a test commits and calls nobody for it."""
    start, calls = mark(server)
    server.secrets = [SECRET]
    server.allowed_calls = 0
    yield server
    wait_until(lambda: lines_since(server, start), "a line of the log")
    end, calls_after = mark(server)
    lines = lines_since(server, start)
    assert len(lines) == 1, lines
    assert "ERROR" not in lines[0]
    told = [line for line in server.output[start:end] if any(secret in line for secret in server.secrets)]
    assert told == []
    assert calls_after - calls == server.allowed_calls


def lines_since(server: ServerProcess, start: int) -> list[str]:
    """Return what was printed since `start`, without the line on a client that connected."""
    others = ("MARK ", "a client connected")
    return [line for line in server.output[start:] if not any(other in line for other in others)]


@faults
def test_by_websocket_it_closes_with_its_code(
    quiet: ServerProcess, packets: Packets, codes: tuple[int, ...], connect: bool
) -> None:
    quiet.allowed_calls = HANDLED.get(tuple(packets), 0)
    with RawWebSocket(quiet.url) as client:
        quiet.secrets.append(json.loads(client.receive_text()[1:])["sid"])
        if connect:
            client.say("40")
            quiet.secrets.append(json.loads(client.receive_text()[2:])["sid"])
        began = time.monotonic()
        client.send(
            b"".join(
                frame(TEXT, packet.encode()) if isinstance(packet, str) else frame(BINARY, packet)
                for packet in packets
            )
        )
        code = client.closed_with()
        assert time.monotonic() - began < 1
        assert code in codes


@faults
def test_by_polling_it_is_answered_400_and_ends_the_session(
    quiet: ServerProcess, packets: Packets, codes: tuple[int, ...], connect: bool
) -> None:
    quiet.allowed_calls = HANDLED.get(tuple(packets), 0)
    polling = Polling(quiet.url, connect=connect)
    quiet.secrets += [polling.sid, *polling.connected.values()]
    body = SEPARATOR.join(
        packet if isinstance(packet, str) else "b" + base64.b64encode(packet).decode() for packet in packets
    )
    began = time.monotonic()
    assert polling.post_bytes(body.encode()).status == 400
    assert time.monotonic() - began < 1
    assert polling.is_over()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_by_polling_nothing_of_a_payload_with_a_malformed_packet_is_handled(
    quiet: ServerProcess, place: int
) -> None:
    polling = Polling(quiet.url)
    quiet.secrets += [polling.sid, *polling.connected.values()]
    packets = ['42["message",1]', '42["message",2]']
    packets.insert(place, "hush")
    assert polling.post(*packets).status == 400
    assert polling.is_over()


@pytest.mark.parametrize(
    "body", [b"\xff", b"4\xed\xa0\x80", b"b*", b"bAQ", b"bAQID=", b"b A Q I D", b"3\x1e"]
)
def test_a_payload_that_is_none_is_answered_400_and_ends_the_session(
    quiet: ServerProcess, body: bytes
) -> None:
    polling = Polling(quiet.url)
    quiet.secrets += [polling.sid, *polling.connected.values()]
    assert polling.post_bytes(body).status == 400
    assert polling.is_over()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b'42["echo","hush"]', mask=False), 1002),
        (frame(TEXT, b'42["echo","hush"]', reserved=4), 1002),
        (frame(CONTINUATION, b"hush"), 1002),
        (frame(TEXT, b'42["echo","hush\xff"]'), 1007),
        (frame(TEXT, b'42["echo","hush\xed\xa0\x80"]'), 1007),
        (header(TEXT, 65537), 1009),
        (header(BINARY, 1 << 31), 1009),
    ],
    ids=["mask", "reserved", "continuation", "utf-8", "surrogate", "big", "2 GiB"],
)
def test_a_frame_against_the_rules_is_one_line_too(quiet: ServerProcess, data: bytes, code: int) -> None:
    with RawWebSocket(quiet.url) as client:
        quiet.secrets.append(client.open_session()["sid"])
        client.send(data)
        assert client.closed_with() == code


def test_what_follows_a_fault_in_the_same_moment_is_not_handled(quiet: ServerProcess) -> None:
    with RawWebSocket(quiet.url) as client:
        quiet.secrets.append(client.open_session()["sid"])
        client.send(frame(TEXT, b"hush") + frame(TEXT, b'42["message",1]') * 10)
        assert client.closed_with() == NOT_A_PACKET


def test_half_a_character_in_what_the_chat_checks_itself_is_refused_there(server: ServerProcess) -> None:
    """No handler of a host's gets it, and none is sent to anybody."""
    with RawWebSocket(server.url) as client:
        client.open_session()
        for text in ('421["new message",{"room":"r","message":"\\ud800"}]', '421["\\ud800"]'):
            client.say(text)
            answer = json.loads(client.receive_text()[3:])
            assert answer[0]["error"]["code"] in ("not_in_room", "invalid_payload")
        assert client.call("echo", "here") == "here"


def test_as_deep_as_allowed_is_not_too_deep(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        client.open_session()
        client.say(nested(32).replace("42", "421", 1))
        assert client.receive_text() == nested(32).replace('42["echo",', "431[", 1)


def test_brackets_in_a_text_do_not_count(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        client.open_session()
        assert client.call("echo", "[{" * 100) == "[{" * 100


def test_a_paired_surrogate_is_a_character(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        client.open_session()
        client.say('421["echo","\\ud83d\\ude00"]')
        assert json.loads(client.receive_text()[3:]) == ["\U0001f600"]

"""What breaks the rules of the protocols ends its connection: soon, with the right code, and one line of log.

By WebSocket it is a close code: 1007 for what is no packet, 1008 for a packet that is not allowed there,
1003 for bytes that nobody awaits. By polling it is 400, and the session is over. Nobody's handler is called,
and no line of the log tells a session's id or what was in a packet.
"""

from __future__ import annotations

import base64
import json
import time

import pytest

from packet_cases import (
    BEFORE_CONNECT,
    FORBIDDEN,
    MALFORMED,
    NO_EVENT,
    NOT_A_PACKET,
    NOT_ALLOWED,
    NOT_AWAITED,
    UNAWAITED,
    Packets,
    nested,
)
from protocol_peer import SEPARATOR, Polling
from raw_websocket import BINARY, CONTINUATION, TEXT, RawWebSocket, frame, header
from servers import ServerProcess

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

"""What breaks the rules of the older protocols ends its connection as in the newer: see `test_malformed`."""

from __future__ import annotations

import json
import time

import pytest

from older_peer import BinaryPolling, JsonpPolling, OlderPolling, OlderWebSocket
from packet_cases import (
    FORBIDDEN,
    MALFORMED,
    NO_EVENT,
    NOT_A_PACKET,
    NOT_ALLOWED,
    NOT_AWAITED,
    SECRET,
    UNAWAITED,
    Packets,
)
from raw_websocket import BINARY, TEXT, RawWebSocket, frame
from servers import ServerProcess

#: What these clients may send, and those of the newer version may not.
ALLOWED = {"a ping from the client", "a probe outside of an upgrade", "a second CONNECT"}

#: There is no `auth`.
WITH_DATA = "a second CONNECT with a payload"

OLDER_FORBIDDEN = {name: packets for name, packets in FORBIDDEN.items() if name not in {*ALLOWED, WITH_DATA}}
OLDER_FORBIDDEN |= {
    "a pong from the client": ["3"],
    "ERROR": ['44"hush"'],
}

OLDER_MALFORMED: dict[str, Packets] = {
    "CONNECT with a payload": FORBIDDEN[WITH_DATA],
    "base64 of nothing": ["b"],
    "base64 of no message": ["bhush"],
    "base64 of a ping": ["b2aHVzaA=="],
    "base64 that is none": ["b4hush!"],
    "base64 that is cut off": ["b4aHV"],
}

FAULTS: list[tuple[str, Packets, tuple[int, ...]]] = [
    *((name, packets, (NOT_A_PACKET,)) for name, packets in {**MALFORMED, **OLDER_MALFORMED}.items()),
    *((name, packets, (NOT_A_PACKET, NOT_ALLOWED)) for name, packets in NO_EVENT.items()),
    *((name, packets, (NOT_ALLOWED,)) for name, packets in OLDER_FORBIDDEN.items()),
    *((name, packets, (NOT_AWAITED,)) for name, packets in UNAWAITED.items()),
]

faults = pytest.mark.parametrize(
    ("packets", "codes"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)

#: Handlers that were called for what a client had said before its fault.
HANDLED = {tuple(UNAWAITED["an attachment too many"]): 1}


@faults
def test_by_websocket_it_closes_with_its_code(
    quiet: ServerProcess, packets: Packets, codes: tuple[int, ...]
) -> None:
    quiet.allowed_calls = HANDLED.get(tuple(packets), 0)
    with OlderWebSocket(quiet.url, f"&token={SECRET}") as client:
        quiet.secrets.append(client.open_session()["sid"])
        began = time.monotonic()
        client.send_packets(*packets)
        code = client.closed_with()
        assert time.monotonic() - began < 1
        assert code in codes


@faults
def test_by_polling_it_is_answered_400_and_ends_the_session(
    quiet: ServerProcess, packets: Packets, codes: tuple[int, ...]
) -> None:
    quiet.allowed_calls = HANDLED.get(tuple(packets), 0)
    check_refused_by_polling(quiet, OlderPolling, packets)


@pytest.mark.parametrize("kind", [BinaryPolling, JsonpPolling])
@pytest.mark.parametrize("name", ["no number", "an event that goes on", *OLDER_MALFORMED, *UNAWAITED])
def test_however_a_payload_is_written_it_is_answered_400(
    quiet: ServerProcess, name: str, kind: type[OlderPolling]
) -> None:
    packets = {**MALFORMED, **OLDER_MALFORMED, **UNAWAITED}[name]
    quiet.allowed_calls = HANDLED.get(tuple(packets), 0)
    check_refused_by_polling(quiet, kind, packets)


def check_refused_by_polling(server: ServerProcess, kind: type[OlderPolling], packets: Packets) -> None:
    polling = kind(server.url, f"&token={SECRET}")
    server.secrets.append(polling.sid)
    began = time.monotonic()
    assert polling.post(*packets).status == 400
    assert time.monotonic() - began < 1
    assert polling.is_over()


BODIES = {
    "nothing": b"",
    "no length": b"42",
    "a length of nothing": b"0:",
    "a length that is no number": b"x:2",
    "a length that is negative": b"-1:2",
    "a length beyond the body": b"99:42",
    "a length beyond all bodies": b"9" * 500 + b":2",
    "a length that parts a character": "2:4\U0001f600".encode(),
    "something after a packet": b"1:2hush",
    "no utf-8": b"5:42\xff[]",
    "a packet of the newer protocol": b'42["message","hush"]\x1e2',
    "bytes without an end of their length": b"\x00\x01hush",
    "bytes of no length": b"\x00\xffhush",
    "bytes of length nothing": b"\x00\x00\xffhush",
    "bytes beyond the body": b"\x00\x09\x09\xffhush",
    "bytes of a length that is no number": b"\x00\x0a\xffhush",
    "bytes of a length beyond all bodies": b"\x00" + b"\x09" * 500 + b"\xffhush",
    "bytes of no kind": b"\x00\x01\xff2\x02\x04\xffhush",
    "bytes of a text that is no utf-8": b"\x00\x02\xff2\xff",
    "bytes of a ping": b"\x01\x05\xff\x02hush",
    "bytes of nothing": b"\x01\x01\xffh",
    "a form": b"d=1:2",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_payload_that_is_none_is_answered_400_and_ends_the_session(
    quiet: ServerProcess, body: bytes
) -> None:
    polling = OlderPolling(quiet.url)
    quiet.secrets.append(polling.sid)
    assert polling.post_bytes(body).status == 400
    assert polling.is_over()


@pytest.mark.parametrize(
    "body", [b"", b"1:2", b"x=1:2", b"d=", b"d=1:2&d=1:2", b"d=%FF", b"d=hush", b"d=1:2" + b"&x=y" * 1000]
)
def test_a_form_that_is_none_is_answered_400_and_ends_the_session(quiet: ServerProcess, body: bytes) -> None:
    polling = JsonpPolling(quiet.url)
    quiet.secrets.append(polling.sid)
    assert polling.post_bytes(body).status == 400
    assert polling.is_over()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nothing_of_a_payload_with_a_malformed_packet_is_handled(quiet: ServerProcess, place: int) -> None:
    polling = OlderPolling(quiet.url)
    quiet.secrets.append(polling.sid)
    packets: list[str | bytes] = ['42["message",1]', '42["message",2]']
    packets.insert(place, "hush")
    assert polling.post(*packets).status == 400
    assert polling.is_over()


@pytest.mark.parametrize("content", [b"", b"hush", b"\x02hush", b"\x00", b"4hush"])
def test_bytes_of_no_message_close_a_websocket(quiet: ServerProcess, content: bytes) -> None:
    with OlderWebSocket(quiet.url) as client:
        quiet.secrets.append(client.open_session()["sid"])
        client.send(frame(BINARY, content))
        assert client.closed_with() == NOT_A_PACKET


def test_too_many_parameters_of_a_connection_close_it(quiet: ServerProcess) -> None:
    with OlderWebSocket(quiet.url) as client:
        quiet.secrets.append(client.open_session()["sid"])
        client.say("40/custom?" + "&".join(f"hush{number}=1" for number in range(101)) + ",")
        assert client.closed_with() == NOT_A_PACKET


@pytest.mark.parametrize("text", ["2", "5", "40", "2hush"])
def test_a_websocket_of_an_upgrade_that_says_something_else_is_closed_alone(
    server: ServerProcess, text: str
) -> None:
    polling = OlderPolling(server.url)
    with OlderWebSocket(server.url, f"&sid={polling.sid}") as client:
        client.say(text)
        assert client.closed_with() == NOT_ALLOWED
    polling.say('421["echo","still here"]')
    assert polling.packets(1) == ['431["still here"]']


def test_what_is_too_big_is_refused_by_its_header(quiet: ServerProcess) -> None:
    with RawWebSocket(quiet.url, query="EIO=3&transport=websocket") as client:
        assert json.loads(client.receive_text()[1:])["sid"]
        assert client.receive_text() == "40"
        client.send(frame(TEXT, b"2" * 65537)[:20])
        assert client.closed_with() == 1009


@pytest.mark.parametrize("kind", [OlderPolling, BinaryPolling, JsonpPolling])
def test_a_body_that_is_too_big_is_refused_and_leaves_the_session(
    server: ServerProcess, kind: type[OlderPolling]
) -> None:
    polling = kind(server.url)
    assert polling.post("2" * 66000).status == 413
    polling.say('421["echo","still here"]')
    assert polling.packets(1) == ['431["still here"]']

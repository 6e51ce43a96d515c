"""RFC 6455 over real sockets, as the cases of the Autobahn test suite check it: by their numbers.

Autobahn wants an echo of any message. Ours speaks Socket.IO alone, so texts travel in an event and its
acknowledgement, and bytes as their attachments. ``tests/unit/test_frames*.py`` has the same of the parser
alone.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest

from frame_cases import INVALID_CODES, INVALID_TEXTS, VALID_CODES, VALID_TEXTS
from protocol_peer import ask
from raw_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    close_frame,
    frame,
    header,
)
from servers import ServerProcess

PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009

#: The longest message that the server takes, by default.
FRAME_BYTES = 65536

EVENT = b'421["echo","hello"]'
ACK = (TEXT, b'431["hello"]')


@contextlib.contextmanager
def connected(server: ServerProcess) -> Iterator[RawWebSocket]:
    with RawWebSocket(server.url) as client:
        client.open_session()
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield client


def refused_with(server: ServerProcess, data: bytes) -> int:
    """Send this; return the code that the server closes with, which it has to do within a second."""
    with connected(server) as client:
        began = time.monotonic()
        client.send(data)
        code = client.closed_with()
        assert time.monotonic() - began < 1
        return code


def size_event(size: int) -> bytes:
    """Return an event of this many bytes, which is answered with how long its text is."""
    return b'421["size","' + b"*" * (size - 14) + b'"]'


# The opening handshake (section 4.2)


def test_the_answer_to_a_handshake_is_computed_from_its_key(server: ServerProcess) -> None:
    with RawWebSocket(server.url, Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==") as client:
        status, *lines = client.head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert status.startswith("HTTP/1.1 101 ")
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert headers["upgrade"].lower() == "websocket"
        assert headers["connection"].lower() == "upgrade"
        # Neither was offered (section 4.2.2).
        assert "sec-websocket-extensions" not in headers and "sec-websocket-protocol" not in headers


def test_extensions_and_protocols_that_a_client_offers_are_not_used(server: ServerProcess) -> None:
    offers = {"Sec_WebSocket_Extensions": "permessage-deflate", "Sec_WebSocket_Protocol": "chat, superchat"}
    with RawWebSocket(server.url, **offers) as client:
        assert client.head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-extensions" not in client.head.lower()
        assert b"sec-websocket-protocol" not in client.head.lower()
        client.open_session()
        assert client.call("echo", 1) == 1


# gevent-websocket's worker answers these before it asks us.
@pytest.mark.parametrize("server", ["serve", "conf", "gevent"], indirect=True)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_WebSocket_Key": None}, b"400"),
        ({"Sec_WebSocket_Key": "dG9vIHNob3J0"}, b"400"),
        ({"Sec_WebSocket_Key": "not base64 at all!!!!!!!"}, b"400"),
        ({"Sec_WebSocket_Version": None}, b"4"),
        ({"Sec_WebSocket_Version": "8"}, b"426"),
        ({"Connection": "keep-alive"}, b"400"),
        ({"Upgrade": "h2c"}, b"400"),
    ],
    ids=str,
)
def test_a_request_that_is_no_handshake_is_refused(
    server: ServerProcess, headers: dict[str, str | None], status: bytes
) -> None:
    with RawWebSocket(server.url, **headers) as client:
        assert client.head.startswith(b"HTTP/1.1 " + status), client.head
        if status == b"426":
            assert b"sec-websocket-version: 13" in client.head.lower()


def test_names_and_tokens_of_a_handshake_are_read_in_any_case(server: ServerProcess) -> None:
    with RawWebSocket(server.url, Connection="keep-alive, UPGRADE", Upgrade="WebSocket") as client:
        client.open_session()
        assert client.call("echo", 1) == 1


# 1: framing, and 9: sizes


@pytest.mark.parametrize("size", [14, 15, 125, 126, 127, 128, 1000, 4096, 65535, 65536])
def test_texts_of_every_length_are_read(server: ServerProcess, size: int) -> None:
    with connected(server) as client:
        client.send(frame(TEXT, size_event(size)))
        assert client.receive() == (TEXT, b"431[%d]" % (size - 14))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 4096, 65535, 65536])
def test_bytes_of_every_length_are_read_and_sent(server: ServerProcess, size: int) -> None:
    with connected(server) as client:
        client.say('451-1["echo",{"_placeholder":true,"num":0}]')
        client.send(frame(BINARY, b"\xfe" * size))
        assert client.receive_text().startswith("461-1[")
        assert client.receive() == (BINARY, b"\xfe" * size)


@pytest.mark.parametrize("size", [125, 126, 127, 128, 65400])
def test_texts_of_every_length_are_sent(server: ServerProcess, size: int) -> None:
    with connected(server) as client:
        assert client.call("echo", "*" * size) == "*" * size


@pytest.mark.parametrize("portion", [1, 7, 997])
def test_frames_may_come_in_any_portions(server: ServerProcess, portion: int) -> None:
    size = 200 if portion == 1 else 2000 if portion == 7 else 65536
    with connected(server) as client:
        data = frame(PING, b"p") + frame(TEXT, size_event(size)) + frame(PING, b"q")
        for start in range(0, len(data), portion):
            client.send(data[start : start + portion])
        assert client.receive() == (PONG, b"p")
        assert {client.receive() for _ in range(2)} == {(TEXT, b"431[%d]" % (size - 14)), (PONG, b"q")}


def test_many_frames_may_come_at_once(server: ServerProcess) -> None:
    with connected(server) as client:
        client.send(b"".join(frame(TEXT, b'42%d["echo",%d]' % (n, n)) for n in range(500)))
        assert [client.receive()[1] for _ in range(500)] == [b"43%d[%d]" % (n, n) for n in range(500)]


@pytest.mark.parametrize("mask", [bytes(4), b"\xff\xff\xff\xff", b"\x00\x01\x80\xff"])
def test_any_mask_is_taken_off(server: ServerProcess, mask: bytes) -> None:
    with connected(server) as client:
        payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(EVENT))
        client.send(header(TEXT, len(EVENT)) + mask + payload)
        assert client.receive() == ACK


# 2: pings and pongs


@pytest.mark.parametrize(
    "payload", [b"", b"Hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 124, b"\xfe" * 125]
)
def test_a_ping_is_answered_with_its_payload(server: ServerProcess, payload: bytes) -> None:
    with connected(server) as client:
        client.send(frame(PING, payload))
        assert client.receive() == (PONG, payload)
        for byte in frame(PING, payload):
            client.send(bytes((byte,)))
        assert client.receive() == (PONG, payload)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize("size", [126, 65535, 65536, 1 << 31])
def test_a_control_frame_of_over_125_bytes_is_refused_by_its_header(
    server: ServerProcess, opcode: int, size: int
) -> None:
    assert refused_with(server, header(opcode, size)) == PROTOCOL_ERROR


def test_pongs_that_nobody_asked_for_are_ignored(server: ServerProcess) -> None:
    with connected(server) as client:
        client.send(frame(PONG) + frame(PONG, b"unasked") + frame(PING, b"x"))
        assert client.receive() == (PONG, b"x")


def test_ten_pings_are_answered_in_their_order(server: ServerProcess) -> None:
    pings = [b"payload-%d" % number for number in range(10)]
    with connected(server) as client:
        client.send(b"".join(frame(PING, ping) for ping in pings))
        assert [client.receive() for _ in pings] == [(PONG, ping) for ping in pings]


def test_pings_are_answered_before_the_client_connects(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        client.send(frame(PING, b"early"))
        assert {client.receive()[0], client.receive()[0]} == {TEXT, PONG}


# 3: reserved bits, 4: opcodes, and masks (section 5.1)


@pytest.mark.parametrize("reserved", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_reserved_bits_break_the_connection(server: ServerProcess, reserved: int, opcode: int) -> None:
    assert refused_with(server, frame(opcode, b"xy", reserved=reserved) + frame(PING)) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_opcodes_that_mean_nothing_break_the_connection(server: ServerProcess, opcode: int) -> None:
    assert refused_with(server, frame(opcode)) == PROTOCOL_ERROR
    assert refused_with(server, frame(opcode, b"payload") + frame(PING)) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_a_frame_without_a_mask_is_refused_by_its_header(server: ServerProcess, opcode: int) -> None:
    assert refused_with(server, frame(opcode, b"Hello", mask=False)[:2]) == PROTOCOL_ERROR


def test_what_came_whole_before_a_break_is_answered(server: ServerProcess) -> None:
    with connected(server) as client:
        client.send(frame(TEXT, EVENT) + frame(PING, b"x") + frame(5))
        first, second = client.receive(), client.receive()
        assert {first, second} == {ACK, (PONG, b"x")}
        assert client.closed_with() == PROTOCOL_ERROR


# 5: fragmentation


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_control_frames_cannot_be_fragmented(server: ServerProcess, opcode: int) -> None:
    assert refused_with(server, frame(opcode, b"frag", fin=False)) == PROTOCOL_ERROR


def test_fragments_make_one_message(server: ServerProcess) -> None:
    with connected(server) as client:
        for cut in range(len(EVENT) + 1):
            client.send(frame(TEXT, EVENT[:cut], fin=False) + frame(CONTINUATION, EVENT[cut:]))
            assert client.receive() == ACK
        bytewise = [frame(CONTINUATION, EVENT[n : n + 1], fin=False) for n in range(len(EVENT))]
        for part in (frame(TEXT, fin=False), *bytewise, frame(CONTINUATION)):
            client.send(part)
        assert client.receive() == ACK


def test_fragments_of_an_attachment_make_one(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say('451-1["echo",{"_placeholder":true,"num":0}]')
        client.send(frame(BINARY, b"ab", fin=False) + frame(CONTINUATION, fin=False))
        client.send(frame(PING, b"between") + frame(CONTINUATION, b"c"))
        assert client.receive() == (PONG, b"between")
        assert client.receive_text().startswith("461-1[")
        assert client.receive() == (BINARY, b"abc")


def test_control_frames_may_come_between_fragments(server: ServerProcess) -> None:
    with connected(server) as client:
        for chopped in (False, True):
            data = frame(TEXT, EVENT[:5], fin=False) + frame(PING, b"one")
            data += frame(CONTINUATION, EVENT[5:9], fin=False) + frame(PONG, b"unasked") + frame(PING, b"two")
            for part in [data[n : n + 1] for n in range(len(data))] if chopped else [data]:
                client.send(part)
            assert client.receive() == (PONG, b"one")
            assert client.receive() == (PONG, b"two")
            client.send(frame(CONTINUATION, EVENT[9:]))
            assert client.receive() == ACK


def test_a_close_frame_may_come_between_fragments(server: ServerProcess) -> None:
    assert refused_with(server, frame(TEXT, EVENT[:5], fin=False) + close_frame(1000)) == 1000


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("before", [b"", frame(TEXT, EVENT)])
@pytest.mark.parametrize("after", [b"", frame(TEXT, EVENT)])
def test_a_continuation_of_nothing_breaks_the_connection(
    server: ServerProcess, fin: bool, before: bytes, after: bytes
) -> None:
    alone = frame(CONTINUATION, b"non-continuation", fin=fin)
    assert refused_with(server, before + alone + after) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_a_message_within_a_fragmented_one_breaks_the_connection(
    server: ServerProcess, opcode: int, fin: bool
) -> None:
    data = frame(TEXT, EVENT[:5], fin=False) + frame(opcode, EVENT[5:], fin=fin)
    assert refused_with(server, data) == PROTOCOL_ERROR


# 6: UTF-8


def test_valid_texts_are_read_however_they_are_fragmented(server: ServerProcess) -> None:
    with connected(server) as client:
        for number, text in enumerate(VALID_TEXTS):
            data = f"42{number}".encode() + json.dumps(["echo", text], ensure_ascii=False).encode()
            client.send(frame(TEXT, data))
            for cut in range(len(data) - len(text.encode()) - 2, len(data)):
                client.send(frame(TEXT, data[:cut], fin=False) + frame(CONTINUATION, data[cut:]))
            for _ in range(len(text.encode()) + 3):
                assert json.loads(client.receive()[1][len(f"43{number}") :]) == [text]


@pytest.mark.parametrize("data", INVALID_TEXTS, ids=bytes.hex)
def test_invalid_texts_break_the_connection_however_they_are_fragmented(
    server: ServerProcess, data: bytes
) -> None:
    start, end = b'421["echo","', b'"]'
    assert refused_with(server, frame(TEXT, start + data + end)) == INVALID_DATA
    bytewise = [frame(CONTINUATION, data[n : n + 1], fin=False) for n in range(len(data))]
    parts = [frame(TEXT, start, fin=False), *bytewise, frame(CONTINUATION, end)]
    assert refused_with(server, b"".join(parts)) == INVALID_DATA


def test_an_invalid_fragment_is_refused_before_the_next_comes(server: ServerProcess) -> None:
    assert refused_with(server, frame(TEXT, b"ab\xff", fin=False)) == INVALID_DATA
    split = frame(TEXT, b"\xe1", fin=False) + frame(CONTINUATION, b"a", fin=False)
    assert refused_with(server, split) == INVALID_DATA


def test_bytes_need_not_be_utf_8(server: ServerProcess) -> None:
    with connected(server) as client:
        for data in INVALID_TEXTS:
            client.say('451-1["echo",{"_placeholder":true,"num":0}]')
            client.send(frame(BINARY, data))
            assert client.receive_text().startswith("461-1[")
            assert client.receive() == (BINARY, data)


# 7: closing (section 7)


@pytest.mark.parametrize("code", VALID_CODES)
def test_a_close_frame_is_answered_with_its_code(server: ServerProcess, code: int) -> None:
    for reason in (b"", "Gründe".encode(), b"*" * 123):
        assert refused_with(server, close_frame(code, reason)) == code


def test_a_close_frame_without_a_code_is_answered(server: ServerProcess) -> None:
    assert refused_with(server, frame(CLOSE)) in (1000, 1005)


@pytest.mark.parametrize("code", INVALID_CODES)
def test_a_close_code_that_may_not_be_sent_breaks_the_connection(server: ServerProcess, code: int) -> None:
    assert refused_with(server, close_frame(code)) == PROTOCOL_ERROR
    assert refused_with(server, close_frame(code, b"reason")) == PROTOCOL_ERROR


def test_half_a_close_code_and_a_reason_that_is_not_utf_8_break_the_connection(server: ServerProcess) -> None:
    assert refused_with(server, frame(CLOSE, b"\x03")) == PROTOCOL_ERROR
    assert refused_with(server, close_frame(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xff")) == INVALID_DATA


@pytest.mark.parametrize("after", [frame(TEXT, EVENT), frame(PING), close_frame(1000), b"\xff\xff", frame(4)])
def test_nothing_counts_after_a_close_frame(server: ServerProcess, after: bytes) -> None:
    assert refused_with(server, close_frame(1000) + after) == 1000


def test_the_server_ends_the_connection_at_once_when_both_have_closed(server: ServerProcess) -> None:
    with connected(server) as client:
        client.send(close_frame(1000))
        code, seconds = client.closing()
        assert code == 1000
        assert seconds < 0.5


def test_the_server_waits_a_moment_for_the_answer_to_its_close_frame(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say("1")
        assert client.receive()[0] == CLOSE
        began = time.monotonic()
        client.send(close_frame(1000))
        assert client.is_closed()
        assert time.monotonic() - began < 0.5


def test_a_client_that_does_not_answer_a_close_frame_is_let_go_after_a_second(server: ServerProcess) -> None:
    with connected(server) as client:
        client.say("1")
        assert client.receive()[0] == CLOSE
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):  # as soon as nobody is there to hear it
            while time.monotonic() - began < 3:
                client.send(frame(PONG))
                time.sleep(0.02)
        assert 0.5 < time.monotonic() - began < 2


# Limits (section 10.4): what is too big is refused by its header.


@pytest.mark.parametrize("size", [65537, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_over_the_limit_is_refused_by_its_header(
    server: ServerProcess, size: int, opcode: int
) -> None:
    assert refused_with(server, header(opcode, size)) == TOO_BIG


def test_fragments_are_limited_as_a_whole(server: ServerProcess) -> None:
    with connected(server) as client:
        event = size_event(FRAME_BYTES)
        client.send(frame(TEXT, event[:60000], fin=False) + frame(CONTINUATION, event[60000:]))
        assert client.receive() == (TEXT, b"431[%d]" % (FRAME_BYTES - 14))
        client.send(frame(TEXT, event[:60000], fin=False) + header(CONTINUATION, 5537))
        assert client.closed_with() == TOO_BIG


def test_a_connection_that_broke_leaves_the_server_as_it_was(server: ServerProcess) -> None:
    assert ask(server.url).status == 200

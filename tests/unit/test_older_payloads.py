"""Payloads of the older protocol: whatever comes is packets or malformed, and what goes counts one way."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.engine.faults import Fault, Malformed
from chatapp.engine.frames import BINARY, TEXT, encode_frame
from chatapp.engine.payload import Headers
from chatapp.engine.protocol3.payload import Bytes, Doubtful, Jsonp, Plain, parse_payload
from chatapp.engine.protocol3.session import Session3
from chatapp.engine.protocol3.websocket import WebSocket3
from older_peer import binary_payload, form, payload

MOST = 100

TEXT_HEADERS: Headers = [("Content-Type", "text/plain; charset=UTF-8")]

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


class Host:
    """What a session looks at when it parses."""

    class limits:
        json_depth, attachments_per_message = 10, 10


@given(st.lists(texts, min_size=1, max_size=10))
def test_texts_are_read_as_they_were_written(packets: list[str]) -> None:
    for payloads in (Plain(), Bytes()):
        assert payloads.parse(payload(packets), MOST) == packets
        assert payloads.parse(binary_payload(packets), MOST) == packets
    assert Jsonp(0).parse(form(packets), MOST) == packets


@given(texts)
def test_a_text_that_was_written_twice_is_decoded_again(text: str) -> None:
    (packet,) = parse_payload(payload([text.encode().decode("latin-1")]), MOST)
    if text.isascii():
        assert packet == text
    else:
        assert isinstance(packet, Doubtful) and packet.decode_again() == text


@given(st.binary(max_size=60) | texts.map(str.encode) | st.lists(texts, max_size=3).map(payload))
def test_whatever_comes_is_packets_or_malformed(body: bytes) -> None:
    session = Session3(Host(), "sid", "", {}, Plain(), WebSocket3)  # type: ignore[arg-type]
    for payloads in (Plain(), Bytes(), Jsonp(0)):
        for sent in (body, b"d=" + body):
            packets: list[str | bytes] = []
            with contextlib.suppress(Malformed):
                packets = payloads.parse(sent, MOST)
            for packet in packets:
                with contextlib.suppress(Fault):
                    session.parse(packet)


@given(st.lists(texts, min_size=1, max_size=5))
def test_what_goes_is_as_long_for_everybody(said: list[str]) -> None:
    frames = [encode_frame(TEXT, b"42" + json.dumps([text], ensure_ascii=False).encode()) for text in said]
    headers, body = Plain().encode(frames)
    assert headers == TEXT_HEADERS
    assert body.isascii()
    packets = parse_payload(body, MOST)
    assert [json.loads(str(packet)[2:]) for packet in packets] == [[text] for text in said]
    headers, call = Jsonp(3).encode(frames)
    assert headers[0] == ("Content-Type", "text/javascript; charset=UTF-8")
    assert call.isascii()
    assert json.loads(call.removeprefix(b"___eio[3](").removesuffix(b");")).encode() == body


@given(st.binary(max_size=30))
def test_attachments_have_a_type(data: bytes) -> None:
    frames = [encode_frame(TEXT, "2é".encode()), encode_frame(BINARY, data)]
    assert Bytes().encode(frames[:1]) == (TEXT_HEADERS, "2:2é".encode())
    headers, body = Bytes().encode(frames)
    assert headers == [("Content-Type", "application/octet-stream")]
    assert parse_payload(body, MOST) == ["2é", b"\x04" + data]
    encoded = "b4" + base64.b64encode(data).decode()
    assert parse_payload(Plain().encode(frames)[1], MOST) == ["2é", encoded]


def test_so_many_packets_are_read() -> None:
    for write in (payload, binary_payload):
        assert len(parse_payload(write(["2"] * 3), 3)) == 3
        with pytest.raises(Malformed):
            parse_payload(write(["2"] * 4), 3)


def test_what_is_no_json_goes_as_it_is() -> None:
    frames = [encode_frame(TEXT, text.encode()) for text in ("3é😀", "40/é,", '42/é,["é"]')]
    assert Plain().encode(frames)[1] == '4:3é😀5:40/é,15:42/é,["\\u00e9"]'.encode()


@pytest.mark.parametrize("text", ["a", "a\\nb", "a\\\\nb", "\n", "é😀 +&=%", "\\", "\r"])
def test_a_form_holds_every_text(text: str) -> None:
    assert Jsonp(0).parse(form([text]), 1) == [text]


BAD_BODIES = [
    b"",
    b"4",
    b":",
    b"0:",
    b"x:4",
    b"-1:4",
    b"+1:4",
    b" 1:4",
    b"1:",
    b"2:4",
    b"1:42",
    b"1:4x",
    b"1:4:",
    b"99999999999:4",
    b"1.0:4",
    b"\xd9\xa1:4",  # a digit beyond ASCII
    b"2:4\xff",
    "2:4😀".encode(),  # half of a character
    "2:4😀1:2".encode(),
    b"\x00",
    b"\x00\xff",
    b"\x00\x00\xff",
    b"\x00\x01",
    b"\x00\x01\xff",
    b"\x00\x02\xff4",
    b"\x00\x01\xff4x",
    b"\x00\x0a\xff4",
    b"\x02\x01\xff4",
    b"\x00\x01\xff\xff",
    b"\x00\x01\xff4\x02\x01\xff4",
    b"\x00" + b"\x09" * 400 + b"\xff4",
    b"9" * 5000 + b":4",
]


@pytest.mark.parametrize("body", BAD_BODIES)
def test_a_malformed_packet_spoils_the_body(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_payload(body, MOST)

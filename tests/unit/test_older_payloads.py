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
from chatapp.engine.protocol3.payload import Bytes, Doubtful, Jsonp, Plain, parse_payload
from chatapp.engine.protocol3.session import Session3
from older_peer import as_bytes, as_form, as_text

MOST = 100

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


class Host:
    """What a session looks at when it parses."""

    class limits:
        json_depth, attachments_per_message = 10, 10


@given(st.lists(texts, min_size=1, max_size=10))
def test_texts_are_read_as_they_were_written(packets: list[str]) -> None:
    for payloads in (Plain(), Bytes()):
        assert payloads.parse(as_text(*packets), MOST) == packets
        assert payloads.parse(as_bytes(*packets), MOST) == packets
    plain = [packet.replace("\r", "") or "x" for packet in packets]
    assert Jsonp(0).parse(as_form(*plain), MOST) == plain


@given(texts)
def test_a_text_that_was_written_twice_is_decoded_again(text: str) -> None:
    (packet,) = parse_payload(as_text(text.encode().decode("latin-1")), MOST)
    if text.isascii():
        assert packet == text
    else:
        assert isinstance(packet, Doubtful) and packet.decode_again() == text


@given(
    st.binary(max_size=60) | texts.map(str.encode) | st.lists(texts, max_size=3).map(lambda p: as_text(*p))
)
def test_whatever_comes_is_packets_or_malformed(body: bytes) -> None:
    session = Session3(Host(), "sid", "", {})  # type: ignore[arg-type]
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
    content_type, body = Plain().encode(frames)
    assert content_type == "text/plain; charset=UTF-8"
    assert body.isascii()
    packets = parse_payload(body, MOST)
    assert [json.loads(str(packet)[2:]) for packet in packets] == [[text] for text in said]
    call = Jsonp(3).encode(frames)[1]
    assert call.isascii()
    assert json.loads(call.removeprefix(b"___eio[3](").removesuffix(b");")).encode() == body


@given(st.binary(max_size=30))
def test_attachments_have_a_type(data: bytes) -> None:
    frames = [encode_frame(TEXT, "2é".encode()), encode_frame(BINARY, data)]
    content_type, body = Bytes().encode(frames)
    assert content_type == "application/octet-stream"
    assert parse_payload(body, MOST) == ["2é", b"\x04" + data]
    encoded = "b4" + base64.b64encode(data).decode()
    assert parse_payload(Plain().encode(frames)[1], MOST) == ["2é", encoded]


def test_so_many_packets_are_read() -> None:
    assert len(parse_payload(as_text(*["2"] * 3), 3)) == 3
    with pytest.raises(Malformed):
        parse_payload(as_text(*["2"] * 4), 3)
    with pytest.raises(Malformed):
        parse_payload(as_bytes(*["2"] * 4), 3)

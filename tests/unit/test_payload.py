"""Polling's payloads: several packets in one body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.engine.faults import Malformed
from chatapp.engine.frames import BINARY, TEXT, encode_frame
from chatapp.engine.payload import decode_base64, encode_payload, parse_payload


def test_a_body_holds_packets_between_separators() -> None:
    packets = ["4hello", "2", "bAQIDBA==", "4é€"]
    assert parse_payload("4hello\x1e2\x1ebAQIDBA==\x1e4é€".encode(), 4) == packets


def test_a_body_that_is_no_text_is_refused() -> None:
    with pytest.raises(Malformed):
        parse_payload(b"4\xff", 10)


def test_an_attachment_is_in_base64() -> None:
    assert decode_base64("AQIDBA==") == b"\x01\x02\x03\x04"


@pytest.mark.parametrize("text", ["AQ=x", "!", "é", "A", "A Q I D"])
def test_an_attachment_in_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        decode_base64(text)


def test_a_body_of_too_many_packets_is_refused_whole() -> None:
    assert len(parse_payload(b"\x1e".join([b"4a"] * 3), 3)) == 3
    with pytest.raises(Malformed):
        parse_payload(b"\x1e".join([b"4a"] * 4), 3)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x1e"), max_size=200)


@given(st.lists(TEXTS | st.binary(max_size=200)))
def test_what_is_encoded_is_parsed_again(packets: list[str | bytes]) -> None:
    packets = [packet if isinstance(packet, bytes) else f"4{packet}" for packet in packets] or ["4"]
    frames = [
        encode_frame(BINARY, packet) if isinstance(packet, bytes) else encode_frame(TEXT, packet.encode())
        for packet in packets
    ]
    parsed = parse_payload(encode_payload(frames), len(packets))
    assert [decode_base64(text[1:]) if text.startswith("b") else text for text in parsed] == packets

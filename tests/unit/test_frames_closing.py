"""RFC 6455's texts and closing, as the cases of the Autobahn test suite have them: by number."""

from __future__ import annotations

import pytest

from chatapp.engine.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    INVALID_DATA,
    NO_CODE,
    PING,
    PROTOCOL_ERROR,
    TEXT,
    Broken,
    Close,
    Event,
    FrameReader,
    encode_close,
)
from frame_cases import INVALID_CODES, INVALID_TEXTS, VALID_CODES, VALID_TEXTS
from raw_websocket import close_frame, frame


def read(data: bytes) -> list[Event]:
    return FrameReader(1 << 20, 64).feed(data)


def broken(events: list[Event]) -> int:
    """The code of the last event, which has to be a break of the protocol."""
    assert isinstance(events[-1], Broken), events
    return events[-1].code


# 6: UTF-8


@pytest.mark.parametrize("text", VALID_TEXTS)
def test_valid_texts_are_read_however_they_are_fragmented(text: str) -> None:
    data = text.encode()
    assert read(frame(TEXT, data)) == [text]
    for cut in range(len(data) + 1):
        parts = frame(TEXT, data[:cut], fin=False) + frame(CONTINUATION, data[cut:])
        assert read(parts) == [text]
    bytewise = frame(TEXT, fin=False) + b"".join(
        frame(CONTINUATION, bytes((byte,)), fin=False) for byte in data
    )
    assert read(bytewise + frame(CONTINUATION)) == [text]


@pytest.mark.parametrize("data", INVALID_TEXTS, ids=bytes.hex)
def test_invalid_texts_break_the_connection_however_they_are_fragmented(data: bytes) -> None:
    assert broken(read(frame(TEXT, data))) == INVALID_DATA
    for cut in range(len(data) + 1):
        assert (
            broken(read(frame(TEXT, data[:cut], fin=False) + frame(CONTINUATION, data[cut:]))) == INVALID_DATA
        )
    assert read(frame(BINARY, data)) == [data]


def test_an_invalid_fragment_is_refused_before_the_next_comes() -> None:
    assert broken(read(frame(TEXT, b"ab\xff", fin=False))) == INVALID_DATA
    assert (
        broken(read(frame(TEXT, b"\xe1", fin=False) + frame(CONTINUATION, b"a", fin=False))) == INVALID_DATA
    )


# 7: closing


@pytest.mark.parametrize("code", VALID_CODES)
def test_valid_close_codes_are_read(code: int) -> None:
    assert read(close_frame(code)) == [Close(code)]
    assert read(close_frame(code, "Gründe".encode())) == [Close(code)]
    assert read(close_frame(code, b"*" * 123)) == [Close(code)]


@pytest.mark.parametrize("code", INVALID_CODES)
def test_invalid_close_codes_break_the_connection(code: int) -> None:
    assert broken(read(close_frame(code))) == PROTOCOL_ERROR
    assert broken(read(close_frame(code, b"reason"))) == PROTOCOL_ERROR


def test_a_close_frame_may_be_empty_but_not_hold_half_a_code_or_an_invalid_reason() -> None:
    assert read(frame(CLOSE)) == [Close(NO_CODE)]
    assert broken(read(frame(CLOSE, b"\x03"))) == PROTOCOL_ERROR
    assert broken(read(close_frame(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xff"))) == INVALID_DATA


@pytest.mark.parametrize(
    "after", [frame(TEXT, b"late"), frame(PING), close_frame(1000), b"\xff\xff", frame(4)]
)
def test_nothing_counts_after_a_close_frame(after: bytes) -> None:
    reader = FrameReader(1024, 4)
    assert reader.feed(close_frame(1000) + after) == [Close(1000)]
    assert reader.feed(after) == []


def test_nothing_counts_after_a_break() -> None:
    reader = FrameReader(1024, 4)
    assert broken(reader.feed(frame(4))) == PROTOCOL_ERROR
    assert reader.feed(frame(TEXT, b"late")) == []


def test_a_close_frame_holds_what_a_control_frame_can() -> None:
    assert encode_close(1000) == b"\x88\x02\x03\xe8"
    assert encode_close(NO_CODE) == b"\x88\x00"
    long = encode_close(1008, "ä" * 100)  # 200 bytes, of which 123 have room: half a letter too much
    assert long == b"\x88\x7c\x03\xf0" + ("ä" * 61).encode()

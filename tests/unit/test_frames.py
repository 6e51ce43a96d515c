"""RFC 6455's frames, as the cases of the Autobahn test suite have them: by number, and in any portions."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.engine.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    Broken,
    Close,
    Event,
    FrameReader,
    Ping,
    encode_frame,
    unmask,
)
from raw_websocket import MASK, close_frame, frame, header


def read(data: bytes, *, max_bytes: int = 1 << 20, max_fragments: int = 64) -> list[Event]:
    return FrameReader(max_bytes, max_fragments).feed(data)


def broken(events: list[Event]) -> int:
    """The code of the last event, which has to be a break of the protocol."""
    assert isinstance(events[-1], Broken), events
    return events[-1].code


# 1: framing, and 9: sizes


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20])
def test_messages_of_every_length_encoding_are_read(size: int) -> None:
    assert read(frame(TEXT, b"*" * size)) == ["*" * size]
    assert read(frame(BINARY, b"\xfe" * size)) == [b"\xfe" * size]


@pytest.mark.parametrize(
    ("size", "head"), [(0, 2), (125, 2), (126, 4), (127, 4), (65535, 4), (65536, 10), (1 << 20, 10)]
)
def test_what_is_sent_has_the_shortest_header_and_no_mask(size: int, head: int) -> None:
    encoded = encode_frame(BINARY, b"x" * size)
    assert len(encoded) == head + size
    assert encoded[0] == 0x80 | BINARY
    assert not encoded[1] & 0x80
    declared = {
        2: encoded[1],
        4: int.from_bytes(encoded[2:4], "big"),
        10: int.from_bytes(encoded[2:10], "big"),
    }
    assert declared[head] == size
    # The same under a client's mask is read back.
    masked = bytes((encoded[0], encoded[1] | 0x80)) + encoded[2:head] + bytes(4) + encoded[head:]
    assert read(masked) == [b"x" * size]


def test_a_mask_is_put_on_and_taken_off() -> None:
    assert unmask(MASK, b"Hello") == bytes.fromhex("7f9f4d5158")  # RFC 6455 section 5.7
    assert unmask(MASK, unmask(MASK, b"Hello")) == b"Hello"
    assert unmask(MASK, b"") == b""


# 2: pings and pongs


@pytest.mark.parametrize("payload", [b"", b"Hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125])
def test_a_ping_keeps_its_payload(payload: bytes) -> None:
    assert read(frame(PING, payload)) == [Ping(payload)]


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_of_126_bytes_is_refused(opcode: int) -> None:
    assert broken(read(frame(opcode, b"\xfe" * 126))) == PROTOCOL_ERROR


def test_pongs_that_nobody_asked_for_are_ignored() -> None:
    assert read(frame(PONG) + frame(PONG, b"unasked") + frame(PING, b"x")) == [Ping(b"x")]


def test_ten_pings_at_once_are_ten() -> None:
    pings = [b"payload-%d" % number for number in range(10)]
    assert read(b"".join(frame(PING, ping) for ping in pings)) == [Ping(ping) for ping in pings]


# 3: reserved bits, 4: opcodes, and masks


@pytest.mark.parametrize("reserved", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_reserved_bits_break_the_connection_after_what_came_before(reserved: int, opcode: int) -> None:
    data = frame(TEXT, b"before") + frame(opcode, b"x", reserved=reserved) + frame(PING)
    assert read(data) == ["before", Broken(PROTOCOL_ERROR, "reserved bits are set")]


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_opcodes_that_mean_nothing_break_the_connection(opcode: int) -> None:
    for payload in (b"", b"reserved opcode"):
        events = read(frame(TEXT, b"before") + frame(opcode, payload) + frame(PING))
        assert events == ["before", Broken(PROTOCOL_ERROR, "unknown opcode")]


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_a_frame_without_a_mask_is_refused_by_its_header(opcode: int) -> None:
    assert broken(read(frame(opcode, b"Hello", mask=False)[:2])) == PROTOCOL_ERROR


# 5: fragmentation


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_control_frames_cannot_be_fragmented(opcode: int) -> None:
    assert broken(read(frame(opcode, b"frag", fin=False))) == PROTOCOL_ERROR


@pytest.mark.parametrize(("opcode", "whole"), [(TEXT, "fragment1fragment2"), (BINARY, b"fragment1fragment2")])
def test_fragments_make_one_message_with_control_frames_between_them(opcode: int, whole: str | bytes) -> None:
    first, last = frame(opcode, b"fragment1", fin=False), frame(CONTINUATION, b"fragment2")
    assert read(first + last) == [whole]
    assert read(first + frame(PING, b"between") + last) == [Ping(b"between"), whole]
    assert read(first + frame(PONG, b"between") + last + frame(TEXT, b"next")) == [whole, "next"]
    assert read(first + close_frame(1000)) == [Close(1000)]


def test_empty_fragments_count_as_nothing_but_fragments() -> None:
    empty = frame(CONTINUATION, fin=False)
    assert read(frame(TEXT, fin=False) + empty + frame(CONTINUATION)) == [""]
    assert read(frame(TEXT, fin=False) + empty + frame(CONTINUATION, b"x")) == ["x"]
    assert read(frame(BINARY, fin=False) + empty + frame(CONTINUATION)) == [b""]


@pytest.mark.parametrize("fin", [True, False])
def test_a_continuation_of_nothing_breaks_the_connection(fin: bool) -> None:
    alone = frame(CONTINUATION, b"non-continuation", fin=fin)
    assert broken(read(alone)) == PROTOCOL_ERROR
    assert broken(read(frame(TEXT, b"whole") + alone)) == PROTOCOL_ERROR
    done = frame(TEXT, b"1", fin=False) + frame(CONTINUATION, b"2")
    assert broken(read(done + alone)) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_within_a_fragmented_one_breaks_the_connection(opcode: int) -> None:
    assert broken(read(frame(TEXT, b"fragment", fin=False) + frame(opcode, b"another"))) == PROTOCOL_ERROR


# Limits


@pytest.mark.parametrize("size", [1025, 65535, 65536, 1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
def test_a_frame_over_the_limit_is_refused_by_its_header(size: int) -> None:
    assert broken(read(header(BINARY, size), max_bytes=1024)) == TOO_BIG


def test_a_message_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert read(frame(TEXT, b"x" * 1024), max_bytes=1024) == ["x" * 1024]
    half = frame(TEXT, b"x" * 512, fin=False)
    assert read(half + frame(CONTINUATION, b"y" * 512), max_bytes=1024) == ["x" * 512 + "y" * 512]
    assert broken(read(half + frame(CONTINUATION, b"y" * 513)[:8], max_bytes=1024)) == TOO_BIG


def test_a_ping_has_room_beside_a_message_at_the_limit() -> None:
    data = frame(TEXT, b"x" * 1024, fin=False) + frame(PING, b"y" * 125) + frame(CONTINUATION)
    assert read(data, max_bytes=1024) == [Ping(b"y" * 125), "x" * 1024]


def test_fragments_are_counted() -> None:
    start, more, end = frame(BINARY, fin=False), frame(CONTINUATION, fin=False), frame(CONTINUATION)
    assert read(start + more * 2 + end, max_fragments=4) == [b""]
    assert broken(read(start + more * 3 + end, max_fragments=4)) == TOO_BIG
    # They are counted for each message anew.
    assert read((start + more * 2 + end) * 3, max_fragments=4) == [b""] * 3


def test_nothing_is_kept_of_what_has_been_read() -> None:
    reader = FrameReader(1 << 20, 64)
    assert reader.feed(frame(BINARY, b"x" * 100_000)) == [b"x" * 100_000]
    assert reader._held is None
    assert reader._fragments is None
    # A message in portions is not copied anew for each of them.
    data = frame(BINARY, b"x" * (1 << 20))
    assert [
        event for start in range(0, len(data), 1000) for event in reader.feed(data[start : start + 1000])
    ] == [b"x" * (1 << 20)]


# Whatever comes, in whatever portions


def portions(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


FRAMES = st.builds(
    frame,
    st.sampled_from([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG, 3, 11]),
    st.one_of(st.binary(max_size=200), st.text(max_size=40).map(str.encode), st.just(b"z" * 3000)),
    fin=st.booleans(),
    reserved=st.sampled_from([0, 0, 0, 0, 0, 1]),
    mask=st.sampled_from([True, True, True, True, False]),
)
STREAMS = st.one_of(st.lists(FRAMES, max_size=8).map(b"".join), st.binary(max_size=300))


@given(STREAMS, st.lists(st.integers(min_value=0, max_value=20_000), max_size=12))
def test_any_portions_of_a_stream_give_the_same_events(data: bytes, cuts: list[int]) -> None:
    whole = read(data, max_bytes=2000, max_fragments=3)
    reader = FrameReader(2000, 3)
    assert [event for part in portions(data, cuts) for event in reader.feed(part)] == whole


@given(STREAMS)
def test_any_stream_byte_by_byte_gives_the_same_events(data: bytes) -> None:
    reader = FrameReader(2000, 3)
    assert [event for byte in data for event in reader.feed(bytes((byte,)))] == read(
        data, max_bytes=2000, max_fragments=3
    )


@given(st.lists(st.one_of(st.text(max_size=300), st.binary(max_size=300)), max_size=6), st.data())
def test_messages_come_out_as_they_went_in(messages: list[str | bytes], data: st.DataObject) -> None:
    stream = b""
    for message in messages:
        opcode, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        cuts = data.draw(st.lists(st.integers(min_value=0, max_value=300), max_size=3))
        parts = portions(payload, cuts)
        for number, part in enumerate(parts):
            stream += frame(CONTINUATION if number else opcode, part, fin=number == len(parts) - 1)
    assert read(stream) == messages

"""WebSocket frames (RFC 6455 section 5): bytes in, messages out. Touches no socket."""

from __future__ import annotations

import codecs
import struct
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

#: Status codes (RFC 6455 section 7.4.1 and IANA's registry). The one for "no code" is never sent.
NORMAL, GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, NO_CODE = 1000, 1001, 1002, 1003, 1005
INVALID_DATA, POLICY, TOO_BIG, RESTART, AGAIN_LATER = 1007, 1008, 1009, 1012, 1013

#: A control frame's payload is that long at most (section 5.5).
MAX_CONTROL_BYTES = 125

_FINAL, _RESERVED, _MASKED = 0x80, 0x70, 0x80
_WHOLE_TEXT = _FINAL | TEXT

_pack_16, _pack_64 = struct.Struct("!BBH").pack, struct.Struct("!BBQ").pack

_new_decoder = codecs.getincrementaldecoder("utf-8")


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered by a pong with the same payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The peer closes, with this code; NO_CODE if it gave none (section 7.1.5)."""

    code: int


@dataclass(frozen=True, slots=True)
class Broken:
    """The peer broke the protocol: `code` is what to close with, `reason` is for our log."""

    code: int
    reason: str


#: What a frame, or the last frame of a fragmented message, amounts to.
Event = str | bytes | Ping | Close | Broken


class FrameError(Exception):
    """Becomes the event `Broken`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.event = Broken(code, reason)


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Return an unmasked, unfragmented frame, as servers send them."""
    size = len(payload)
    if size < 126:
        return bytes((_FINAL | opcode, size)) + payload
    if size < 65536:
        return _pack_16(_FINAL | opcode, 126, size) + payload
    return _pack_64(_FINAL | opcode, 127, size) + payload


def decode_frame(frame: bytes) -> tuple[int, bytes]:
    """Return opcode and payload of what `encode_frame` made."""
    size = frame[1]
    return frame[0] & 0x0F, frame[2 if size < 126 else 4 if size == 126 else 10 :]


def encode_close(code: int, reason: str = "") -> bytes:
    """Return a close frame. What of the reason has no room in it is cut off, at a character."""
    if code == NO_CODE:
        return encode_frame(CLOSE, b"")
    text = reason.encode()[: MAX_CONTROL_BYTES - 2].decode(errors="ignore")
    return encode_frame(CLOSE, code.to_bytes(2, "big") + text.encode())


class FrameReader:
    """Turns what a client sends into events. `feed` bytes as they come, in any portions.

    Bounds are checked against what a frame's header declares, before its payload is awaited: nothing
    beyond `max_bytes` and one portion is ever kept.
    """

    __slots__ = (
        "_decoder",
        "_done",
        "_fragments",
        "_held",
        "_max_bytes",
        "_max_fragments",
        "_size",
        "_wanted",
    )

    def __init__(self, max_bytes: int, max_fragments: int) -> None:
        self._max_bytes = max_bytes
        self._max_fragments = max_fragments
        self._held: bytearray | None = None  # the beginning of a frame
        self._wanted = 0  # how long that has to be before there is anything more to find out
        self._fragments: list[str] | list[bytes] | None = None  # of the message that is coming
        self._size = 0  # bytes of it so far
        self._decoder: codecs.IncrementalDecoder | None = None  # if it is a text
        self._done = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are complete now. `Close` and `Broken` are the last: what follows them
        is ignored."""
        events: list[Event] = []
        if self._done:
            return events
        if self._held is not None:
            self._held += data
            if len(self._held) < self._wanted:
                return events
            data, self._held = bytes(self._held), None
        try:
            self._parse(data, events)
        except FrameError as error:
            events.append(error.event)
        if events and isinstance(events[-1], (Close, Broken)):
            self.stop()
        return events

    def stop(self) -> None:
        """Ignore what is fed from now on."""
        self._done, self._held, self._fragments = True, None, None

    def _parse(self, data: bytes, events: list[Event]) -> None:
        start, end, wanted = 0, len(data), 2
        while end - start >= 2:
            first, second = data[start], data[start + 1]
            if first != _WHOLE_TEXT or second < _MASKED or self._fragments is not None:
                self._check_start(first, second)
            size, head = second & 0x7F, start + 2
            if size >= 126:
                head += 2 if size == 126 else 8
                if head > end:
                    wanted = head - start
                    break
                size = int.from_bytes(data[start + 2 : head], "big")
            if size + self._size > self._max_bytes and not first & CLOSE:
                raise FrameError(TOO_BIG, "the message is too big")
            stop = head + 4 + size
            if stop > end:
                wanted = stop - start
                break
            payload = unmask(data[head : head + 4], data[head + 4 : stop])
            start = stop
            if first == _WHOLE_TEXT:  # nearly all are
                events.append(_decode(payload))
                continue
            event = self._take(first, payload)
            if event is not None:
                events.append(event)
                if isinstance(event, Close):
                    return
        if start < end:
            self._held, self._wanted = bytearray(data[start:]), wanted

    def _check_start(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & _RESERVED:
            raise FrameError(PROTOCOL_ERROR, "reserved bits are set")
        if not second & _MASKED:
            raise FrameError(PROTOCOL_ERROR, "a client's frame is not masked")
        if opcode >= CLOSE:
            if opcode > PONG:
                raise FrameError(PROTOCOL_ERROR, "unknown opcode")
            if not first & _FINAL or second & 0x7F > MAX_CONTROL_BYTES:
                raise FrameError(PROTOCOL_ERROR, "a control frame is fragmented or too long")
        elif opcode > BINARY:
            raise FrameError(PROTOCOL_ERROR, "unknown opcode")
        elif (opcode == CONTINUATION) == (self._fragments is None):
            raise FrameError(PROTOCOL_ERROR, "a fragment is out of place")
        elif self._fragments is not None and len(self._fragments) >= self._max_fragments:
            raise FrameError(TOO_BIG, "the message has too many fragments")

    def _take(self, first: int, payload: bytes) -> Event | None:
        opcode = first & 0x0F
        if opcode >= CLOSE:
            if opcode == PING:
                return Ping(payload)
            return _parse_close(payload) if opcode == CLOSE else None
        if opcode and first & _FINAL:
            return _decode(payload) if opcode == TEXT else payload
        return self._take_fragment(opcode, payload, final=bool(first & _FINAL))

    def _take_fragment(self, opcode: int, payload: bytes, *, final: bool) -> str | bytes | None:
        if self._fragments is None:
            self._fragments = []
            self._decoder = _new_decoder() if opcode == TEXT else None
        self._size += len(payload)
        # A text is validated as it comes: a code point may be split over fragments (section 8.1).
        part = payload if self._decoder is None else _decode(payload, self._decoder, final)
        self._fragments.append(part)  # type: ignore[arg-type]  # they are all of one kind
        if not final:
            return None
        message: str | bytes = type(part)().join(self._fragments)  # type: ignore[arg-type]
        self._fragments, self._decoder, self._size = None, None, 0
        return message


def unmask(mask: bytes, payload: bytes) -> bytes:
    """Return the payload with its mask taken off (section 5.3), or put on."""
    size = len(payload)
    if not size:
        return b""
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def _decode(payload: bytes, decoder: codecs.IncrementalDecoder | None = None, final: bool = True) -> str:
    try:
        return payload.decode() if decoder is None else decoder.decode(payload, final)
    except UnicodeDecodeError:
        raise FrameError(INVALID_DATA, "a text is not UTF-8") from None


def _parse_close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_CODE)
    if len(payload) == 1:
        raise FrameError(PROTOCOL_ERROR, "half a close code")
    code = int.from_bytes(payload[:2], "big")
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise FrameError(PROTOCOL_ERROR, "no valid close code")
    _decode(payload[2:])
    return Close(code)

"""Polling's payloads (Engine.IO 3): packets behind their lengths, as text, as bytes, or as JSONP.

A text's length is in UTF-16 code units, for socket.io-client 2.x. Others count otherwise: 1.x has each
packet encoded as UTF-8 before the whole is (in a browser not even that), and python-engineio 3 counts code
points. A packet without any character beyond ASCII is the same for all: so are those that we send, for JSON
can escape the rest; a namespace is as the site has named it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs

from chatapp.engine.faults import Malformed
from chatapp.engine.frames import BINARY, decode_frame
from chatapp.engine.payload import PLAIN, Content, Headers, decode_base64

#: How packets begin that are messages of bytes, and those in base64.
_MESSAGE, _MESSAGE_IN_BASE64 = b"\x04", "b4"

_BYTES: Headers = [("Content-Type", "application/octet-stream")]
_SCRIPT: Headers = [("Content-Type", "text/javascript; charset=UTF-8"), ("X-Content-Type-Options", "nosniff")]
_PAGE: Headers = [("Content-Type", "text/html; charset=UTF-8")]
_MAX_LENGTH_DIGITS = 10
_LENGTH_END = 0xFF
_LENGTH = re.compile(rf"([0-9]{{1,{_MAX_LENGTH_DIGITS}}}):", re.ASCII)
#: What comes before the JSON of a message: a namespace, if any, is no part of that.
_BEFORE_JSON = re.compile(rb'4[^\[{"]*')
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
#: A form's newline, which may have become a backslash and an n, and that, which has become three characters.
_ESCAPED_NEWLINE = re.compile(r"(\\)?\\n")


class Doubtful(str):
    """A text that 1.x would have written as UTF-8 twice, and 2.x once. Nothing says which it was."""

    __slots__ = ()

    def decode_again(self) -> str | None:
        """Return what it is if it was written twice; None if that cannot be."""
        try:
            return self.encode("latin-1").decode()
        except UnicodeError:
            return None


class Plain:
    """For clients without binary data in XMLHttpRequest (`b64=1`): attachments in base64."""

    thanks: Content = (PLAIN, b"ok")

    def parse(self, body: bytes, max_packets: int) -> list[str | bytes]:
        """See `payload.PayloadFormat`."""
        return parse_payload(body, max_packets)

    def encode(self, frames: Iterable[bytes]) -> Content:
        """See `payload.PayloadFormat`."""
        return PLAIN, encode_text(frames)


class Bytes(Plain):
    """For clients that take binary data as it is: text as long as there is none."""

    def encode(self, frames: Iterable[bytes]) -> Content:
        """See `payload.PayloadFormat`."""
        decoded = [decode_frame(frame) for frame in frames]
        if all(opcode != BINARY for opcode, _ in decoded):
            return PLAIN, _encode_text(decoded)
        return _BYTES, b"".join(map(_behind_length, decoded))


class Jsonp:
    """For scripts from another origin: answers are calls of ``___eio[number]``, posts come from a form."""

    #: A document, for a frame of the page shows it.
    thanks: Content = (_PAGE, b"ok")

    def __init__(self, number: int) -> None:
        self._number = number

    def parse(self, body: bytes, max_packets: int) -> list[str | bytes]:
        """See `payload.PayloadFormat`."""
        try:
            fields = parse_qs(body.decode("ascii"), errors="strict", max_num_fields=1)
        except ValueError:
            fields = {}
        if "d" not in fields:
            raise Malformed("a post is not a form with the field d")
        payload = _ESCAPED_NEWLINE.sub(lambda found: "\\n" if found[1] else "\n", fields["d"][0])
        return parse_payload(payload.encode(), max_packets)

    def encode(self, frames: Iterable[bytes]) -> Content:
        """See `payload.PayloadFormat`."""
        argument = json.dumps(encode_text(frames).decode())  # in ASCII: U+2028 too
        return _SCRIPT, f"___eio[{self._number}]({argument});".encode()


# In


def parse_payload(body: bytes, max_packets: int) -> list[str | bytes]:
    """Return the packets of a POST: texts, `Doubtful` or not, and bytes with their type. Raises Malformed."""
    if not body:
        raise Malformed("an empty payload")
    if body[0] <= 1:
        found: Iterator[str | bytes] = _split_bytes(body)
    else:
        found = _split_text(_decode(body))
    packets: list[str | bytes] = []
    for packet in found:
        if not packet:
            raise Malformed("an empty packet")
        if len(packets) == max_packets:
            raise Malformed("too many packets in one request")
        packets.append(packet)
    return packets


def _split_text(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        found = _LENGTH.match(text, start)
        if found is None:
            raise Malformed("a packet without its length")
        units, start = int(found[1]), found.end()
        packet = text[start : start + units]
        if not packet.isascii():
            packet = _first_units(packet, units)
        if utf16_length(packet) != units:
            raise Malformed("a packet is not as long as it says")
        yield packet if packet.isascii() else Doubtful(packet)
        start += len(packet)


def _first_units(text: str, units: int) -> str:
    try:
        return text.encode("utf-16-le")[: units * 2].decode("utf-16-le")
    except UnicodeDecodeError:
        raise Malformed("a packet ends within a character") from None


def _split_bytes(body: bytes) -> Iterator[str | bytes]:
    start = 0
    while start < len(body):
        kind, end = body[start], body.find(_LENGTH_END, start, start + _MAX_LENGTH_DIGITS + 2)
        digits = body[start + 1 : end]
        if kind > 1 or end < 0 or not digits or max(digits) > 9:
            raise Malformed("a packet without its length")
        start = end + 1
        size = int("".join(map(str, digits)))
        packet = body[start : start + size]
        if len(packet) != size:
            raise Malformed("a packet is not as long as it says")
        yield packet if kind else _decode(packet)
        start += size


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Malformed("a payload is not UTF-8") from None


def utf16_length(text: str) -> int:
    """Return how long JavaScript says a text is."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


# Out


def encode_text(frames: Iterable[bytes]) -> bytes:
    """Return the packets of these frames as text."""
    return _encode_text(decode_frame(frame) for frame in frames)


def _encode_text(decoded: Iterable[tuple[int, bytes]]) -> bytes:
    packets = []
    for opcode, content in decoded:
        packet = in_base64(content) if opcode == BINARY else in_ascii(content).decode()
        packets.append(f"{utf16_length(packet)}:{packet}")
    return "".join(packets).encode()


def _behind_length(decoded: tuple[int, bytes]) -> bytes:
    opcode, content = decoded
    kind, packet = (1, with_type(content)) if opcode == BINARY else (0, content)
    return bytes((kind, *map(int, str(len(packet))), _LENGTH_END)) + packet


def in_ascii(packet: bytes) -> bytes:
    """Return a text packet; if it is a message, its JSON has only ASCII in it."""
    found = None if packet.isascii() else _BEFORE_JSON.match(packet)
    if found is None:
        return packet
    text = _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], packet[found.end() :].decode())
    return found[0] + text.encode()


def with_type(attachment: bytes) -> bytes:
    """Return an attachment as a packet of bytes."""
    return _MESSAGE + attachment


def without_type(packet: bytes) -> bytes:
    """Return the attachment that a packet of bytes is. Raises Malformed."""
    if not packet.startswith(_MESSAGE):
        raise Malformed("bytes are no message")
    return packet[1:]


def in_base64(attachment: bytes) -> str:
    """Return an attachment as a packet of text."""
    return _MESSAGE_IN_BASE64 + base64.b64encode(attachment).decode()


def from_base64(packet: str) -> bytes:
    """Return the attachment that a packet in base64 is. Raises Malformed."""
    if not packet.startswith(_MESSAGE_IN_BASE64):
        raise Malformed("base64 is no message")
    return decode_base64(packet[2:])

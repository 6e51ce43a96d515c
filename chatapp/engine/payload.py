"""Polling's payloads (Engine.IO 4): packets between record separators, attachments in base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Protocol

from chatapp.engine.faults import Malformed
from chatapp.engine.frames import BINARY, decode_frame

SEPARATOR = "\x1e"

Headers = list[tuple[str, str]]

#: Headers and body of an answer.
Content = tuple[Headers, bytes]

#: Of a payload of text.
PLAIN: Headers = [("Content-Type", "text/plain; charset=UTF-8")]


class PayloadFormat(Protocol):
    """How the requests and the answers of polling hold packets."""

    #: What a POST is answered with.
    thanks: Content

    def parse(self, body: bytes, max_packets: int) -> Sequence[str | bytes]:
        """Return the packets of a POST, for `Session.parse`. Raises Malformed for all of them if one is
        wrong or there are too many."""

    def encode(self, frames: Iterable[bytes]) -> Content:
        """Return the answer to a poll: the packets that these frames, all whole, hold."""


class Separated:
    """Protocol 4's."""

    thanks: Content = (PLAIN, b"ok")

    def parse(self, body: bytes, max_packets: int) -> list[str]:
        """See `PayloadFormat`."""
        return parse_payload(body, max_packets)

    def encode(self, frames: Iterable[bytes]) -> Content:
        """See `PayloadFormat`."""
        return PLAIN, encode_payload(frames)


SEPARATED = Separated()


def parse_payload(body: bytes, max_packets: int) -> list[str]:
    """Return the packets of a POST. Raises Malformed if they are too many or no text."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Malformed("a payload is not UTF-8") from None
    if text.count(SEPARATOR) >= max_packets:
        raise Malformed("too many packets in one request")
    return text.split(SEPARATOR)


def decode_base64(text: str) -> bytes:
    """Return an attachment. Raises Malformed."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("an attachment is not base64") from None


def encode_payload(frames: Iterable[bytes]) -> bytes:
    """Return the answer to a poll: the packets that these frames, all whole, hold."""
    packets = []
    for frame in frames:
        opcode, content = decode_frame(frame)
        packets.append(b"b" + base64.b64encode(content) if opcode == BINARY else content)
    return SEPARATOR.encode().join(packets)

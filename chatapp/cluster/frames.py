"""What the workers of a host say to each other: frames on a stream, and topics in them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

#: What the workers' sockets are called in their directory.
PURPOSE = "bus"
#: What a frame may hold.
MAX_FRAME_BYTES = 4 * 2**20

#: Bytes in the body, kind of frame.
HEAD = struct.Struct(">IB")

# Who publishes connects, and says HELLO. Who hears answers on the same connection with what it wants to
# HEAR, and is told when that is KNOWN: in one line with the payloads, so none is missed from there on.
HELLO = 1  # to the hearer: HELLO_PREFIX and the worker's id, or ONLY_ONCE
HEAR = 2  # to the speaker: a number and topics
IGNORE = 3  # to the speaker: topics
KNOWN = 4  # to the hearer: the number of a HEAR
PAYLOAD = 5  # to the hearer: a payload
ONCE = 6  # to the hearer, from who is no worker: the size of the topics, topics, a payload
TAKEN = 7  # the answer to that

HELLO_PREFIX = b"chatapp 1 "
ONLY_ONCE = b"-"
ONCE_HEAD = struct.Struct(">I")

NUMBER = struct.Struct(">Q")


class Garbage(Exception):
    """What came is not what workers send."""


def frame(kind: int, body: bytes) -> bytes:
    """Return a frame."""
    return HEAD.pack(len(body), kind) + body


def parse_frames(buffer: bytes, take: Callable[[int, bytes], None]) -> bytes:
    """Hand each whole frame to ``take(kind, body)``, and return what is left. Raises Garbage."""
    start, end = 0, len(buffer)
    while end - start >= HEAD.size:
        size, kind = HEAD.unpack_from(buffer, start)
        if size > MAX_FRAME_BYTES:
            raise Garbage
        body = start + HEAD.size
        if body + size > end:
            break
        start = body + size
        take(kind, buffer[body:start])
    return buffer[start:]


def pack_topics(topics: Iterable[str]) -> bytes:
    """Return topics in the body of a frame."""
    return "\n".join(topics).encode()


def parse_topics(body: bytes) -> list[str]:
    """Return them. Raises Garbage."""
    try:
        return body.decode().split("\n") if body else []
    except UnicodeDecodeError:
        raise Garbage from None

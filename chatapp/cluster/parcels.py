"""What goes through Redis: payloads of one sender, numbered, several in one message."""

from __future__ import annotations

import collections
import struct
from collections.abc import Iterable

from chatapp.cluster.frames import Garbage

_MAGIC = b"chatapp1"
_NUMBERED = struct.Struct(">QI")  # number, bytes of the payload
_MAX_SENDER_BYTES = 255
#: Senders whose numbers are remembered; those heard last.
_SENDERS = 1000


def pack_parcel(sender: str, numbered: Iterable[tuple[int, bytes]]) -> bytes:
    """Return a message with these payloads; without any it says that some of the sender's were lost."""
    name = sender.encode()
    pieces = [_MAGIC, bytes([len(name)]), name]
    for number, payload in numbered:
        pieces += (_NUMBERED.pack(number, len(payload)), payload)
    return b"".join(pieces)


def parse_parcel(message: bytes) -> tuple[str, list[tuple[int, bytes]]]:
    """Return the sender and its payloads, with their numbers. Raises Garbage."""
    start = len(_MAGIC) + 1
    if len(message) < start or not message.startswith(_MAGIC):
        raise Garbage
    end = start + message[start - 1]
    try:
        sender = message[start:end].decode()
    except UnicodeDecodeError:
        raise Garbage from None
    numbered = []
    while end < len(message):
        start = end + _NUMBERED.size
        if start > len(message):
            raise Garbage
        number, size = _NUMBERED.unpack_from(message, end)
        end = start + size
        numbered.append((number, message[start:end]))
    if end > len(message):
        raise Garbage
    return sender, numbered


class Seen:
    """The last numbers of senders: what was published to two topics comes twice to who hears both."""

    def __init__(self) -> None:
        self._last: collections.OrderedDict[str, int] = collections.OrderedDict()

    def is_new(self, sender: str, number: int) -> bool:
        """Return whether this number is above all that came from this sender, and remember it."""
        if number <= self._last.get(sender, -1):
            return False
        self._last[sender] = number
        self._last.move_to_end(sender)
        if len(self._last) > _SENDERS:
            self._last.popitem(last=False)
        return True

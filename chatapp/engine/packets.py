"""Socket.IO packets (protocol 5): texts and attachments in, parsed and checked; events and answers out."""

from __future__ import annotations

import contextlib
import json
import math
import re
from typing import Any, NamedTuple

import orjson
import socketio.packet
from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, CONNECT_ERROR, DISCONNECT, EVENT

from chatapp.engine.faults import Malformed, Unexpected
from chatapp.engine.frames import BINARY, TEXT, encode_frame

#: Names that only the two ends of a connection may say, whether or not somebody handles them.
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "*"}
    | {"__disconnect_final"}
)

#: A number of that many digits is exact in JavaScript.
_MAX_ID_DIGITS = 15

# <type>[<attachments>-][<namespace>,][<acknowledgement id>][<JSON>]
_PACKET = re.compile(r"([0-9])(?:([0-9]+)-)?(?:(/[^,]*)(?:,|\Z))?([0-9]*)(.*)", re.DOTALL)


class Packet(NamedTuple):
    """A packet as it came: `data` is an event's name and arguments, or an answer's arguments."""

    type: int
    namespace: str
    id: int | None
    data: Any
    attachments: int = 0
    #: Whether `data` holds half a character (a lone surrogate), which is no text.
    has_surrogates: bool = False


def parse_packet(text: str, max_depth: int, max_attachments: int) -> Packet:
    """Parse a packet's text. Raises Malformed, and Unexpected for what clients may not send."""
    if text.startswith("2"):  # nearly always an event of namespace /
        start = text.find("[")
        head = text[1:start]
        if start == 1 or (start > 1 and len(head) <= _MAX_ID_DIGITS and head.isascii() and head.isdigit()):
            data, has_surrogates = parse_json(text[start:], max_depth)
            _check_event(data)
            return Packet(EVENT, "/", int(head) if head else None, data, 0, has_surrogates)
    found = _PACKET.fullmatch(text)
    if found is None:
        raise Malformed("a text is no packet")
    digit, attachments, namespace, ack_id, payload = found.groups()
    if len(ack_id) > _MAX_ID_DIGITS:
        raise Malformed("the id of an acknowledgement is too long")
    kind = int(digit)
    if kind > BINARY_ACK:
        raise Unexpected("an unknown type of packet")
    count = _parse_count(kind, attachments, max_attachments)
    data, has_surrogates = parse_json(payload, max_depth) if payload else (None, False)
    number = int(ack_id) if ack_id else None
    if count == 0 and kind in (BINARY_EVENT, BINARY_ACK):
        kind = EVENT if kind == BINARY_EVENT else ACK  # as JavaScript's server takes it
    packet = Packet(kind, _name(namespace), number, data, count, has_surrogates)
    _check_shape(packet, has_data=bool(payload))
    return packet


def _name(namespace: str | None) -> str:
    return "/" if namespace is None else namespace.partition("?")[0]


def _parse_count(kind: int, digits: str | None, most: int) -> int:
    if digits is None:
        if kind in (BINARY_EVENT, BINARY_ACK):
            raise Malformed("a binary packet does not say how many attachments it has")
        return 0
    if kind not in (BINARY_EVENT, BINARY_ACK):
        raise Malformed("attachments to a packet that has none")
    if len(digits) > len(str(most)) or int(digits) > most:
        raise Unexpected("too many attachments")
    return int(digits)


def _check_shape(packet: Packet, *, has_data: bool) -> None:
    kind = packet.type
    if kind in (EVENT, BINARY_EVENT):
        _check_event(packet.data)
    elif kind in (ACK, BINARY_ACK):
        if not isinstance(packet.data, list) or packet.id is None:
            raise Malformed("an acknowledgement without its id or its arguments")
    elif kind == DISCONNECT:
        if has_data or packet.id is not None:
            raise Malformed("a disconnection with something in it")
    elif kind == CONNECT_ERROR:
        raise Unexpected("a packet that only servers send")


def _check_event(data: Any) -> None:
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        raise Unexpected("an event without a name")
    if data[0] in RESERVED_EVENTS:
        raise Unexpected("an event whose name is reserved")


def parse_json(text: str, max_depth: int) -> tuple[Any, bool]:
    """Return the value, and whether there are lone surrogates in it. Raises Malformed, also for NaN,
    Infinity, numbers beyond a double and what is nested deeper than `max_depth`."""
    has_surrogates = False
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value, has_surrogates = _parse_surrogates(text), True
    if text.count("[") + text.count("{") > max_depth and _depth(value, max_depth) > max_depth:
        raise Malformed("the JSON is nested too deep")
    return value, has_surrogates


def _parse_surrogates(text: str) -> Any:
    """Return the value of JSON that is right but for halves of characters: a page has cut an emoji in
    two. That is one text's fault, which its sender is told, and not the connection's."""
    if "\\ud" in text or "\\uD" in text:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    raise Malformed("the JSON is not valid")


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(digits)
    return number


def _depth(value: Any, enough: int) -> int:
    """Return how deep lists and objects are nested; stops looking beyond `enough`."""
    depth, level = 0, [value]
    while depth <= enough:
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.append(item.values())
            elif isinstance(item, list):
                inner.append(item)
        if not inner:
            return depth
        depth, level = depth + 1, [child for children in inner for child in children]
    return depth


def with_attachments(data: Any, attachments: list[bytes]) -> Any:
    """Return `data` with its placeholders filled. Raises Unexpected unless each attachment has its place."""
    used: set[int] = set()

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("_placeholder") is not True:
            return {key: fill(item) for key, item in value.items()}
        number = value.get("num")
        if type(number) is not int or not 0 <= number < len(attachments):
            raise Unexpected("a placeholder without its attachment")
        used.add(number)
        return attachments[number]

    filled = fill(data)
    if len(used) != len(attachments):
        raise Unexpected("an attachment without its placeholder")
    return filled


# What goes out is made as WebSocket frames; a poll's answer takes the packets out of them.


def event_frame(event: str, data: Any) -> bytes:
    """Return an event of namespace / with one argument of plain JSON."""
    return encode_frame(TEXT, b"42" + orjson.dumps([event, data]))


def ack_frame(ack_id: int, answer: Any) -> bytes:
    """Return the acknowledgement of an event of namespace /, with one argument of plain JSON."""
    return encode_frame(TEXT, b"43%d" % ack_id + orjson.dumps([answer]))


class HostPacket(socketio.packet.Packet):
    """python-socketio's packet with a JSON of its own: the `json` argument of its server would change
    the class for the whole process, the host site's included."""

    class json:
        """What the host's handlers send: anything that `json` takes, but NaN and Infinity."""

        loads = staticmethod(orjson.loads)

        @staticmethod
        def dumps(data: Any, **_options: Any) -> str:
            """Return the JSON of `data`."""
            try:
                return orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS).decode()
            except TypeError:  # a number beyond 64 bits, for example
                return json.dumps(data, separators=(",", ":"), allow_nan=False)

    def frames(self) -> list[bytes]:
        """Return the packet as frames: its text, then its attachments."""
        encoded = self.encode()
        text, attachments = (encoded[0], encoded[1:]) if isinstance(encoded, list) else (encoded, [])
        frames = [encode_frame(TEXT, b"4" + text.encode())]
        return frames + [encode_frame(BINARY, bytes(attachment)) for attachment in attachments]

"""The bytes that the load generator sends, and the marks that it counts in those it receives."""

from __future__ import annotations

import json
import re

#: Stands once in each message, so once in each delivery: whoever counts it need not parse. Counting one
#: byte takes a third of the time of counting two. JSON does not escape it, and a frame's header holds it
#: only as the length of a payload of 33 bytes, or of 289, 545, …: none that are sent here, and the
#: load generator checks.
MARK = b"!"
#: The mark and the message's slot: who sent it when is looked up by that.
SLOT = re.compile(rb"!(\d{6})")
MAX_SLOTS = 10**6

#: Stands once in each acknowledgement.
ACK_MARK = b'"ok":true'
#: The slot of the message that an acknowledgement is for (Socket.IO 5: packet type, number, array).
ACK_SLOT = re.compile(rb"43(\d+)\[")

TEXT_CHARACTERS = 60
_FILLER = " the quick brown fox jumps over the lazy dog and runs away"

#: Any 16 bytes will do (RFC 6455, section 4.1), and nobody here depends on their being random.
_KEY = "AAECAwQFBgcICQoLDA0ODw=="

#: RFC 6455, section 5.3: a client masks what it sends.
_MASKING_KEY = b"\x5a\x17\xc3\x88"

TEXT_OPCODE = 1


def upgrade_request(port: int) -> bytes:
    """Return the request that opens an Engine.IO 4 session on a WebSocket of its own."""
    lines = [
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {_KEY}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def client_frame(payload: bytes) -> bytes:
    """Return a whole, masked text frame (RFC 6455, section 5.2). Payloads end at 65,535 bytes."""
    size = len(payload)
    if size < 126:
        head = bytes([0x80 | TEXT_OPCODE, 0x80 | size])
    else:
        head = bytes([0x80 | TEXT_OPCODE, 0x80 | 126]) + size.to_bytes(2, "big")
    key = (_MASKING_KEY * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + _MASKING_KEY + masked.to_bytes(size, "big")


def event(name: str, payload: object, ack_id: int | None = None) -> bytes:
    """Return the frame of a Socket.IO event in namespace ``/``, acknowledged if it has an `ack_id`."""
    ack = "" if ack_id is None else str(ack_id)
    return client_frame(f"42{ack}{json.dumps([name, payload], separators=(',', ':'))}".encode())


CONNECT = client_frame(b"40")
PONG = client_frame(b"3")
#: An Engine.IO ping as servers send it: unmasked, and no part of any JSON, which has no such bytes.
PING = b"\x81\x012"


def join(room: str, username: str) -> bytes:
    """Return the frame that joins a room and asks for the acknowledgement."""
    return event("join room", {"roomname": room, "username": username}, ack_id=0)


def text(slot: int, characters: int = TEXT_CHARACTERS) -> str:
    """Return a message's text: so many characters, with the mark and the slot in it."""
    return f"{MARK.decode()}{slot:06}{_FILLER}"[:characters].ljust(characters, ".")


def message(room: str, slot: int, *, wants_ack: bool, characters: int = TEXT_CHARACTERS) -> bytes:
    """Return the frame of a message."""
    payload = {"room": room, "message": text(slot, characters)}
    return event("new message", payload, slot if wants_ack else None)

"""A crowd of cheap clients in rooms, half of them on WebSocket and half in a held poll, and how it ends."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from raw_polling import RawPolling
from raw_websocket import CLOSE, PING, RawWebSocket, close_frame

#: Members of a room. A room's size is no matter here, what its members tell each other is.
ROOM_SIZE = 20


@dataclass
class End:
    """How a client's connection ended: the notices it got, and WebSocket's close code or, of a poll's
    answer, the status and whether it ended the session."""

    notices: list[Any] = field(default_factory=list)
    code: int | None = None
    status: int | None = None
    has_close_packet: bool = False


@contextlib.contextmanager
def crowd(
    url: str, count: int, name: str = "member"
) -> Iterator[tuple[list[RawWebSocket], list[RawPolling]]]:
    """Have clients connected and joined, and the polls held."""
    with ExitStack() as stack:
        sockets, polls = [], []
        for number in range(count):
            join = {"roomname": f"room {number // ROOM_SIZE}", "username": f"member-{number}"}
            if number % 2:
                client = stack.enter_context(RawWebSocket(url))
                client.open_session()
                sockets.append(client)
                answer = client.call("join room", join)
            else:
                poller = stack.enter_context(RawPolling(url))
                poller.connect()
                polls.append(poller)
                answer = poller.call("join room", join)
            assert answer["ok"], answer
        yield sockets, polls


def hold(polls: Iterable[RawPolling]) -> None:
    """Have a poll of each held: all that waits for it is read first."""
    for poller in polls:
        poller.call("rooms", {}, number=2)
        poller.hold()


def websocket_end(client: RawWebSocket, *, is_polite: bool = True) -> End:
    """Read a WebSocket to its end, and answer its close frame if that is polite."""
    end = End()
    with contextlib.suppress(ConnectionError, AssertionError):  # the connection's end
        while end.code is None:
            opcode, payload = client.receive()
            if opcode == CLOSE:
                end.code = int.from_bytes(payload[:2], "big")
            elif opcode != PING:
                end.notices += notices([payload.decode()])
        if is_polite:
            client.send(close_frame(end.code))
    return end


def polling_end(client: RawPolling) -> End:
    """Read the answers to a session's polls up to its end."""
    end = End()
    with contextlib.suppress(OSError, http.client.HTTPException):
        while not end.has_close_packet:
            answer = client.poll()
            if end.status is None:
                end.status = answer.status
            if answer.status != 200:
                break
            end.notices += notices(answer.packets)
            end.has_close_packet = "1" in answer.packets
    return end


def notices(packets: list[str]) -> list[Any]:
    """Return what the server tells everyone, among packets."""
    events = [json.loads(packet[2:]) for packet in packets if packet.startswith("42[")]
    return [payload for event, payload in events if event == "server notice"]

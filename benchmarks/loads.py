"""What is asked of the servers: how many clients, in rooms of what size, with how much under way."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: A room's name, and its members.
Room = tuple[str, list[socket.socket]]


@dataclass(frozen=True)
class Load:
    """A closed loop, the same for every server.

    In each room the first `senders` members take turns: there are at most `under_way` messages under way,
    one for each sender if not given, and one is under way until all other members have received it; in a
    room of one, until it is acknowledged. So no server is flooded, each is as busy as it can be, and its
    own speed sets the rate.
    """

    name: str
    title: str
    clients: int
    room_size: int
    senders: int
    under_way: int = 0
    characters: int = 60

    def __post_init__(self) -> None:
        object.__setattr__(self, "under_way", self.under_way or self.senders)

    @property
    def rooms(self) -> int:
        return self.clients // self.room_size

    @property
    def fan_out(self) -> int:
        """How many deliveries a message makes: its sender gets none."""
        return self.room_size - 1

    def room_of(self, client: int) -> int:
        """Return the number of the room of a client. Who connects one after the other sits apart."""
        return client % self.rooms

    def rooms_of_all(self) -> list[str]:
        """Return the name of each client's room."""
        return [f"{self.name}{self.room_of(client)}" for client in range(self.clients)]

    def seat(self, connections: Sequence[socket.socket]) -> list[Room]:
        """Return the rooms with those who have joined them, one for each of `rooms_of_all`."""
        members: dict[str, list[socket.socket]] = {}
        for room, connection in zip(self.rooms_of_all(), connections, strict=True):
            members.setdefault(room, []).append(connection)
        return list(members.items())


_ALL = [
    Load("pair", "2 clients in 1 room", clients=2, room_size=2, senders=2),
    Load("fives", "500 in rooms of 5", clients=500, room_size=5, senders=2),
    Load("hundreds", "2,000 in rooms of 100", clients=2000, room_size=100, senders=5),
    Load("hall", "500 in 1 room", clients=500, room_size=500, senders=50),
    Load("stadium", "5,000 in 1 room", clients=5000, room_size=5000, senders=20),
]
LOADS: Mapping[str, Load] = {load.name: load for load in _ALL}

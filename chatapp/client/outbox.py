"""What was said and is not acknowledged yet, in order, one message per room under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

#: How many connections may end while a message is under way before it is taken for the cause: too large,
#: say, for the server, which then closes instead of answering.
LOSSES = 5


@dataclass(slots=True)
class Outgoing:
    """A message to send. `room` is as typed; ``@name`` is the conversation with that person."""

    client_id: str
    room: str
    text: str
    #: not to be sent before this time of the connection's clock
    not_before: float = 0.0
    under_way: bool = False
    #: how many connections were lost while it was under way
    losses: int = 0

    @property
    def recipient(self) -> str | None:
        """The person a private message is for."""
        return self.room[1:] if self.room.startswith("@") else None


class Outbox:
    """First in, first out, for each room.

    The next message of a room leaves only when the one before is settled: of two under way, the server could
    refuse the first for now (too fast, storage busy) and take the second, and the log would hold them the
    wrong way round.
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[Outgoing]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, outgoing: Outgoing) -> None:
        """Put `outgoing` behind what else goes to its room."""
        self._queues.setdefault(outgoing.room, deque()).append(outgoing)

    def ready(self, now: float) -> list[Outgoing]:
        """Return what may be sent at `now`: of each room its first, unless that is under way or to wait."""
        return [first for first in self._firsts() if not first.under_way and first.not_before <= now]

    def next_time(self) -> float | None:
        """When the next postponed message may be sent."""
        return min((first.not_before for first in self._firsts() if not first.under_way), default=None)

    def postpone(self, outgoing: Outgoing, until: float) -> None:
        """Send `outgoing` again, not before `until`; what is behind it waits too."""
        outgoing.under_way = False
        outgoing.not_before = until

    def settle(self, outgoing: Outgoing) -> bool:
        """Take `outgoing`, acknowledged or refused for good, out. False if it was already."""
        queue = self._queues.get(outgoing.room)
        if not queue or outgoing not in queue:
            return False
        queue.remove(outgoing)
        if not queue:
            del self._queues[outgoing.room]
        return True

    def drop_room(self, room: str) -> list[Outgoing]:
        """Take out and return all that waits for `room`."""
        return list(self._queues.pop(room, ()))

    def link_lost(self) -> list[Outgoing]:
        """Have what was under way, which may or may not have arrived, sent again under the same id.

        What was so too often is taken out and returned.
        """
        lost = [first for first in self._firsts() if first.under_way]
        for outgoing in lost:
            outgoing.under_way = False
            outgoing.losses += 1
        return [outgoing for outgoing in lost if outgoing.losses >= LOSSES and self.settle(outgoing)]

    def _firsts(self) -> Iterator[Outgoing]:
        return (queue[0] for queue in self._queues.values())

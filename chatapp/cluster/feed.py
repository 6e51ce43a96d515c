"""The order of each room's log, for what comes out of order from several workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

#: Hands one entry on. It is called once, in the order of its room's log.
HandOn = Callable[[], None]


@dataclass(slots=True)
class _Followed:
    head: int | None  # the last place that was handed on; None until it is known
    early: dict[int, HandOn] = field(default_factory=dict)  # by seq, above head + 1


class Feed:
    """Knows, for each room that is followed, the last ``seq`` that was handed on here.

    What is doubled is dropped, and what comes before its turn waits for it: `waits_for` says for which
    places, so that they can be read from the log. Pure: it hands on by calling what it was given.
    """

    def __init__(self) -> None:
        self._rooms: dict[int, _Followed] = {}
        #: Entries that came twice; each is one that the bus and the log brought both.
        self.doubled = 0

    def follow(self, room_id: int, seq: int | None) -> None:
        """Follow a room, whose log is known here up to `seq`; None: what comes waits until that is known.

        What has waited for that is handed on. No-op for a room whose place is known already.
        """
        followed = self._rooms.get(room_id)
        if followed is None:
            self._rooms[room_id] = _Followed(seq)
        elif followed.head is None and seq is not None:
            followed.head = seq
            for early in sorted(place for place in followed.early if place <= seq):
                followed.early.pop(early)()
            self._go_on(followed)

    def forget(self, room_id: int) -> None:
        """Follow a room no more; what waits is handed on now."""
        followed = self._rooms.pop(room_id, None)
        if followed is not None:
            for seq in sorted(followed.early):
                followed.early[seq]()

    def head(self, room_id: int) -> int | None:
        """Return the last place that was handed on; None for a room that is not followed, or not yet."""
        followed = self._rooms.get(room_id)
        return None if followed is None else followed.head

    def follows(self, room_id: int) -> bool:
        """Return whether the room is followed."""
        return room_id in self._rooms

    def rooms(self) -> dict[int, int]:
        """Return the places of all rooms whose place is known."""
        return {
            room_id: followed.head for room_id, followed in self._rooms.items() if followed.head is not None
        }

    def put(self, room_id: int, seq: int, hand_on: HandOn) -> bool:
        """Hand an entry on: now if it is its turn or nobody follows its room, later if others come first.

        Return False for one that was handed on already, which is dropped.
        """
        followed = self._rooms.get(room_id)
        if followed is None:
            hand_on()
            return True
        head = followed.head
        if head is not None and seq == head + 1:
            followed.head = seq
            hand_on()
            if followed.early:
                self._go_on(followed)
            return True
        if (head is not None and seq <= head) or seq in followed.early:
            self.doubled += 1
            return False
        followed.early[seq] = hand_on
        return True

    def waits_for(self, room_id: int) -> tuple[int, int] | None:
        """Return the first and last place that are missing before something that waits; None if nothing
        waits, or nobody knows for what."""
        followed = self._rooms.get(room_id)
        if followed is None or followed.head is None or not followed.early:
            return None
        return followed.head + 1, min(followed.early) - 1

    def fill(self, room_id: int, entries: Iterable[tuple[int, HandOn]], reached: int, last_seq: int) -> None:
        """Hand on what the log holds after the head, as far as it was not handed on already.

        `entries` is what was read, complete up to the place `reached`: what is not in it there is gone
        from the log. Of what was read and has come as well, that which has come is handed on. What claims
        a place above `last_seq`, the log's last, never was in it and is dropped.
        """
        followed = self._rooms.get(room_id)
        if followed is None or followed.head is None:
            return
        early = followed.early
        due = dict(entries) | {seq: early[seq] for seq in early if seq <= reached}
        for seq in sorted(due):
            early.pop(seq, None)
            if seq > followed.head:
                followed.head = seq
                due[seq]()
        followed.head = max(followed.head, reached)
        for seq in [seq for seq in early if seq > last_seq]:
            del early[seq]
        self._go_on(followed)

    @staticmethod
    def _go_on(followed: _Followed) -> None:
        assert followed.head is not None
        while (due := followed.early.pop(followed.head + 1, None)) is not None:
            followed.head += 1
            due()

"""One room as this client has seen it: how far, in which order, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chatapp.client.wire import Item

#: How long an item waits for the one before it until the log is asked. The server writes a connection's items
#: in order, so a hole is nearly always a loss; the wait only spares a request when two of them cross.
PATIENCE_SECONDS = 0.3


class RoomLog:
    """Lets the items of one room through once each, in the order of the room's log.

    `place` is how far this client has got: all up to it was let through. What comes too early is held.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        #: Tells logs of one name apart; None until the server has told it.
        self.epoch: str | None = None
        #: None: not known yet where to begin.
        self.place: int | None = None
        #: How far this client has told the server that it has read.
        self.read_seq = 0
        #: Whether the log is being asked for what is missing.
        self.is_filling = False
        # The rest changes together: what came too early, since when, how far the log is known to reach,
        # and when it may be asked again.
        self._held: dict[int, Item] = {}
        self._held_since = 0.0
        self._last_seq = 0
        self._not_before = 0.0

    @property
    def is_conversation(self) -> bool:
        """Whether this is the conversation with one other person."""
        return self.name.startswith("@")

    def link_lost(self) -> None:
        """Forget what was held: whatever follows `place` comes again when the room is joined again."""
        self._held.clear()
        self.is_filling = False
        self._not_before = 0.0

    def begin(self, place: int, epoch: str, last_seq: int) -> None:
        """Go on after `place` in the log called `epoch`, which reaches to `last_seq`.

        What was held is let through by `fill`.
        """
        self.place, self.epoch, self._last_seq = place, epoch, last_seq
        self._held = {seq: item for seq, item in self._held.items() if seq > place}

    def begin_with_held(self) -> list[Item]:
        """Begin with the first item that is held, for want of anything that says where to begin."""
        if self.place is None and self._held:
            self.place = min(self._held) - 1
        return self._release()

    def reaches(self, last_seq: int) -> None:
        """Note that the log reaches to `last_seq` at least."""
        self._last_seq = max(self._last_seq, last_seq)

    def is_another(self, epoch: str, last_seq: int) -> bool:
        """Whether a log called `epoch` that ends at `last_seq` cannot be the one seen before.

        That is so when it was made anew, and when it is shorter than what was seen (restored from a backup).
        """
        if self.place is None or self.epoch is None:
            return False
        return epoch != self.epoch or last_seq < self.place

    def receive(self, item: Item, now: float) -> list[Item]:
        """Take one item in and return what may now be shown, in order; nothing while `place` is not known."""
        seq = item.place
        if seq is None:
            return [item]
        if self.place is not None and seq <= self.place:
            return []
        if not self._held:
            self._held_since = now
        self._held[seq] = item
        return self._release()

    def fill(self, items: Iterable[Item], *, through: int) -> list[Item]:
        """Take in what the log answered: all it has up to its last item, and up to `through`.

        The log may leave places out (a change of a message it no longer holds): holes in an answer are final.
        """
        shown = []
        for item in items:
            seq = item.place
            if seq is not None and self.place is not None and seq > self.place:
                shown += self._skip_to(seq - 1)
                self._held.pop(seq, None)
                self.place = seq
                shown.append(item)
        return shown + self._skip_to(through) + self._release()

    def missing_through(self, now: float) -> int | None:
        """Return how far the log should be asked for now, None if nothing is (surely) missing."""
        if self.place is None or self.is_filling or now < self._missing_since():
            return None
        known = max([self._last_seq, *self._held])
        return known if known > self.place else None

    def next_time(self) -> float | None:
        """When `missing_through` may have something to say."""
        if self.place is None or self.is_filling or not (self._held or self._last_seq > self.place):
            return None
        return self._missing_since()

    def try_again_at(self, when: float) -> None:
        """Ask for what is missing, but not before `when`."""
        self.is_filling = False
        self._not_before = when

    def give_up(self) -> list[Item]:
        """Stop asking for what is missing, and return what was held."""
        self.is_filling = False
        return self._skip_to(max([self._last_seq, *self._held]))

    def _missing_since(self) -> float:
        if self.place is not None and self._last_seq > self.place:
            return self._not_before
        return max(self._not_before, self._held_since + PATIENCE_SECONDS)

    def _release(self) -> list[Item]:
        """Let through what follows `place` without a hole."""
        shown = []
        while self.place is not None and self.place + 1 in self._held:
            self.place += 1
            shown.append(self._held.pop(self.place))
        return shown

    def _skip_to(self, seq: int) -> list[Item]:
        """Let through what is held up to `seq` and go on after it."""
        if self.place is None or seq <= self.place:
            return []
        shown = [self._held.pop(early) for early in sorted(self._held) if early <= seq]
        self.place = seq
        return shown


def without_repeated_changes(items: Sequence[Item]) -> list[Item]:
    """Leave out the changes of messages that are among `items`: those show what the changes made of them."""
    messages = {item.seq for item in items if item.change is None and item.seq is not None}
    return [item for item in items if item.change is None or item.seq not in messages]

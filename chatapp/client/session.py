"""All that a client knows between two connections: who it is, what it has seen, what it still has to send."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chatapp.client.outbox import Outbox, Outgoing
from chatapp.client.roomlog import RoomLog
from chatapp.client.wire import Answer, Item, RoomEntry

#: How many log entries from before one came in are shown on entering a room.
CONTEXT_ENTRIES = 20
#: How many unread entries of a conversation are shown at the start, at most.
UNREAD_ENTRIES = 50


@dataclass(frozen=True, slots=True)
class Entered:
    """What joining a room came to: the items to show, and whether some are lost for ever."""

    room: str
    again: bool
    items: list[Item]
    gap: bool


class Session:
    """No sockets, no threads, no clock of its own; times are seconds of any steady clock."""

    def __init__(self, make_id: Callable[[], str], *, token: str | None = None) -> None:
        self._make_id = make_id
        #: The guest token that makes the server know one again.
        self.token = token
        self.username = ""
        self.user_id: str | None = None
        self.logs: dict[str, RoomLog] = {}
        self.outbox = Outbox()
        #: While the answer of ``rooms`` is on its way, conversations not heard of before are held: it says
        #: which of their entries were not read yet.
        self.awaits_rooms = False

    def log(self, room: str) -> RoomLog:
        """Return the room's log, a new one if it was not heard of."""
        return self.logs.setdefault(room, RoomLog(room))

    def link_lost(self) -> list[Outgoing]:
        """The connection is gone: what was under way, in either direction, comes again.

        Return what is not sent again, because it seems to be what ends the connections.
        """
        self.awaits_rooms = False
        for log in self.logs.values():
            log.link_lost()
        return self.outbox.link_lost()

    def since(self, room: str) -> dict[str, object] | None:
        """Where the server should go on, as ``join room`` wants it; None for a room not seen yet."""
        log = self.logs.get(room)
        if log is None or log.place is None or log.epoch is None:
            return None
        return {"epoch": log.epoch, "seq": log.place}

    def say(self, room: str, text: str) -> Outgoing:
        """Put `text` for `room` in the outbox."""
        outgoing = Outgoing(self._make_id(), room, text)
        self.outbox.add(outgoing)
        return outgoing

    def receive(self, item: Item, now: float) -> list[Item]:
        """Take in an item that was pushed, and return what may now be shown."""
        if item.place is None:
            return [item]
        log = self.log(item.room)
        shown = log.receive(item, now)
        if log.is_conversation and not self.awaits_rooms:
            shown += log.begin_with_held()
        return shown

    def entered(self, answer: Answer, *, context: bool) -> Entered:
        """Take in the answer of ``join room``.

        With `context`, a log that was not seen yet begins a little before its end.
        """
        self._identified(answer)
        log = self.log(answer.text("room"))
        epoch, last_seq = answer.text("epoch"), answer.number("last_seq")
        again = log.place is not None
        log.read_seq = max(log.read_seq, answer.number("read_seq"))
        gap = answer.flag("gap") or log.is_another(epoch, last_seq)
        if log.place is None:
            log.begin(max(0, last_seq - CONTEXT_ENTRIES) if context else last_seq, epoch, last_seq)
        elif gap:
            items = answer.items()
            first = items[0].place if items else None
            log.begin(first - 1 if first is not None else last_seq, epoch, last_seq)
        log.reaches(last_seq)
        through = 0
        if "messages" in answer.fields and not answer.flag("more"):
            through = last_seq
        return Entered(log.name, again, log.fill(answer.items(), through=through), gap)

    def stored(self, outgoing: Outgoing, answer: Answer, message_type: str, now: float) -> list[Item]:
        """Take in that `outgoing` is stored, and return what may now be shown: it, and what waited for it."""
        room, seq = answer.text("room"), answer.number("seq")
        log = self.log(room)
        epoch = answer.text("epoch")
        if log.epoch is not None and epoch != log.epoch:
            log.begin(seq - 1, epoch, seq)
        log.epoch = epoch
        item = Item(
            room=room,
            type=message_type,
            username=self.username,
            text=outgoing.text,
            sent_at=answer.text("sent_at"),
            seq=seq,
            user_id=self.user_id,
            target=outgoing.recipient,
        )
        return self.receive(item, now)

    def rooms_known(self, rooms: Iterable[RoomEntry]) -> list[Item]:
        """Take in how far conversations reach, as ``rooms`` says, and return what may now be shown.

        What is beyond what was seen, or else read, is missing from now on.
        """
        self.awaits_rooms = False
        for room in rooms:
            if room.name.startswith("@"):
                self._conversation_reaches(room)
        shown = []
        for log in self.logs.values():
            if log.is_conversation:
                shown += log.begin_with_held()
        return shown

    def _conversation_reaches(self, room: RoomEntry) -> None:
        log = self.log(room.name)
        if log.place is None or log.is_another(room.epoch, room.last_seq):
            log.begin(max(room.read_seq, room.last_seq - UNREAD_ENTRIES), room.epoch, room.last_seq)
        log.epoch = room.epoch
        log.read_seq = max(log.read_seq, room.read_seq)
        log.reaches(room.last_seq)

    def forget(self, room: str) -> list[Outgoing]:
        """Drop a room that was left; return what can no longer be sent to it."""
        self.logs.pop(room, None)
        return self.outbox.drop_room(room)

    def _identified(self, answer: Answer) -> None:
        user = answer.fields.get("user")
        if isinstance(user, dict):
            self.username = str(user.get("name", ""))
            self.user_id = str(user.get("id", ""))
        self.token = answer.text("token") or self.token

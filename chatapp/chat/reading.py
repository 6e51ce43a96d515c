"""Reading: history, read marks, the list of one's rooms; and saying that one types."""

from __future__ import annotations

from chatapp.chat.context import Ack, Context
from chatapp.cluster.envelopes import Part
from chatapp.domain.messages import Room, User
from chatapp.domain.presence import Connection
from chatapp.payloads import History, Read, Rooms, Typing
from chatapp.wire import Wire, member


class Reading:
    """What a client asks without changing a log."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def history(self, connection: Connection, request: History, ack: Ack) -> None:
        """Acknowledge a page of a room's log."""
        context = self._context
        context.check_rate("reads", connection)
        room, user = context.room_of(connection, request.room), context.user_of(connection)
        sizes = context.settings.history
        limit = context.page_size(request.limit, sizes.page, sizes.page_limit)
        page = context.log.history(room.id, request.before, request.after, limit)
        wire: Wire = {"room": room.name_for(user.id), **context.composer.page(room, page, user.id)}
        if request.after is not None:
            wire["after"] = page.reached
        ack(wire)

    def read(self, connection: Connection, request: Read, ack: Ack) -> None:
        """Move the user's read mark, and tell their other connections and a conversation's other user."""
        context = self._context
        context.check_rate("signals", connection)
        room, user = context.room_of(connection, request.room), context.user_of(connection)
        seq = context.log.mark_read(room.id, user.id, request.seq)
        event, marks = context.settings.events.read, []
        for reader in {user.id: user, **{person.id: person for person in room.pair or ()}}.values():
            mark = {"room": room.name_for(reader.id), "seq": seq, "user_id": str(user.id)}
            marks.append(Part("u", reader.id, event, mark))
        context.distribution.tell(*marks, skip_sid=connection.sid)
        ack({"room": room.name_for(user.id), "read_seq": seq})

    def rooms(self, connection: Connection, request: Rooms, ack: Ack) -> None:
        """Acknowledge the user's rooms and conversations."""
        context = self._context
        context.check_rate("reads", connection)
        user = context.user_of(connection)
        ack(
            {
                "rooms": [
                    {
                        "room": standing.room.name_for(user.id),
                        "epoch": standing.room.epoch,
                        "last_seq": standing.last_seq,
                        "read_seq": standing.read_seq,
                        "unread": standing.unread,
                    }
                    for standing in context.log.standings(user.id)
                    # Whoever only looks at a conversation opens it; it is one once somebody has spoken.
                    if standing.room.pair is None or standing.last_seq
                ]
            }
        )

    def typing(self, connection: Connection, request: Typing, ack: Ack) -> None:
        """Tell the others in the room; nothing is stored."""
        context = self._context
        context.check_rate("signals", connection)
        room, user = context.room_of(connection, request.room), context.user_of(connection)
        self._tell_others(connection, room, user, request.typing)
        ack({"room": room.name_for(user.id)})

    def _tell_others(self, connection: Connection, room: Room, user: User, typing: bool) -> None:
        event, wire = self._context.settings.events.typing, member(user) | {"typing": typing}
        if room.pair is None:
            part = Part("r", room.id, event, wire | {"room": room.name})
        else:
            other = room.other(user.id)
            part = Part("u", other.id, event, wire | {"room": room.name_for(other.id)})
        self._context.distribution.tell(part, skip_sid=connection.sid)

"""Saying something: messages, private messages, edits, deletions, reactions."""

from __future__ import annotations

from functools import partial

from chatapp.chat.context import Ack, Context
from chatapp.chat.hooks import PendingMessage
from chatapp.domain.messages import Draft, Kind, Room, User
from chatapp.domain.presence import Connection
from chatapp.domain.private import parse_private
from chatapp.domain.text import parse_client_id, parse_emoji, parse_text
from chatapp.log.store import Appended
from chatapp.payloads import Delete, Edit, React, Say, SayPrivately
from chatapp.wire import Wire, receipt


class Speech:
    """Appends to logs, and delivers what was appended in the order of the commits."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def say(self, connection: Connection, request: Say, ack: Ack) -> None:
        """Say something in a room."""
        self._context.check_rate("messages", connection)
        room = self._context.room_of(connection, request.room)
        self._append(connection, room, Kind.MESSAGE, request.message, request.client_id, ack)

    def say_privately(self, connection: Connection, request: SayPrivately, ack: Ack) -> None:
        """Say something to one user, who is addressed by name and reached by id."""
        context = self._context
        user = context.user_of(connection)
        context.check_rate("messages", connection)
        to, text = request.to, request.message
        if to is None:
            to, text = parse_private(request.message)
        room = context.conversation(user, to)
        other = room.other(user.id)
        to_wire = {"to": {"id": str(other.id), "name": other.name}}
        self._append(
            connection,
            room,
            Kind.MESSAGE,
            text,
            request.client_id,
            lambda fields: ack(fields | to_wire),
        )

    def edit(self, connection: Connection, request: Edit, ack: Ack) -> None:
        """Put another text in place of one's own message."""
        self._change(connection, request, Kind.EDIT, request.message, ack)

    def delete(self, connection: Connection, request: Delete, ack: Ack) -> None:
        """Empty one's own message."""
        self._change(connection, request, Kind.DELETE, "", ack)

    def react(self, connection: Connection, request: React, ack: Ack) -> None:
        """Give a message an emoji, or take it back."""
        kind = Kind.REACT if request.on else Kind.UNREACT
        self._change(connection, request, kind, parse_emoji(request.emoji), ack)

    def _change(
        self, connection: Connection, request: Edit | Delete | React, kind: Kind, text: str, ack: Ack
    ) -> None:
        self._context.check_rate("messages", connection)
        room = self._context.room_of(connection, request.room)
        self._append(connection, room, kind, text, request.client_id, ack, request.seq)

    def _append(
        self,
        connection: Connection,
        room: Room,
        kind: Kind,
        text: str,
        client_id: str | None,
        ack: Ack,
        target_seq: int | None = None,
    ) -> None:
        user = self._context.user_of(connection)
        if kind in (Kind.MESSAGE, Kind.EDIT):
            text = self._approve(room, user, text, is_edit=kind is Kind.EDIT)
        draft = Draft(room, user, kind, text, target_seq, parse_client_id(client_id))
        self.append(draft, skip_sid=connection.sid, ack=ack)

    def _approve(self, room: Room, user: User, text: str, *, is_edit: bool) -> str:
        """Return the text as it is to be stored. Raises InvalidText, or what a hook raises."""
        pending = PendingMessage(room.name_for(user.id), user, self._parse(text), is_edit)
        self._context.hooks.ask("before_message", pending)
        return self._parse(pending.text)

    def _parse(self, text: str) -> str:
        limits = self._context.settings.limits
        return parse_text(text, limits.message_characters, limits.message_bytes)

    def append(self, draft: Draft, *, skip_sid: str | None = None, ack: Ack = lambda fields: None) -> Wire:
        """Store, deliver, acknowledge, in this order. Return the receipt."""
        appended = self._context.log.append(draft, partial(self._hand_on, draft.room, skip_sid, ack))
        if not appended.repeated:
            self._tell(draft, appended)
        return receipt(draft.room, appended.entry)

    def _hand_on(self, room: Room, skip_sid: str | None, ack: Ack, appended: Appended) -> None:
        """Run in the order of the commits, before anything that was committed later."""
        if not appended.repeated:
            self._context.metrics.entries.labels(appended.entry.kind.value).inc()
            self._deliver(room, appended, skip_sid)
        ack(receipt(room, appended.entry))

    def _deliver(self, room: Room, appended: Appended, skip_sid: str | None) -> None:
        delivery, events = self._context.delivery, self._context.settings.events
        event = events.changed if appended.entry.kind.is_change else events.newmsg
        if room.pair is None:
            delivery.to_room(room.id, event, self._object(room, appended, 0), skip_sid)
        else:
            for user_id in {user.id for user in room.pair}:
                delivery.to_user(user_id, event, self._object(room, appended, user_id), skip_sid)

    def _object(self, room: Room, appended: Appended, reader_id: int) -> Wire:
        assert appended.message is not None
        if appended.entry.kind.is_change:
            return self._context.composer.change(room, appended.entry, appended.message, reader_id)
        return self._context.composer.message(room, appended.message, reader_id)

    def _tell(self, draft: Draft, appended: Appended) -> None:
        if draft.kind.is_change:
            return
        moment = "on_private_message" if draft.room.pair else "on_message"
        self._context.hooks.tell(moment, self._object(draft.room, appended, draft.user.id))

"""Saying something: messages, private messages, edits, deletions, reactions."""

from __future__ import annotations

from collections.abc import Callable

from chatapp.chat.context import Ack, Context
from chatapp.chat.hooks import PendingMessage
from chatapp.domain.messages import Draft, Kind, Room, User
from chatapp.domain.presence import Connection
from chatapp.domain.private import parse_private
from chatapp.domain.text import parse_client_id, parse_emoji, parse_text
from chatapp.errors import Refusal
from chatapp.log.store import Appended
from chatapp.payloads import Delete, Edit, React, Say, SayPrivately
from chatapp.wire import Wire, receipt

_WITH_TEXT = (Kind.MESSAGE, Kind.EDIT)


class Speech:
    """Appends to logs, and delivers what was appended in the order of the commits.

    Nothing here waits for a commit: what is said is acknowledged, or refused, once it is in the log.
    """

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
        self._append(
            connection,
            room,
            Kind.MESSAGE,
            text,
            request.client_id,
            ack,
            more={"to": {"id": str(other.id), "name": other.name}},
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
        more: Wire | None = None,
    ) -> None:
        """Send the text on its way; `ack` gets the receipt, with `more`, once it is committed. Whoever says
        something hears it from nobody else: if it is stored as another text, the receipt holds that."""
        user, said = self._context.user_of(connection), text
        if kind in _WITH_TEXT:
            text = self._approve(room, user, text, is_edit=kind is Kind.EDIT)
        draft = Draft(room, user, kind, text, target_seq, parse_client_id(client_id))

        def then(outcome: Appended | Refusal) -> None:
            if isinstance(outcome, Refusal):
                connection.appending -= 1
                ack.refuse(outcome)
                return
            wire = receipt(room, outcome.entry)
            answer = wire if more is None else wire | more
            if outcome.entry.text != said:
                answer = answer | {"message": outcome.entry.text}

            def done() -> None:
                connection.appending -= 1
                ack(answer)

            self._hand_on(room, outcome, connection.sid, done)

        self._context.log.append(draft, then)
        connection.appending += 1

    def _approve(self, room: Room, user: User, text: str, *, is_edit: bool) -> str:
        """Return the text as it is to be stored. Raises InvalidText, or what a hook raises."""
        text = self._parse(text)
        if not self._context.hooks.listens("before_message"):
            return text
        pending = PendingMessage(room.name_for(user.id), user, text, is_edit)
        self._context.hooks.ask("before_message", pending)
        return self._parse(pending.text)

    def _parse(self, text: str) -> str:
        limits = self._context.settings.limits
        return parse_text(text, limits.message_characters, limits.message_bytes)

    def post(self, draft: Draft) -> Wire:
        """Store and deliver what the host says. Return the receipt."""

        def then(outcome: Appended | Refusal) -> None:
            if not isinstance(outcome, Refusal):
                self._hand_on(draft.room, outcome, None, lambda: None)

        return receipt(draft.room, self._context.log.append_and_wait(draft, then).entry)

    def _hand_on(
        self, room: Room, appended: Appended, skip_sid: str | None, done: Callable[[], None]
    ) -> None:
        """Run in the order of the commits; `done` is called at the entry's place in the room's order."""
        if appended.repeated:
            done()
            return
        kind = appended.entry.kind
        self._context.metrics.entries.count(kind.value)
        self._context.distribution.commit(room, appended, skip_sid, done)
        if not kind.is_change:
            self._tell(room, appended)

    def _tell(self, room: Room, appended: Appended) -> None:
        hooks, moment = self._context.hooks, "on_private_message" if room.pair else "on_message"
        if hooks.listens(moment):
            assert appended.message is not None
            author = appended.entry.user.id
            hooks.tell_soon(moment, self._context.composer.message(room, appended.message, author))

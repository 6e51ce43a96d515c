"""The host's own voice: what its code says in the chat, from a process that serves it or from any other."""

from __future__ import annotations

import sys
from collections.abc import Callable

from gevent import monkey
from sqlalchemy import Connection, event

from chatapp.chat.context import Context
from chatapp.chat.speech import Speech
from chatapp.cluster.envelopes import EntryNews, EventNews, Part
from chatapp.domain.messages import Draft, Kind, Room, User
from chatapp.domain.names import name_key, parse_room_name, site_name
from chatapp.domain.text import parse_client_id, parse_text
from chatapp.errors import HostingError, NoSuchUser
from chatapp.log.log import Log
from chatapp.log.opening import open_log_at_once
from chatapp.wire import Wire, member, receipt


class Voice:
    """Says what the host has to say.

    In a process that gevent has patched it goes the way of everything: ``begin()`` sees that this process
    takes part. In any other (a Celery job, a cron script, a site in threads) it is written where it is
    called, which blocks, and ``ring(news)`` tells those who serve.
    """

    def __init__(
        self,
        context: Context,
        speech: Speech,
        begin: Callable[[], None],
        ring: Callable[[EntryNews | EventNews], None],
    ) -> None:
        self._context = context
        self._speech = speech
        self._begin = begin
        self._ring = ring
        self._own_log: Log | None = None

    def post(
        self,
        room: str,
        text: str,
        sender: str,
        *,
        notice: bool,
        client_id: str | None,
        connection: Connection | None,
    ) -> Wire:
        """See `ChatServer.post`."""
        name = parse_room_name(room, self._context.settings.limits.room_characters)
        kind = Kind.NOTICE if notice else Kind.MESSAGE
        log = self._log(connection)
        return self._append(log, log.open_room(name), sender, kind, text, client_id, connection)

    def send_private(
        self, to: str, text: str, sender: str, *, client_id: str | None, connection: Connection | None
    ) -> Wire:
        """See `ChatServer.send_private`."""
        log = self._log(connection)
        host = self._host(log, sender)
        other, room = log.find_conversation(host, name_key(to))
        if other is None:
            raise _nobody(to)
        room = room or log.conversation(host, other)
        return self._append(log, room, sender, Kind.MESSAGE, text, client_id, connection)

    def _append(
        self,
        log: Log,
        room: Room,
        sender: str,
        kind: Kind,
        text: str,
        client_id: str | None,
        connection: Connection | None,
    ) -> Wire:
        limits = self._context.settings.limits
        text = parse_text(text, limits.message_characters, limits.message_bytes)
        draft = Draft(room, self._host(log, sender), kind, text, client_id=parse_client_id(client_id))
        if log is self._context.log:
            return self._speech.post(draft)
        appended = log.append_and_wait(draft)
        if not appended.repeated:
            news = EntryNews(room.id, appended.entry.seq, self._context.distribution.parts(room, appended))
            if connection is None:
                self._ring(news)
            else:
                # Before it is committed, by a moment, and without what was said, which may never be.
                event.listen(connection, "commit", lambda _: self._ring(news.bell()), once=True)
        return receipt(room, appended.entry)

    def members(self, room: str) -> list[Wire]:
        """See `ChatServer.members`."""
        context, log = self._context, self._log(None)
        known = log.find_room(self._key(room))
        if known is None:
            return []
        users = {user.id: user for user in context.presence.members(known.id, None, sys.maxsize)[0]}
        if log.roll is not None and not context.distribution.feed.follows(known.id):
            users |= {other.user.id: other.user for other in log.roll.others("", [known.id])}
        return [member(user) for user in sorted(users.values(), key=lambda user: user.name.casefold())]

    def distribute_message(self, room: str, text: str) -> None:
        """See `ChatServer.distribute_message`."""
        context = self._context
        known = self._log(None).find_room(self._key(room))
        if known is not None:
            notice = context.composer.notice(known.name, text, context.now_ms())
            self._tell(Part("r", known.id, context.settings.events.newmsg, notice))

    def send_message(self, to: str, text: str, code: str) -> None:
        """See `ChatServer.send_message`."""
        user = self._log(None).find_user(name_key(to))
        if user is None:
            raise _nobody(to)
        self._tell(Part("u", user.id, self._context.settings.events.notice, {"code": code, "message": text}))

    def _tell(self, part: Part) -> None:
        if monkey.is_module_patched("socket"):
            self._context.distribution.tell(part)
        else:
            self._ring(EventNews([part]))

    def _key(self, room: str) -> str:
        return parse_room_name(room, self._context.settings.limits.room_characters).key

    def _host(self, log: Log, sender: str) -> User:
        name = site_name(sender, self._context.settings.limits.username_characters)
        return log.sign_in(f"host:{name.key}", name)

    def _log(self, connection: Connection | None) -> Log:
        """Return the log to use here. Raises HostingError."""
        settings = self._context.settings
        is_patched = monkey.is_module_patched("socket")
        if settings.storage_url is None and (connection is not None or not is_patched):
            raise HostingError(
                "With [storage] url = none nothing is stored: only the process that serves the chat can say"
                " something in it."
            )
        if connection is not None:
            return open_log_at_once(settings, connection)
        if is_patched:
            self._begin()
            return self._context.log
        if self._own_log is None:
            self._own_log = open_log_at_once(settings)
        return self._own_log

    def close(self) -> None:
        """Let go of what was opened."""
        if self._own_log is not None:
            self._own_log.close()
            self._own_log = None


def _nobody(name: str) -> NoSuchUser:
    return NoSuchUser(f"Nobody is called {name!r}.")

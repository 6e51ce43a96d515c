"""Whose connection it is: guests with a claimed name, or users of the site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatapp.auth import GuestTokens, SiteUser
from chatapp.chat.context import Context
from chatapp.domain.messages import User
from chatapp.domain.names import Name, name_key, parse_guest_name, site_name
from chatapp.domain.presence import Connection
from chatapp.errors import InvalidPayload, LimitReached, NameMismatch, Refusal
from chatapp.payloads import Join


class People:
    """Identifies connections: by `tokens` in guest mode, by ``site_user(environ, token)`` in the others."""

    def __init__(
        self,
        context: Context,
        *,
        tokens: GuestTokens | None,
        site_user: Callable[[dict[str, Any], object], SiteUser] | None,
    ) -> None:
        self._context = context
        self._tokens = tokens
        self._site_user = site_user

    def connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Admit a connection, with what its client says of itself. Raises Unauthorized for one that the site
        does not know, and InvalidToken."""
        context = self._context
        user = None
        token = auth.get("token") if isinstance(auth, dict) else None
        if self._site_user is not None:
            known = self._site_user(environ, token)
            name = site_name(known.name, context.settings.limits.username_characters)
            user = context.log.sign_in(known.subject, name)
        elif (user_id := self._user_id(token)) is not None:
            user = self._still_named(user_id)
        connection = context.presence.connect(sid)
        if user is not None:
            try:
                self._identify(connection, user)
            except Refusal:
                context.presence.disconnect(sid, context.clock())
                raise

    def user_for(self, connection: Connection, request: Join) -> User:
        """Return who joins, and note it: the first join of a guest says who they are.

        Raises NameTaken, NameMismatch, InvalidName.
        """
        if connection.user is None:
            self._identify(connection, self._guest(request))
        assert connection.user is not None
        if self._tokens is not None and request.username is not None:
            if name_key(request.username) != name_key(connection.user.name):
                raise NameMismatch(f"On this connection you are {connection.user.name!r}.")
        return connection.user

    def token(self, user: User) -> str | None:
        """Return a fresh token for a guest, None where the site says who is who."""
        return None if self._tokens is None else self._tokens.make(user.id)

    def _identify(self, connection: Connection, user: User) -> None:
        self._context.distribution.follow_user(user.id)  # first, for it may block
        most = self._context.settings.limits.connections_per_user
        if len(self._context.presence.connections_of(user.id)) >= most:
            raise LimitReached(f"At most {most} connections at a time.")
        self._context.presence.identify(connection, user)
        self._context.delivery.add_to_user(connection.sid, user.id)

    def _user_id(self, token: object) -> int | None:
        return None if self._tokens is None else self._tokens.user_id(token)

    def _guest(self, request: Join) -> User:
        user_id = self._user_id(request.token)
        if user_id is None and request.secret is not None and self._tokens is not None:
            user_id = self._tokens.secret_id(request.secret)
        if request.username is None:
            if user_id is None:
                raise InvalidPayload("username: is missing")
            known = self._still_named(user_id)
            if known is None:
                raise InvalidPayload("username: is missing, and the token's name is no longer held")
            return known
        name = parse_guest_name(request.username, self._context.settings.limits.username_characters)
        if user_id is not None:
            known = self._still_named(user_id)
            if known is not None and name_key(known.name) == name.key:
                return known
            if self._context.presence.is_online(user_id):
                raise NameMismatch("The token belongs to somebody who is here under another name.")
        return self._claim(name, user_id)

    def _still_named(self, user_id: int) -> User | None:
        """Return the user, unless their name went to somebody else."""
        user = self._context.log.user(user_id)
        if user is None:
            return None
        holder = self._context.log.find_user(name_key(user.name))
        return user if holder is not None and holder.id == user.id else None

    def _claim(self, name: Name, user_id: int | None) -> User:
        settings = self._context.settings
        # Never shorter than it takes to be noticed as here.
        hold_seconds = max(settings.auth.name_hold_minutes * 60, settings.limits.leave_grace_seconds + 5)
        held_since = self._context.now_ms() - int(hold_seconds * 1000)
        is_online = self._context.presence.is_online
        return self._context.log.claim_name(
            name, user_id, lambda holder, seen_at: seen_at >= held_since or is_online(holder)
        )

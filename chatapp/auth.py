"""Who is asking: guests by their token, users of the site by what the site says."""

from __future__ import annotations

import functools
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import flask
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature, URLSafeTimedSerializer

from chatapp.errors import HostingError, InvalidToken, Refusal, SettingsError, Unauthorized
from chatapp.log.store import USER_ID_BITS
from chatapp.settings import Auth

logger = logging.getLogger("chatapp.auth")

#: What ``@chat.identify`` may return: a name, or the site's id of the user and a name; None for nobody.
#: An id that is None or empty is nobody, too.
Identified = str | tuple[str | int | UUID | None, str | int | None] | None


@dataclass(frozen=True, slots=True)
class SiteUser:
    """A user as the site knows them."""

    subject: str
    name: str


class _Tokens:
    """Signed JSON with its age, each kind with a `salt` of its own.

    ``secret_key()`` is asked when the first token is made or read.
    """

    def __init__(self, secret_key: Callable[[], str], salt: str, max_age_seconds: float) -> None:
        self._secret_key = secret_key
        self._salt = salt
        self._max_age_seconds = int(max_age_seconds)

    @functools.cached_property
    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._secret_key(), salt=self._salt)

    def _make(self, value: object) -> str:
        token = self._serializer.dumps(value)
        return token if isinstance(token, str) else token.decode()

    def _read(self, token: object) -> Any:
        """Return what a token holds; None for one that is forged, too old or no token at all."""
        if not isinstance(token, str):
            return None
        try:
            return self._serializer.loads(token, max_age=self._max_age_seconds)
        except (BadSignature, UnicodeEncodeError):  # the latter: half a surrogate pair
            return None


class GuestTokens(_Tokens):
    """They let a guest be the same user again, and hold the user's id."""

    def __init__(self, secret_key: Callable[[], str], days: float) -> None:
        super().__init__(secret_key, "chatapp.guest", days * 86400)

    def make(self, user_id: int) -> str:
        """Return a fresh token."""
        return self._make(user_id)

    def user_id(self, token: object) -> int | None:
        """Return whose token it is; None for one that is forged, too old or no token at all."""
        user_id = self._read(token)
        return user_id if isinstance(user_id, int) else None

    def secret_id(self, secret: str) -> int:
        """Return the id of the guest who has made this secret before the first join: whoever repeats that,
        as its acknowledgement was lost and the token with it, is the same guest again."""
        digest = hmac.digest(self._secret_key().encode(), b"chatapp.secret " + secret.encode(), "sha256")
        return int.from_bytes(digest, "big") >> (8 * len(digest) - USER_ID_BITS)


class SiteTokens(_Tokens):
    """In them the site says who its user is, to pages that its cookies do not reach."""

    def __init__(self, secret_key: Callable[[], str], hours: float) -> None:
        super().__init__(secret_key, "chatapp.site", hours * 3600)

    def make(self, user: SiteUser) -> str:
        """Return a fresh token."""
        return self._make([user.subject, user.name])

    def user(self, token: object) -> SiteUser:
        """Return whose token it is. Raises InvalidToken for one that is forged, too old or no token."""
        found = self._read(token)
        if found is None:
            raise InvalidToken()
        return SiteUser(*found)


class SiteAuth:
    """``[auth] mode = flask`` and ``custom``: reads the request with which the client connected."""

    def __init__(self, settings: Auth, tokens: SiteTokens) -> None:
        self._settings = settings
        self._tokens = tokens
        #: The site, whose session and Flask-Login are asked; in a side-car an app of ours.
        self.app: flask.Flask | None = None
        #: The site's own function.
        self.identify: Callable[[flask.Request], Identified] | None = None

    def check(self) -> None:
        """Raise HostingError if nobody can say who is who."""
        if self._settings.mode == "custom" and self.identify is None:
            raise HostingError(
                "[auth] mode = custom needs a function that says who is who: put @chat.identify before it"
                " in the site that calls chat.init_app(app), or in a script of yours that calls"
                " chat.start(). `chatapp serve` and wsgi:app alone have none."
            )

    def sign(self, user_id: str | int | UUID, name: str | int) -> str:
        """Return a token of a user of the site's. Raises Unauthorized for an empty id, and TypeError for
        what is no id or no name."""
        return self._tokens.make(_parse_identified((user_id, name)))

    def site_user(self, environ: dict[str, Any], token: object = None) -> SiteUser:
        """Return whose request it is, or whose `token` came with it. Raises Unauthorized for one of nobody
        known, InvalidToken, and the Refusal that the site's function raises."""
        if token is not None:
            return self._tokens.user(token)
        assert self.app is not None
        try:
            # A copy, for Flask puts its request into it, and it is kept as long as the connection.
            with self.app.request_context(environ.copy()):
                found = self._ask()
            return _parse_identified(found)
        except Refusal:
            raise
        except Exception:
            logger.exception("a user could not be identified")
            raise Unauthorized("The site could not say who you are.") from None

    def _ask(self) -> Identified:
        if self.identify is not None:
            return self.identify(flask.request)
        if hasattr(self.app, "login_manager"):
            return self._from_flask_login()
        session = flask.session
        return self._named(session.get(self._settings.site_user_key), session.get)

    def _from_flask_login(self) -> Identified:
        from flask_login import current_user

        if not current_user.is_authenticated:
            return None
        return self._named(current_user.get_id(), lambda key: getattr(current_user, key, None))

    def _named(self, user_id: Any, get: Callable[[str], Any]) -> Identified:
        return user_id, get(self._settings.site_name_key) or user_id


def _parse_identified(found: object) -> SiteUser:
    """Raises Unauthorized for nobody, and TypeError for what is no identity: a user's object, for
    example, whose text would be another one each time."""
    user_id, name = found if isinstance(found, tuple) else (found, found)
    if user_id is None or user_id == "":
        raise Unauthorized()
    if not isinstance(user_id, str | int | UUID) or not isinstance(name, str | int):
        raise TypeError(f"(id, name) must be texts or numbers, not {type(user_id)} and {type(name)}")
    return SiteUser(f"site:{user_id}", str(name))


class ReadOnlySessions(SecureCookieSessionInterface):
    """Reads the site's session cookie. Never sets it: its flags and its expiry are the site's."""

    def save_session(self, app: flask.Flask, session: SessionMixin, response: flask.Response) -> None:
        """Leave the cookie as it is."""


def make_sidecar_readable(app: flask.Flask, settings: Auth) -> None:
    """Let `app`, an app of ours, read the session cookie of the site with ``site_secret_key``.

    Raises SettingsError if it has to and the key is not set.
    """
    if settings.site_secret_key:
        app.secret_key = settings.site_secret_key
        app.config["SESSION_COOKIE_NAME"] = settings.site_session_cookie
        app.session_interface = ReadOnlySessions()
    elif settings.mode == "flask":
        raise SettingsError(
            [
                "[auth] mode = flask beside a site needs site_secret_key, the site's SECRET_KEY, to read its"
                " sessions: set CHATAPP_AUTH_SITE_SECRET_KEY. Inside the site, with chat.init_app(app), it"
                " needs none."
            ]
        )


__all__ = ["GuestTokens", "Identified", "SiteAuth", "SiteTokens", "SiteUser", "make_sidecar_readable"]

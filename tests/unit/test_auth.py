"""Who is asking: what guests' tokens prove, and what a site says about its users."""

from __future__ import annotations

import string
import types
import uuid
from collections.abc import Callable
from typing import Any

import flask
import itsdangerous
import pytest
from flask_login import LoginManager, UserMixin, login_user
from werkzeug.test import EnvironBuilder

from chatapp import ChatServer, Refusal, Settings
from chatapp.auth import GuestTokens, SiteAuth, SiteTokens, SiteUser, make_sidecar_readable
from chatapp.errors import Forbidden, HostingError, InvalidToken, SettingsError, Unauthorized
from chatapp.settings import Auth

KEY = "0123456789abcdef"
OTHER_KEY = "fedcba9876543210"
DAY_SECONDS = 86400


@pytest.fixture
def tokens() -> GuestTokens:
    return GuestTokens(lambda: KEY, days=30)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """The clock of those who sign; set ``clock.now``, Unix seconds."""
    clock = types.SimpleNamespace(now=1_800_000_000.0)
    clock.time = lambda: clock.now
    monkeypatch.setattr(itsdangerous.timed, "time", clock)
    return clock


# Guests


@pytest.mark.parametrize("user_id", [1, 17, 2**40])
def test_a_token_says_whose_it_is(tokens: GuestTokens, user_id: int) -> None:
    token = tokens.make(user_id)
    assert tokens.user_id(token) == user_id
    assert set(token) <= set(string.ascii_letters + string.digits + "-_.")


def test_a_token_is_good_in_another_process_with_the_same_key(tokens: GuestTokens) -> None:
    assert GuestTokens(lambda: KEY, days=1).user_id(tokens.make(17)) == 17


def test_a_token_with_any_character_changed_is_nobodys(tokens: GuestTokens) -> None:
    token = tokens.make(17)
    assert len(token) < 60
    for place, char in enumerate(token):
        # The last character of each part may hold bits that mean nothing: that is another spelling.
        for other in set("Az09-_.") - {char}:
            forged = token[:place] + other + token[place + 1 :]
            assert tokens.user_id(forged) in (None, 17)
            if token[place + 1 : place + 2] not in ("", "."):
                assert tokens.user_id(forged) is None


def test_a_token_of_another_user_or_time_cannot_be_put_together(tokens: GuestTokens) -> None:
    mine, other = tokens.make(17).split("."), tokens.make(18).split(".")
    assert tokens.user_id(".".join([other[0], *mine[1:]])) is None
    assert tokens.user_id(".".join(mine[:2])) is None
    assert tokens.user_id(".".join([*mine, mine[2]])) is None


def test_what_is_signed_with_another_key_or_for_another_use_is_nobodys(tokens: GuestTokens) -> None:
    assert tokens.user_id(GuestTokens(lambda: OTHER_KEY, days=30).make(17)) is None
    for salt in ("cookie-session", "itsdangerous", "chatapp"):
        signed = itsdangerous.URLSafeTimedSerializer(KEY, salt=salt).dumps(17)
        assert tokens.user_id(signed) is None
    untimed = itsdangerous.URLSafeSerializer(KEY, salt="chatapp.guest").dumps(17)
    assert tokens.user_id(untimed) is None


@pytest.mark.parametrize("content", ["17", 1.5, None, [17], {"id": 17}])
def test_a_signed_token_that_holds_no_id_is_nobodys(tokens: GuestTokens, content: object) -> None:
    signed = itsdangerous.URLSafeTimedSerializer(KEY, salt="chatapp.guest").dumps(content)
    assert tokens.user_id(signed) is None


@pytest.mark.parametrize(
    "what",
    [
        *(None, 17, 1.5, True, b"x", ["x"], {"token": "x"}),
        *(
            "",
            ".",
            "..",
            "...",
            "a.b.c",
            "é.é.é",
            "\0",
            "\ud800",
            "\ud800.\udfff.x",
            "\U0001f511",
            "x" * 65536,
        ),
    ],
)
def test_what_is_no_token_at_all_is_nobodys(tokens: GuestTokens, what: object) -> None:
    assert tokens.user_id(what) is None


def test_a_token_is_good_for_as_long_as_was_said(tokens: GuestTokens, clock: types.SimpleNamespace) -> None:
    token = tokens.make(17)
    clock.now += 30 * DAY_SECONDS
    assert tokens.user_id(token) == 17
    clock.now += 1
    assert tokens.user_id(token) is None
    assert GuestTokens(lambda: KEY, days=31).user_id(token) == 17


def test_the_key_is_asked_for_once_and_only_when_it_is_needed() -> None:
    asked = []

    def key() -> str:
        asked.append(KEY)
        return KEY

    tokens = GuestTokens(key, days=30)
    assert asked == []
    assert tokens.user_id(None) is None
    assert asked == []
    assert tokens.user_id(tokens.make(17)) == 17
    assert asked == [KEY]


# Users of a site


def site_auth(settings: Auth) -> SiteAuth:
    return SiteAuth(settings, SiteTokens(lambda: KEY, hours=12))


@pytest.fixture
def app() -> flask.Flask:
    app = flask.Flask("site")
    app.secret_key = KEY
    return app


def environ_for(app: flask.Flask, **session: Any) -> dict[str, Any]:
    """Return a request of a browser that has this session of the app's."""
    serializer = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    headers = {"Cookie": f"session={serializer.dumps(session)}"}
    return EnvironBuilder("/socket.io/", query_string="page=7", headers=headers).get_environ()


def auth_for(app: flask.Flask, identify: Callable[[flask.Request], Any] | None = None) -> SiteAuth:
    auth = site_auth(Auth(mode="custom" if identify else "flask"))
    auth.app, auth.identify = app, identify
    return auth


def test_the_session_says_who_it_is(app: flask.Flask) -> None:
    auth = auth_for(app)
    assert auth.site_user(environ_for(app, _user_id="7", username="ann")) == SiteUser("site:7", "ann")
    assert auth.site_user(environ_for(app, _user_id=7)) == SiteUser("site:7", "7")


def test_other_keys_of_the_session_are_asked_if_the_settings_say_so(app: flask.Flask) -> None:
    auth = site_auth(Auth(mode="flask", site_user_key="uid", site_name_key="nick"))
    auth.app = app
    assert auth.site_user(environ_for(app, uid="7", nick="ann")) == SiteUser("site:7", "ann")


@pytest.mark.parametrize("session", [{}, {"username": "ann"}, {"_user_id": None}, {"_user_id": ""}])
def test_a_session_without_a_user_is_nobodys(app: flask.Flask, session: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized, match=r"Log in first\."):
        auth_for(app).site_user(environ_for(app, **session))


def test_without_a_session_or_a_key_for_it_there_is_nobody(app: flask.Flask) -> None:
    with pytest.raises(Unauthorized):
        auth_for(app).site_user(EnvironBuilder("/").get_environ())
    with pytest.raises(Unauthorized):
        auth_for(flask.Flask("keyless")).site_user(environ_for(app, _user_id="7"))


def test_flask_login_is_asked_where_the_site_has_it(app: flask.Flask) -> None:
    class Person(UserMixin):
        id = 7
        username = "ann"
        nickname = "annie"

    manager = LoginManager(app)
    manager.user_loader(lambda user_id: Person() if user_id == "7" else None)
    with app.test_request_context(headers={"User-Agent": "Browser/1.0"}) as context:
        login_user(Person())
        session = dict(context.session)
    environ = environ_for(app, **session, username="what the session says")
    environ |= {"HTTP_USER_AGENT": "Browser/1.0"}
    assert auth_for(app).site_user(environ) == SiteUser("site:7", "ann")
    for key, name in (("nickname", "annie"), ("no_such_name", "7")):
        auth = site_auth(Auth(mode="flask", site_name_key=key))
        auth.app = app
        assert auth.site_user(environ) == SiteUser("site:7", name)
    with pytest.raises(Unauthorized, match=r"Log in first\."):
        auth_for(app).site_user(environ_for(app, _user_id="8"))


def test_whom_flask_login_does_not_take_for_authenticated_is_nobody(app: flask.Flask) -> None:
    class Visitor(UserMixin):
        id = 7
        username = "visitor"
        is_authenticated = False

    LoginManager(app).user_loader(lambda user_id: Visitor())
    with pytest.raises(Unauthorized):
        auth_for(app).site_user(environ_for(app, _user_id="7"))


ID = uuid.uuid4()


@pytest.mark.parametrize(
    ("found", "user"),
    [
        ("ann", SiteUser("site:ann", "ann")),
        (("7", "ann"), SiteUser("site:7", "ann")),
        ((7, "ann"), SiteUser("site:7", "ann")),
        ((0, "ann"), SiteUser("site:0", "ann")),
        ((ID, "ann"), SiteUser(f"site:{ID}", "ann")),
        ((7, 8), SiteUser("site:7", "8")),
    ],
)
def test_the_sites_function_returns_a_name_or_an_id_and_a_name(
    app: flask.Flask, found: Any, user: SiteUser
) -> None:
    assert auth_for(app, lambda request: found).site_user(environ_for(app)) == user


@pytest.mark.parametrize("found", [None, "", (None, None), (None, "ann"), ("", "ann")])
def test_nobody_is_what_has_no_id(app: flask.Flask, found: Any) -> None:
    with pytest.raises(Unauthorized, match=r"Log in first\."):
        auth_for(app, lambda request: found).site_user(environ_for(app))


@pytest.mark.parametrize(
    "found",
    [
        ("7", None),
        ("7", "ann", "admin"),
        ("7",),
        (),
        ["7", "ann"],
        7.5,
        object(),
        (object(), "ann"),
        {"id": 7},
    ],
)
def test_what_is_no_identity_is_logged_and_refused(
    app: flask.Flask, found: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Unauthorized, match=r"^The site could not say who you are\.$"):
        auth_for(app, lambda request: found).site_user(environ_for(app))
    assert [record.message for record in caplog.records] == ["a user could not be identified"]


def test_the_sites_function_gets_the_request_and_may_use_the_session(app: flask.Flask) -> None:
    def identify(request: flask.Request) -> Any:
        assert flask.current_app == app
        assert request == flask.request
        return f"{flask.session['name']} {request.args['page']} {request.headers['Host']}"

    user = auth_for(app, identify).site_user(environ_for(app, name="ann"))
    assert user.name == "ann 7 localhost"


@pytest.mark.parametrize(
    "error", [Unauthorized("Pay first."), Forbidden("Not you."), Refusal("Closed today.")]
)
def test_what_the_sites_function_refuses_is_refused_in_its_words(
    app: flask.Flask, error: Refusal, caplog: pytest.LogCaptureFixture
) -> None:
    def identify(request: flask.Request) -> Any:
        raise error

    with pytest.raises(type(error)) as raised:
        auth_for(app, identify).site_user(environ_for(app))
    assert raised.value is error
    assert caplog.records == []


def test_a_fault_of_the_sites_function_is_logged_and_refused(
    app: flask.Flask, caplog: pytest.LogCaptureFixture
) -> None:
    def identify(request: flask.Request) -> Any:
        raise ZeroDivisionError("with a secret in it")

    with pytest.raises(Unauthorized, match=r"^The site could not say who you are\.$") as raised:
        auth_for(app, identify).site_user(environ_for(app))
    assert raised.value.code == "unauthorized"
    (record,) = caplog.records
    assert record.name == "chatapp.auth" and record.exc_info
    assert record.exc_info[0] is ZeroDivisionError


def test_asking_tears_down_what_the_site_set_up(app: flask.Flask) -> None:
    torn_down: list[Any] = []
    app.teardown_request(lambda error: torn_down.append(error))
    app.teardown_appcontext(lambda error: torn_down.append(error))
    auth_for(app).site_user(environ_for(app, _user_id="7"))
    assert torn_down == [None, None]
    with pytest.raises(Unauthorized):
        auth_for(app).site_user(environ_for(app))
    assert torn_down == [None] * 4
    assert not flask.has_request_context()


def test_asking_leaves_the_environ_as_it_is(app: flask.Flask) -> None:
    environ = environ_for(app, _user_id="7")
    before = environ.copy()
    auth_for(app).site_user(environ)
    assert environ == before


# What has to be set


def test_custom_mode_needs_a_function(app: flask.Flask) -> None:
    auth = site_auth(Auth(mode="custom"))
    with pytest.raises(HostingError, match=r"put @chat\.identify before it"):
        auth.check()
    auth.identify = lambda request: "ann"
    auth.check()


@pytest.mark.parametrize("mode", ["guest", "flask"])
def test_in_other_modes_a_function_would_never_be_asked_and_is_refused(mode: str) -> None:
    site_auth(Auth(mode=mode)).check()
    chat = ChatServer(Settings(auth=Auth(mode=mode)))
    with pytest.raises(SettingsError, match=r"\[auth\] mode: must be custom"):
        chat.identify(lambda request: "ann")


def test_a_sidecar_reads_the_sites_session_and_never_sets_it() -> None:
    site, sidecar = flask.Flask("site"), flask.Flask("sidecar")
    site.secret_key = KEY
    make_sidecar_readable(sidecar, Auth(mode="flask", site_secret_key=KEY))
    sidecar.add_url_rule("/", view_func=lambda: flask.session.pop("_user_id"))
    environ = environ_for(site, _user_id="7", username="ann", _permanent=True)
    assert auth_for(sidecar).site_user(environ) == SiteUser("site:7", "ann")
    with sidecar.test_client(use_cookies=False) as client:
        answer = client.get("/", headers={"Cookie": environ["HTTP_COOKIE"]})
    assert answer.text == "7"
    assert "Set-Cookie" not in answer.headers


def test_a_sidecar_that_has_to_read_sessions_needs_the_sites_key() -> None:
    with pytest.raises(SettingsError, match="needs site_secret_key"):
        make_sidecar_readable(flask.Flask("sidecar"), Auth(mode="flask"))
    for mode in ("guest", "custom"):
        make_sidecar_readable(flask.Flask("sidecar"), Auth(mode=mode))


# Users of a site, by a token that it has signed


@pytest.mark.parametrize("user_id", [7, "seven", uuid.UUID(int=7)])
def test_a_token_of_the_sites_is_its_user_as_a_cookie_is(app: flask.Flask, user_id: Any) -> None:
    auth = auth_for(app, identify=lambda request: (user_id, "Ann"))
    environ = environ_for(app)
    by_token = auth.site_user(environ, auth.sign(user_id, "Ann"))
    assert by_token == auth.site_user(environ) == SiteUser(f"site:{user_id}", "Ann")


def test_a_token_of_the_sites_goes_before_its_cookie(app: flask.Flask) -> None:
    auth = auth_for(app)
    environ = environ_for(app, _user_id="8", username="Bob")
    assert auth.site_user(environ).name == "Bob"
    assert auth.site_user(environ, auth.sign(7, "Ann")).name == "Ann"


def test_a_token_that_is_none_of_the_sites_lets_nobody_in(
    app: flask.Flask, tokens: GuestTokens, clock: types.SimpleNamespace
) -> None:
    auth = auth_for(app)
    environ = environ_for(app, _user_id="8", username="Bob")
    token = auth.sign(7, "Ann")
    of_others = SiteTokens(lambda: OTHER_KEY, hours=12).make(SiteUser("site:7", "Ann"))
    for wrong in ("", "x", 7, ["x"], token[1:], token[:-2], tokens.make(7), of_others):
        with pytest.raises(InvalidToken):
            auth.site_user(environ, wrong)
    clock.now += 12 * 3600
    assert auth.site_user(environ, token).name == "Ann"
    clock.now += 1
    with pytest.raises(InvalidToken):
        auth.site_user(environ, token)


def test_a_token_of_the_sites_is_no_guests(app: flask.Flask, tokens: GuestTokens) -> None:
    assert tokens.user_id(auth_for(app).sign(7, "Ann")) is None


@pytest.mark.parametrize(
    ("user_id", "error"), [(None, Unauthorized), ("", Unauthorized), (object(), TypeError)]
)
def test_nobody_is_signed_for(app: flask.Flask, user_id: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        auth_for(app).sign(user_id, "Ann")


def test_where_guests_name_themselves_the_site_says_nothing() -> None:
    with pytest.raises(SettingsError, match="must be flask or custom"):
        ChatServer(Settings()).sign(7, "Ann")

"""A site on sync workers with ``chatapp serve`` beside it, which knows the site's users by their cookie."""

from __future__ import annotations

import concurrent.futures
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import itsdangerous
import pytest
import requests
from flask.sessions import SecureCookieSessionInterface

from clients import TRANSPORTS, Chatter, refused
from servers import HOSTINGS, PATIENCE_SECONDS, ServerProcess, running
from visitors import SITE_SECRET_KEY, Visitor, failed_start, knock, running_site

COOKIE = "bookclub"
NOBODY = {"message": "Log in first.", "data": {"code": "unauthorized", "message": "Log in first."}}

#: What a side-car needs to know of the site.
SETTINGS = {
    "AUTH_MODE": "flask",
    "AUTH_SITE_SECRET_KEY": SITE_SECRET_KEY,
    "AUTH_SITE_SESSION_COOKIE": COOKIE,
    "LIMITS_LEAVE_GRACE_SECONDS": "0",
}

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_site(tmp_path_factory.mktemp("site"), "sync", workers=2, realtime=False) as server:
        yield server


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running("serve", tmp_path_factory.mktemp("sidecar"), **SETTINGS) as server:
        yield server


@pytest.fixture
def name() -> Callable[[str], str]:
    """Make names of the test's own."""
    number = next(_numbers)
    return lambda base: f"{base}-{number}"


def cookie(secret_key: str = SITE_SECRET_KEY, **session: Any) -> dict[str, str]:
    """Return the headers of a browser that got this session from a site with this key."""
    app = flask.Flask("site")
    app.secret_key = secret_key
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return {"Cookie": f"{COOKIE}={serializer.dumps(session)}"}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_logged_in_on_the_site_chats_beside_it(
    transport: str, site: ServerProcess, sidecar: ServerProcess, name: Callable[[str], str]
) -> None:
    with Visitor(site.url) as ann_at_home, Visitor(site.url) as bob_at_home:
        ann_at_home.sign_up(name("ann@mail.example"), name("ann"))
        bob_at_home.sign_up(name("bob@mail.example"), name("bob"))
        with (
            ann_at_home.chatter(transport, sidecar.url) as ann,
            bob_at_home.chatter(transport, sidecar.url) as bob,
        ):
            joined = ann.join(name("room"), name("bob"))
            assert joined["user"]["name"] == name("ann")
            assert "token" not in joined
            bob.join(name("room"))
            ann.say("hello")
            bob.wait_for_texts(["hello"])
            assert bob.messages()[0]["username"] == name("ann")
        ann_at_home.post("/rename", username=name("anna"))
        with ann_at_home.chatter(transport, sidecar.url) as anna:
            assert anna.join(name("room"))["user"] == {"id": joined["user"]["id"], "name": name("anna")}
        ann_at_home.post("/logout")
        assert refused(sidecar.url, transport, headers=ann_at_home.headers) == NOBODY


def assert_serves_the_chats_pages_and_no_sockets(site: ServerProcess) -> None:
    assert knock(("127.0.0.1", site.port)).status == 404

    def health(_: int) -> Any:
        return requests.get(f"{site.url}/chat/health", timeout=PATIENCE_SECONDS).json()

    # As many at a time as it takes to reach each worker, and each of its threads.
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert list(pool.map(health, range(48))) == [{"ok": True}] * 48


def test_a_site_on_sync_workers_serves_the_chats_pages_and_no_sockets(site: ServerProcess) -> None:
    assert_serves_the_chats_pages_and_no_sockets(site)


def test_a_site_in_threads_serves_the_chats_pages_and_no_sockets(tmp_path: Path) -> None:
    with running_site(tmp_path, "gthread", realtime=False) as site:
        assert_serves_the_chats_pages_and_no_sockets(site)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_has_no_session_of_the_site_is_refused(transport: str, sidecar: ServerProcess) -> None:
    known = cookie(_user_id="7", username="ann")
    with Chatter(sidecar.url, transport, headers=dict(known)) as ann:
        assert ann.join("lobby")["user"]["name"] == "ann"
    signed, _, signature = known["Cookie"].rpartition(".")
    forged = f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    for headers in (
        {},
        {"Cookie": forged},
        {"Cookie": known["Cookie"].replace(COOKIE, "session")},
        cookie("the secret key of another site", _user_id="7", username="ann"),
        cookie(username="ann"),
        cookie(_user_id="", username="ann"),
        cookie(_user_id=None, username="ann"),
    ):
        assert refused(sidecar.url, transport, headers=headers) == NOBODY


def test_a_session_that_is_too_old_is_refused(
    sidecar: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(days_ago: float) -> dict[str, str]:
        then = int(time.time() - days_ago * 86400)
        monkeypatch.setattr(itsdangerous.TimestampSigner, "get_timestamp", lambda signer: then)
        return cookie(_user_id="7", username="ann")

    # Flask's sessions last 31 days if the site does not say otherwise.
    with Chatter(sidecar.url, headers=made(30.9)) as ann:
        assert ann.join("lobby")["user"]["name"] == "ann"
    assert refused(sidecar.url, headers=made(31.1)) == NOBODY


def test_who_has_no_name_in_the_session_has_the_id_for_a_name(sidecar: ServerProcess) -> None:
    with Chatter(sidecar.url, headers=cookie(_user_id="0815")) as nameless:
        assert nameless.join("lobby")["user"]["name"] == "0815"


def test_other_keys_of_the_session_can_hold_the_user(tmp_path: Path) -> None:
    keys = {"AUTH_SITE_USER_KEY": "uid", "AUTH_SITE_NAME_KEY": "nick"}
    with running("serve", tmp_path, **SETTINGS, **keys) as sidecar:
        with Chatter(sidecar.url, headers=cookie(uid=7, nick="ann", _user_id="8", username="bob")) as ann:
            assert ann.join("lobby")["user"]["name"] == "ann"
        assert refused(sidecar.url, headers=cookie(_user_id="8", username="bob")) == NOBODY


@pytest.mark.parametrize("path", ["/", "/chat/", "/chat/health", "/chat/nowhere"])
def test_the_sites_cookie_is_read_and_never_set(path: str, sidecar: ServerProcess) -> None:
    headers = cookie(_user_id="7", username="ann", _permanent=True)
    answer = requests.get(
        sidecar.url + path, headers=headers, timeout=PATIENCE_SECONDS, allow_redirects=False
    )
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("hosting", ["serve", "gevent"])
def test_without_the_sites_key_no_sidecar_starts(hosting: str, tmp_path: Path) -> None:
    said = failed_start(HOSTINGS[hosting], tmp_path, AUTH_MODE="flask")
    assert "needs site_secret_key, the site's SECRET_KEY" in said
    assert "CHATAPP_AUTH_SITE_SECRET_KEY" in said
    assert "Traceback" not in said

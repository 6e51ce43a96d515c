"""``[auth] mode = custom``: a function of the site says who is who."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from clients import TRANSPORTS, Chatter, refused, wait_until
from servers import HOSTINGS, PATIENCE_SECONDS, ServerProcess, running
from visitors import SITE, failed_start, knock

GUNICORN = [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0", "--no-control-socket", "-k", "gevent"]
COMMANDS = {
    "alone": [sys.executable, "doorkeeper.py"],
    "gunicorn": [*GUNICORN, "doorkeeper:app"],
}

#: What everybody is told when nobody can be told apart.
NO_FUNCTION = "[auth] mode = custom needs a function that says who is who: put @chat.identify before it"


@pytest.fixture(scope="module", params=COMMANDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("site")
    with running(
        directory=directory, command=COMMANDS[request.param], cwd=SITE, AUTH_MODE="custom"
    ) as server:
        yield server


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def at(site: ServerProcess, way: str, **arguments: str) -> str:
    return f"{site.url}/?{urlencode({'as': way, **arguments})}"


def user(url: str, transport: str, headers: dict[str, str] | None = None) -> Any:
    """Connect, claim to be somebody else, and return who one is."""
    with Chatter(url, transport, headers=headers) as chatter:
        joined = chatter.join("lobby", "somebody else")
        assert "token" not in joined
        return joined["user"]


def test_the_function_sees_the_request_with_which_the_client_connects(
    site: ServerProcess, transport: str
) -> None:
    assert user(at(site, "argument", name="Ann One"), transport)["name"] == "Ann One"
    assert user(at(site, "cookie"), transport, {"Cookie": "other=1; name=ann-2"})["name"] == "ann-2"
    assert user(at(site, "header"), transport, {"X-Forwarded-User": "ann-3"})["name"] == "ann-3"


def test_the_function_may_use_the_sites_session(site: ServerProcess, transport: str) -> None:
    with requests.Session() as browser:
        browser.post(f"{site.url}/enter", data={"id": "4", "name": "ann-4"}, timeout=PATIENCE_SECONDS)
        cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)
    assert user(at(site, "session"), transport, {"Cookie": cookie})["name"] == "ann-4"


def test_the_id_makes_the_user_and_the_name_may_change(site: ServerProcess, transport: str) -> None:
    number = f"5-{transport}"
    before = user(at(site, "pair", id=number, name=f"ann-{number}"), transport)
    after = user(at(site, "pair", id=number, name=f"anna-{number}"), transport)
    assert after == {"id": before["id"], "name": f"anna-{number}"}
    other = user(at(site, "pair", id=f"6-{transport}", name=f"ann-{number}"), transport)
    assert other["name"] == f"ann-{number}"
    assert other["id"] != before["id"]


@pytest.mark.parametrize(
    ("way", "code", "message"),
    [
        ("nobody", "unauthorized", "Log in first."),
        ("no id", "unauthorized", "Log in first."),
        ("unauthorized", "unauthorized", "Pay first."),
        ("refusal", "refused", "Closed on Sundays."),
        ("invisible", "invalid_name", "The site gave a user's name in which nothing is visible."),
    ],
)
def test_whom_the_function_refuses_is_told_why(
    site: ServerProcess, transport: str, way: str, code: str, message: str
) -> None:
    logged = "".join(site.output)
    told = refused(at(site, way), transport)
    assert told == {"message": message, "data": {"code": code, "message": message}}
    assert "Traceback" not in "".join(site.output).removeprefix(logged)


@pytest.mark.parametrize(
    ("way", "fault"),
    [
        ("fault", "ZeroDivisionError: the fault's own words"),
        ("no identity", "TypeError: (id, name) must be texts or numbers"),
        ("no such way", "KeyError: 'no such way'"),
    ],
)
def test_a_fault_of_the_function_is_logged_and_its_client_refused(
    site: ServerProcess, transport: str, way: str, fault: str
) -> None:
    def logged() -> int:
        return "".join(site.output).count(fault)

    before = logged()
    message = "The site could not say who you are."
    told = refused(at(site, way), transport)
    assert told == {"message": message, "data": {"code": "unauthorized", "message": message}}
    wait_until(lambda: logged() == before + 1, "the log")
    assert any("a user could not be identified" in line for line in site.output)
    # Nobody else notices.
    assert user(at(site, "argument", name="bob"), transport)["name"] == "bob"


def test_serve_has_no_function_and_does_not_start(tmp_path: Path) -> None:
    said = failed_start(HOSTINGS["serve"], tmp_path, AUTH_MODE="custom")
    assert NO_FUNCTION in said
    assert "Listening" not in said
    assert "Traceback" not in said


def test_a_script_without_a_function_ends_before_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORKEEPER", "nobody")
    said = failed_start(COMMANDS["alone"], tmp_path, cwd=SITE, AUTH_MODE="custom")
    assert f"HostingError: {NO_FUNCTION}" in said
    assert "Listening" not in said


def test_a_site_without_a_function_says_so_at_the_first_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORKEEPER", "nobody")
    with running(directory=tmp_path, command=COMMANDS["gunicorn"], cwd=SITE, AUTH_MODE="custom") as site:
        for transport in ("polling", "websocket"):
            answer = knock(("127.0.0.1", site.port), transport)
            assert (answer.status, answer.opened) == (503, False)
            assert NO_FUNCTION in answer.body.decode()
        wait_until(lambda: any(NO_FUNCTION in line for line in site.output), "the log")
        assert requests.get(f"{site.url}/chat/health", timeout=PATIENCE_SECONDS).ok
        assert not any("Traceback" in line for line in site.output)

"""A Flask site with a login of its own and the chat inside it: its users chat, and it answers as before."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from clients import TRANSPORTS, refused, wait_until
from servers import PATIENCE_SECONDS, ServerProcess
from visitors import SITE, Visitor, knock, running_site

PARTNER = "https://partner.example"

#: A line of the site that belongs to the chat.
MARKED = re.compile(r"# chat$")

_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=["gevent", "geventwebsocket"])
def worker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def site(worker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("site")
    with running_site(directory, worker, APP_ALLOWED_ORIGINS=PARTNER) as server:
        yield server


@pytest.fixture
def name() -> Callable[[str], str]:
    """Make names of the test's own."""
    number = next(_numbers)
    return lambda base: f"{base}-{number}"


@pytest.fixture
def visitor(site: ServerProcess, name: Callable[[str], str]) -> Iterator[Callable[[str], Visitor]]:
    """Make users of the site who are logged in; ``visitor("ann")`` has the name ``name("ann")``."""
    visitors = []

    def log_in(base: str, username: str | None = None) -> Visitor:
        visitors.append(Visitor(site.url))
        return visitors[-1].sign_up(name(f"{base}@mail.example"), username or name(base))

    yield log_in
    for visitor in visitors:
        visitor.http.close()


def test_the_chat_takes_at_most_ten_lines() -> None:
    _title, *lines = (SITE / "bookclub.py").read_text("utf-8").splitlines()
    assert 0 < len([line for line in lines if MARKED.search(line)]) <= 10
    assert [line for line in lines if "chat" in line.lower() and not MARKED.search(line)] == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_users_of_the_site_chat_under_their_names(
    transport: str, visitor: Callable[[str], Visitor], name: Callable[[str], str]
) -> None:
    with visitor("ann").chatter(transport) as ann, visitor("bob").chatter(transport) as bob:
        joined = ann.join(name("room"))
        assert joined["user"]["name"] == name("ann")
        assert "token" not in joined
        bob.join(name("room"))
        ann.say("hello")
        bob.wait_for_texts(["hello"])
        (message,) = bob.messages()
        assert (message["username"], message["user_id"]) == (name("ann"), joined["user"]["id"])
        bob.call("new pm", f"@{name('ann')} psst")
        ann.wait_for_texts(["psst"])
        assert ann.messages()[0]["username"] == name("bob")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_name_in_a_payload_is_ignored(
    transport: str, visitor: Callable[[str], Visitor], name: Callable[[str], str]
) -> None:
    visitor("bob")
    with visitor("ann").chatter(transport) as ann:
        for claim in (name("bob"), "admin", name("ann").upper(), ""):
            joined = ann.join(name("room"), claim or None, token="a token")
            assert joined["user"]["name"] == name("ann")
            assert [member["username"] for member in joined["members"]] == [name("ann")]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_is_logged_out_is_refused(
    transport: str, site: ServerProcess, visitor: Callable[[str], Visitor]
) -> None:
    unauthorized = {"code": "unauthorized", "message": "Log in first."}
    nobody = refused(site.url, transport)
    assert nobody == {"message": unauthorized["message"], "data": unauthorized}
    ann = visitor("ann")
    logged_in = ann.headers
    ann.post("/logout")
    assert refused(site.url, transport, headers=ann.headers) == nobody
    # What the site's login protects its sessions from, the chat is protected from.
    assert refused(site.url, transport, headers={**logged_in, "User-Agent": "another browser"}) == nobody
    assert refused(site.url, transport, headers={"Cookie": "bookclub=forged"}) == nobody


def test_a_connection_says_nothing_more_after_its_refusal(site: ServerProcess) -> None:
    nobody = {"url": f"{site.url}/socket.io/?EIO=4&transport=polling", "timeout": PATIENCE_SECONDS}
    with requests.Session() as http:
        sid = http.get(**nobody).text.partition('"sid":"')[2].partition('"')[0]
        session = {**nobody, "url": f"{nobody['url']}&sid={sid}"}
        assert http.post(**session, data="40").ok
        assert '"code":"unauthorized"' in http.get(**session).text
        assert http.post(**session, data="40").ok
        assert '"code":"unauthorized"' in http.get(**session).text
        join = http.post(**session, data='420["join room",{"roomname":"lobby","username":"ann"}]')
        assert join.status_code == 400 and "lobby" not in join.text
        assert http.get(**session).status_code == 400  # the session has ended


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_pages_of_other_sites_are_not_let_in(
    transport: str, worker: str, site: ServerProcess, visitor: Callable[[str], Visitor]
) -> None:
    headers = {**visitor("ann").headers, "Host": "club.example"}
    for origin in (
        "https://evil.example",
        "http://club.example.evil.example",
        "https://club.example",
        "null",
    ):
        answer = knock(("127.0.0.1", site.port), transport, {**headers, "Origin": origin})
        assert not answer.opened
        # gevent-websocket's worker has made the handshake before we are asked; then it is closed.
        shakes_first = (worker, transport) == ("geventwebsocket", "websocket")
        assert answer.status == (101 if shakes_first else 400)
        assert answer.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("origin", ["http://club.example", PARTNER])
def test_pages_of_the_site_and_of_allowed_origins_are_let_in(
    origin: str, transport: str, site: ServerProcess, visitor: Callable[[str], Visitor]
) -> None:
    headers = {**visitor("ann").headers, "Host": "club.example", "Origin": origin}
    assert knock(("127.0.0.1", site.port), transport, headers=headers).opened


def test_two_users_of_one_name_are_told_apart(
    visitor: Callable[..., Visitor], name: Callable[[str], str]
) -> None:
    with visitor("first", name("sam")).chatter() as first, visitor("second", name("sam")).chatter() as second:
        one, other = first.join(name("room"))["user"], second.join(name("room"))["user"]
        assert (one["name"], other["name"]) == (name("sam"), f"{name('sam')}-2")
        assert one["id"] != other["id"]
        first.call("new pm", f"@{other['name']} to the second")
        second.wait_for_texts(["to the second"])
        second.call("new pm", f"@{one['name']} to the first")
        first.wait_for_texts(["to the first"])


def test_a_name_stays_with_its_user_over_connections(
    visitor: Callable[..., Visitor], name: Callable[[str], str]
) -> None:
    visitors = visitor("first", name("sam")), visitor("second", name("sam"))
    for _ in range(2):
        seen = []
        for person in reversed(visitors):
            with person.chatter() as sam:
                seen.append(sam.join(name("room"))["user"])
        assert [user["name"] for user in seen] == [name("sam"), f"{name('sam')}-2"]


def test_who_is_renamed_on_the_site_stays_the_same_user(
    visitor: Callable[[str], Visitor], name: Callable[[str], str]
) -> None:
    ann_at_home, bob_at_home = visitor("ann"), visitor("bob")
    with ann_at_home.chatter() as ann, bob_at_home.chatter() as bob:
        ann.join(name("room"))
        before = bob.join(name("room"))["user"]
        bob.say("before")
        ann.call("new pm", f"@{name('bob')} for bob alone")
        bob_at_home.post("/rename", username=name("rob"))
    with ann_at_home.chatter() as ann, bob_at_home.chatter() as rob:
        after = rob.join(name("room"))["user"]
        assert after == {"id": before["id"], "name": name("rob")}
        said = ann.join(name("room"), since={"epoch": "another", "seq": 0})["messages"]
        assert [(message["username"], message["message"]) for message in said] == [(name("rob"), "before")]
        # Who takes the old name on the site gets the name here, and nothing that was another's.
        with visitor("bob-the-second").chatter() as other:
            taken = other.join(name("room"))["user"]
            assert taken["id"] != before["id"]
        private = rob.call("history", {"room": f"@{name('ann')}"})["messages"]
        assert [message["message"] for message in private] == ["for bob alone"]


def test_what_was_private_stays_with_its_user_when_another_takes_the_name(
    visitor: Callable[..., Visitor], name: Callable[[str], str]
) -> None:
    ann_at_home, bob_at_home = visitor("ann"), visitor("bob")
    with ann_at_home.chatter() as ann, bob_at_home.chatter() as bob:
        ann.join(name("room"))
        bob.join(name("room"))
        ann.call("new pm", f"@{name('bob')} for bob alone")
    bob_at_home.post("/rename", username=name("rob"))
    with bob_at_home.chatter() as rob, visitor("thief", name("bob")).chatter() as thief:
        assert rob.join(name("room"))["user"]["name"] == name("rob")
        assert thief.join(name("room"))["user"]["name"] == name("bob")
        assert thief.call("history", {"room": f"@{name('ann')}"})["messages"] == []
        (message,) = rob.call("history", {"room": f"@{name('ann')}"})["messages"]
        assert (message["message"], message["target"]) == ("for bob alone", name("rob"))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_the_site_opens_to_know_its_user_it_closes(
    transport: str, site: ServerProcess, visitor: Callable[[str], Visitor]
) -> None:
    ann = visitor("ann")

    def open_connections() -> tuple[int, int]:
        counts = ann.get("/connections").json()
        return counts["opened"], counts["opened"] - counts["closed"]

    before, still_open = open_connections()
    assert still_open == 0
    with ann.chatter(transport):
        after, still_open = open_connections()
        assert after == before + 1
        assert still_open == 0
    assert refused(site.url, transport, headers={"Cookie": "bookclub=forged"})
    assert wait_until(lambda: open_connections()[1] == 0)


def steps(url: str) -> list[Any]:
    """Use the site as a browser does; return all answers, without what differs each time anyway."""
    big = bytes(range(256)) * 1500
    answers = []

    def note(answer: requests.Response) -> None:
        answer.headers.pop("Date")
        for header in ("Allow", "Set-Cookie"):  # the first is a set's, the other signed with the time
            words = re.sub(r"=[^;]+", "", answer.headers.get(header, "")).replace(",", "").split()
            answer.headers[header] = " ".join(sorted(words))
        answers.append((answer.request.path_url, answer.status_code, dict(answer.headers), answer.content))

    with requests.Session() as http:

        def ask(method: str, path: str, **options: Any) -> None:
            note(http.request(method, url + path, timeout=PATIENCE_SECONDS, allow_redirects=False, **options))

        ann = {"email": "ann@mail.example", "password": "ann's", "username": "ann"}
        ask("GET", "/")
        ask("POST", "/reviews", data={"book": "Emma", "text": "not logged in"})
        ask("POST", "/signup", data=ann)
        ask("POST", "/login", data={**ann, "password": "wrong"})
        ask("POST", "/login", data=ann)
        ask("GET", "/")
        ask("POST", "/reviews", data={"book": "Emma", "text": "<b>Good</b>"})
        ask("POST", "/reviews", files={"book": (None, "Persuasion"), "text": (None, "better")})
        ask("GET", "/reviews.csv")
        ask("HEAD", "/")
        ask("OPTIONS", "/login")
        ask("POST", "/upload", data=big)
        ask("POST", "/upload", data=iter([big, b"and", big]))
        ask("PUT", "/login")
        ask("GET", "/broken")
        for path in ("/socket.io", "/socket.iox/", "/nowhere", "/static/../bookclub.py"):
            ask("GET", path)
        ask("GET", "/", headers={"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"})
        ask("POST", "/logout")
        ask("GET", "/")
    return answers


def test_the_site_answers_as_without_the_chat(worker: str, tmp_path: Path) -> None:
    without = tmp_path / "source"
    without.mkdir()
    lines = (SITE / "bookclub.py").read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not MARKED.search(line)]
    (without / "bookclub.py").write_text("".join(kept), "utf-8")
    with (
        running_site(tmp_path / "with", worker) as site,
        running_site(tmp_path / "without", worker, source=without) as bare,
    ):
        assert knock(("127.0.0.1", site.port)).opened
        assert knock(("127.0.0.1", bare.port)).status == 404
        answers, answers_before = steps(site.url), steps(bare.url)
    statuses = [status for _, status, _, _ in answers]
    assert {200, 302, 401, 403, 404, 405, 500} <= set(statuses)
    assert answers == answers_before

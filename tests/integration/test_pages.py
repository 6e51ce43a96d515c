"""chatapp.js as pages use it: rooms, what is told of them, what is sent, and what is refused."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatapp.web.assets import FOLDER
from clients import TRANSPORTS, wait_until
from pages import Page
from party import Party
from servers import ROOT, running
from visitors import SITE_SECRET_KEY

#: The scripts that are ours.
SCRIPTS = sorted(path for path in (ROOT / "chatapp").rglob("*.js") if "vendor" not in path.parts)
MAX_GZIPPED_BYTES = 12 * 1024


@pytest.fixture
def pages(quick_url: str) -> Iterator[Any]:
    """Makes pages on the server with the settings `QUICK`, which are closed in the end."""
    made: list[Page] = []

    def make(url: str = quick_url, **options: Any) -> Page:
        made.append(Page(url, **options))
        return made[-1]

    yield make
    for page in made:
        page.close()


def test_what_ships_is_ecmascript_5(tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node and FOLDER / "chatapp.js" in SCRIPTS
    script = ROOT / "tests" / "node" / "es5.js"
    libraries = [FOLDER / "vendor" / name for name in ("jquery.js", "socket.io.js")]
    found = subprocess.run([node, script, *SCRIPTS, *libraries], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, ""), found.stderr
    readme = (ROOT / "README.md").read_text("utf-8")
    (example,) = re.findall(r"<script>\n(.*?)</script>", readme, re.DOTALL)
    (tmp_path / "example.js").write_text(example, "utf-8")
    subprocess.run([node, script, tmp_path / "example.js"], check=True)
    wrong = subprocess.run(
        [node, script, ROOT / "tests" / "node" / "page.js"], capture_output=True, check=False
    )
    assert wrong.returncode == 1


def test_it_is_small() -> None:
    assert len(gzip.compress((FOLDER / "chatapp.js").read_bytes())) < MAX_GZIPPED_BYTES


def test_all_that_the_page_loads_of_ours_is_below_60_kilobytes() -> None:
    ours = [path for path in FOLDER.iterdir() if path.suffix in (".js", ".css", ".svg")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in ours) < 60 * 1024


def test_nothing_ever_parses_markup() -> None:
    # jQuery's html() and $("<...>") included.
    markup = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\.html\(|\$\([\"']<|DOMParser|eval\("
    )
    for path in SCRIPTS:
        assert not markup.search(path.read_text("utf-8")), path


def test_nothing_of_the_ini_is_in_the_code() -> None:
    text = (FOLDER / "chatapp.js").read_text("utf-8")
    for name in (
        "join room",
        "leave room",
        "new message",
        "new pm",
        "edit message",
        "server notice",
        "generic",
    ):
        assert f'"{name}"' not in text
    assert not re.search(r"socket\.io[\"'/]", text)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_two_pages_talk(pages: Any, party: Party, transport: str) -> None:
    ann, bob = (pages(transports=TRANSPORTS[transport]) for _ in range(2))
    joined = ann.join(party.room, party.named("ann"))
    assert (joined["user"]["name"], joined["online"], joined["again"]) == (party.named("ann"), 1, False)
    bob.join(party.room, party.named("bob"))
    for number in range(5):
        ann.do("send", party.room, f"a{number}")
        bob.wait_told(party.room, "message", 2 * number + 1)
        bob.do("send", party.room, f"b{number}")
        ann.wait_told(party.room, "message", 2 * number + 2)
    for page in (ann, bob):
        page.wait_for_texts(party.room, *(f"{who}{number}" for number in range(5) for who in "ab"))
        assert page.seqs(party.room) == list(range(1, 11))
    assert {*ann.states, *bob.states} == {"catching up", "online"}


def test_what_one_says_is_shown_at_once_and_told_once_with_its_handle(pages: Any, party: Party) -> None:
    ann, bob = pages(), pages()
    ann.join(party.room, party.named("ann"))
    bob.join(party.room, party.named("bob"))
    ann.do("send", party.room, "hello")
    message = ann.wait_told(party.room, "message")
    (handle,) = ann.told(party.room, "sending")
    assert (handle["state"], handle["text"]) == ("sending", "hello")
    assert re.fullmatch(r"[0-9a-f]{32}", handle["client_id"])
    about = next(line[3] for line in ann.lines if line[:2] == [party.room, "message"])
    assert about["handle"]["client_id"] == message["client_id"] == handle["client_id"]
    assert (about["handle"]["state"], about["past"]) == ("sent", False)
    told = bob.wait_told(party.room, "message")
    assert message == told
    assert next(line[3] for line in bob.lines if line[:2] == [party.room, "message"])["handle"] is None


def test_one_sees_what_was_made_of_what_one_said(pages: Any, party: Party) -> None:
    ann = pages()
    ann.join(party.room, party.named("ann"))
    ann.do("send", party.room, "\n\nhello \r")
    assert ann.wait_told(party.room, "message")["message"] == "hello"


def test_a_room_begins_with_its_latest_messages_and_earlier_ones_can_be_had(pages: Any, party: Party) -> None:
    (guest,) = party.guests("guest")
    for number in range(1, 13):
        guest.say(f"m{number}")
    guest.call("edit message", {"room": party.room, "seq": 12, "message": "m12, edited"})
    ann = pages()
    ann.join(party.room, party.named("ann"), history=5)
    wait_until(lambda: len(ann.texts(party.room)) == 5)
    assert ann.texts(party.room) == ["m8", "m9", "m10", "m11", "m12, edited"]
    assert all(line[3]["past"] for line in ann.lines if line[:2] == [party.room, "message"])
    assert ann.ask("room", party.room)["more"] is True
    page = ann.ask("history", party.room)
    assert [message["message"] for message in page["messages"]] == ["m3", "m4", "m5", "m6", "m7"]
    assert page["more"] is True
    assert ann.told(party.room, "history") == [page]
    assert ann.ask("history", party.room)["more"] is False
    room = ann.ask("room", party.room)
    assert [message["seq"] for message in room["messages"]] == list(range(1, 13))
    guest.say("m13")
    ann.wait_told(party.room, "message", 6)
    assert ann.ask("history", party.room)["messages"] == []


def test_a_room_remembers_the_latest_and_asks_for_what_is_before_what_was_told(
    pages: Any, party: Party
) -> None:
    (guest,) = party.guests("guest")
    for number in range(1, 9):
        guest.say(f"m{number}")
    ann = pages(known=3)
    ann.join(party.room, party.named("ann"), history=4)
    assert [message["seq"] for message in ann.ask("room", party.room)["messages"]] == [6, 7, 8]
    assert [message["seq"] for message in ann.ask("history", party.room)["messages"]] == [1, 2, 3, 4]
    assert [message["seq"] for message in ann.ask("room", party.room)["messages"]] == [6, 7, 8]
    guest.call("edit message", {"room": party.room, "seq": 2, "message": "m2, edited"})
    assert ann.wait_told(party.room, "changed")["message"] == "m2, edited"


def test_a_room_may_begin_with_nothing(pages: Any, party: Party) -> None:
    (guest,) = party.guests("guest")
    guest.say("before")
    ann = pages()
    ann.join(party.room, party.named("ann"), history=0)
    guest.say("after")
    ann.wait_for_texts(party.room, "after")
    page = ann.ask("history", party.room)
    assert [message["message"] for message in page["messages"]] == ["before"]


def test_changes_are_told_by_whoever_made_them(pages: Any, party: Party) -> None:
    ann, bob = pages(), pages()
    ann.join(party.room, party.named("ann"))
    bob.join(party.room, party.named("bob"))
    ann.do("send", party.room, "first")
    ann.do("send", party.room, "second")
    bob.wait_told(party.room, "message", 2)
    ann.do("edit", party.room, 1, "first, edited ")
    ann.do("react", party.room, 1, "👍")
    bob.wait_told(party.room, "changed", 2)
    bob.do("react", party.room, 1, "👍")
    ann.wait_told(party.room, "changed", 3)
    ann.do("react", party.room, 1, "👍", False)
    ann.do("remove", party.room, 2)
    for page in (ann, bob):
        page.wait_told(party.room, "changed", 5)
    assert ann.told(party.room, "changed") == bob.told(party.room, "changed")
    assert [message["change"]["kind"] for message in ann.told(party.room, "changed")] == [
        *("edit", "react", "react", "react", "delete")
    ]
    assert [message["change"]["seq"] for message in bob.told(party.room, "changed")] == [3, 4, 5, 6, 7]
    for page in (ann, bob):
        first, second = page.ask("room", party.room)["messages"]
        assert first["message"] == "first, edited"
        assert list(first["reactions"]) == ["👍"] and len(first["reactions"]["👍"]) == 1
        assert second["deleted"] and second["message"] == ""
    assert ann.told(party.room, "failed") == []


def test_a_change_that_is_refused_fails_with_its_code(pages: Any, party: Party) -> None:
    ann, bob = pages(), pages()
    ann.join(party.room, party.named("ann"))
    bob.join(party.room, party.named("bob"))
    ann.do("send", party.room, "mine")
    bob.wait_told(party.room, "message")
    bob.do("edit", party.room, 1, "yours")
    assert bob.wait_told(party.room, "failed")["error"]["code"] == "forbidden"
    bob.do("send", party.room, " \n ")
    assert bob.wait_told(party.room, "failed", 2)["error"]["code"] == "invalid_text"
    bob.do("send", party.room, "x" * 4001)
    assert "4000" in bob.wait_told(party.room, "failed", 3)["error"]["message"]
    bob.do("send", party.room, "🎉" * 4000)
    bob.wait_told(party.room, "message", 2)


def test_private_messages_have_a_room_of_their_own(pages: Any, party: Party) -> None:
    ann, bob, cid = pages(), pages(), pages()
    names = [party.named(name) for name in ("ann", "bob", "cid")]
    for page, name in zip((ann, bob, cid), names, strict=True):
        page.join(party.room, name)
    to_bob, to_ann = f"@{names[1]}", f"@{names[0]}"
    ann.join(to_bob)
    ann.do("send", to_bob, "psst")
    message = ann.wait_told(to_bob, "message")
    assert (message["type"], message["target"], message["room"]) == ("private", names[1], to_bob)
    wait_until(lambda: [line for line in bob.lines if line[:2] == ["chat", "message"]], "the whisper")
    assert next(line[2] for line in bob.lines if line[:2] == ["chat", "message"])["room"] == to_ann
    bob.join(to_ann)
    bob.wait_for_texts(to_ann, "psst")
    bob.do("send", to_ann, "what?")
    ann.wait_for_texts(to_bob, "psst", "what?")
    bob.do("typing", to_ann)
    assert ann.wait_told(to_bob, "typing")["username"] == names[1]
    bob.do("read", to_ann)
    assert ann.wait_told(to_bob, "read")["seq"] == 2
    assert ann.ask("room", to_bob)["their_read_seq"] == 2
    ann.do("reload")
    ann.join(to_bob)
    assert ann.ask("room", to_bob)["their_read_seq"] == 2
    bob.do("reload")
    bob.join(to_ann)
    bobs = bob.ask("room", to_ann)
    assert (bobs["read_seq"], bobs["their_read_seq"]) == (2, 0)
    rooms = {room["room"]: room for room in bob.ask("rooms")}
    assert rooms[to_ann]["last_seq"] == 2
    assert not any("psst" in str(line) for line in cid.lines)


def test_who_comes_types_reads_and_goes_is_told(pages: Any, party: Party) -> None:
    ann, bob = pages(), pages()
    bobs = party.named("bob")
    ann.join(party.room, party.named("ann"))
    bob.join(party.room, bobs)
    wait_until(lambda: ann.ask("room", party.room)["online"] == 2, "bob in the room")
    assert bobs in [member["username"] for member in ann.ask("room", party.room)["people"]]
    assert bobs in [member["username"] for member in ann.ask("members", party.room)["members"]]
    bob.do("typing", party.room)
    bob.do("typing", party.room)
    assert ann.wait_told(party.room, "typing")["typing"] is True
    bob.do("send", party.room, "hello")
    ann.wait_told(party.room, "message")
    assert [told["typing"] for told in ann.told(party.room, "typing")] == [True, False]
    bob.do("typing", party.room, False)
    assert ann.wait_told(party.room, "typing", 3)["typing"] is False
    ann.do("read", party.room)
    wait_until(lambda: ann.ask("room", party.room)["read_seq"] == 1, "the read mark")
    bob.do("leave", party.room)
    bob.do("send", party.room, "from outside")
    assert bob.wait_told(party.room, "failed")["error"]["code"] == "not_in_room"
    wait_until(lambda: ann.ask("room", party.room)["online"] == 1, "bob out of the room")
    assert [member["username"] for member in ann.ask("room", party.room)["people"]] == [party.named("ann")]
    assert any(bobs in notice["message"] for notice in ann.told(party.room, "notice"))


def test_a_guest_who_comes_back_is_the_same_and_forgotten_is_nobody(pages: Any, party: Party) -> None:
    ann = pages()
    user = ann.join(party.room, party.named("ann"))["user"]
    assert ann.ask("known") is True
    ann.do("reload")
    assert ann.join(party.room)["user"] == user
    kept = ann.ask("storage")
    (key,) = kept["local"]
    assert "token" in kept["local"][key] and key.endswith("/chat")
    ann.do("forget")
    ann.do("reload")
    assert ann.ask("known") is False
    ann.do("join", party.room)
    assert ann.wait_told(party.room, "refused")["code"] == "invalid_payload"
    ann.do("again", party.room, {"username": party.named("another")})
    wait_until(lambda: len(ann.told(party.room, "joined")) == 3, "the second user")
    assert ann.told(party.room, "joined")[-1]["user"]["id"] != user["id"]


def test_tabs_of_one_guest_are_one_user_and_both_see_what_either_says(pages: Any, party: Party) -> None:
    first = pages()
    user = first.join(party.room, party.named("ann"))["user"]
    second = pages(local=first.ask("storage")["local"])
    joined = second.join(party.room)
    assert (joined["user"], joined["online"]) == (user, 1)
    for number, page in enumerate((first, second, first), start=1):
        page.do("send", party.room, f"m{number}")
        for other in (first, second):
            other.wait_told(party.room, "message", number)
    assert first.texts(party.room) == second.texts(party.room) == ["m1", "m2", "m3"]


def test_a_tab_under_another_name_is_another_user_and_stays_it(pages: Any, party: Party) -> None:
    ann = pages()
    user = ann.join(party.room, party.named("ann"))["user"]
    local = ann.ask("storage")["local"]
    bob = pages(local=local)
    other = bob.join(party.room, party.named("bob"))["user"]
    assert other["id"] != user["id"]
    assert bob.ask("storage")["local"] == local
    bob.do("reload")
    assert bob.join(party.room)["user"] == other
    assert bob.ask("storage")["local"] == local


def test_a_name_that_is_taken_is_refused_and_another_one_is_let_in(pages: Any, party: Party) -> None:
    (guest,) = party.guests("ann")
    page = pages()
    page.do("join", party.room, {"username": guest.name})
    assert page.wait_told(party.room, "refused")["code"] == "name_taken"
    assert page.wait_for("online") == {}
    page.do("again", party.room, {"username": party.named("bob")})
    assert page.wait_told(party.room, "joined")["user"]["name"] == party.named("bob")


def test_names_that_are_no_names_are_refused_with_their_code(pages: Any, party: Party) -> None:
    page = pages()
    page.do("join", "no\nroom", {"username": party.named("ann")})
    assert page.wait_told("no\nroom", "refused")["code"] == "invalid_name"
    page.join(party.room)
    page.do("join", "@nobody-at-all")
    assert page.wait_told("@nobody-at-all", "refused")["code"] == "no_such_user"
    page.do("join", party.room.upper())
    assert page.ask("room", party.room)["name"] == party.room


def test_faults_of_the_page_stop_nothing(pages: Any, party: Party) -> None:
    ann = pages()
    ann.do("join", party.room, {"username": party.named("ann")})
    for event in ("message", "joined", "sending", "changed"):
        ann.do("fail", party.room, event)
    for text in ("one", "two"):
        ann.do("send", party.room, text)
    ann.do("edit", party.room, 1, "1")
    ann.wait_told(party.room, "changed")
    assert ann.texts(party.room) == ["one", "two"]
    assert any("a fault of the page" in line for line in ann.faults)


def test_as_a_script_in_a_window_it_finds_all_it_needs(pages: Any, party: Party) -> None:
    ann = pages(script=f"{party.url}/chat/assets/chatapp.js?v=1")
    user = ann.join(party.room, party.named("ann"))["user"]
    ann.do("send", party.room, "hello")
    ann.wait_for_texts(party.room, "hello")
    assert list(ann.ask("storage")["local"]) == [f"chatapp {party.url}/chat"]
    ann.do("reload")
    assert ann.join(party.room)["user"] == user


def test_without_storage_it_works_and_keeps_nothing(pages: Any, party: Party) -> None:
    ann = pages(storage=False)
    ann.join(party.room, party.named("ann"))
    ann.do("send", party.room, "hello")
    ann.wait_for_texts(party.room, "hello")
    assert ann.ask("storage") == {"local": {}, "session": {}}


def test_what_is_asked_without_a_connection_is_answered_so(pages: Any) -> None:
    page = pages("http://127.0.0.1:9")
    assert page.ask_in_vain("rooms")[0]["code"] == "offline"
    page.do("join", "lobby", {"username": "ann"})
    assert page.ask_in_vain("members", "lobby")[0]["code"] == "offline"
    detail = page.wait_for("offline")
    assert 0.2 < detail["seconds"] <= 0.5 and "does not answer" in detail["message"]


def test_the_configured_names_and_path_are_used(pages: Any, tmp_path: Path) -> None:
    settings = {
        "CHAT_EVENTS_JOINROOM": "enter",
        "CHAT_EVENTS_NEWMSG": "say",
        "CHAT_EVENTS_CHANGED": "it changed",
        "CHAT_MESSAGE_TYPES_GENERIC": "public",
        "APP_SOCKETIO_PATH": "/talk/sockets",
    }
    with running("serve", tmp_path, **settings) as server, Page(server.url) as ann, Page(server.url) as bob:
        ann.join("lobby", "ann")
        bob.join("lobby", "bob")
        ann.do("send", "lobby", "hello")
        ann.do("edit", "lobby", 1, "hello!")
        assert bob.wait_told("lobby", "message")["type"] == "public"
        assert ann.wait_told("lobby", "message")["type"] == "public"
        assert bob.wait_told("lobby", "changed")["message"] == "hello!"


def test_whom_the_site_does_not_know_is_refused_and_is_not_tried_again(tmp_path: Path) -> None:
    settings = {"AUTH_MODE": "flask", "AUTH_SITE_SECRET_KEY": SITE_SECRET_KEY}
    with running("serve", tmp_path, **settings) as server, Page(server.url) as page:
        page.do("join", "lobby")
        assert page.wait_for("refused")["code"] == "unauthorized"
        before = len(page.states)
        page.do("reconnect")
        wait_until(lambda: page.states[before:] == ["connecting", "refused"], "another refusal")


def test_who_is_too_fast_waits_as_long_as_the_server_says(tmp_path: Path) -> None:
    with (
        running("serve", tmp_path, LIMITS_MESSAGES="3/second") as server,
        Page(server.url) as ann,
        Page(server.url) as bob,
    ):
        ann.join("lobby", "ann")
        bob.join("lobby", "bob")
        texts = [f"m{number}" for number in range(8)]
        ann.do("burst", "lobby", texts)
        bob.wait_for_texts("lobby", *texts)
        ann.wait_for_texts("lobby", *texts)
        assert ann.told("lobby", "failed") == []


def test_what_waits_is_bounded(pages: Any, party: Party) -> None:
    ann = pages("http://127.0.0.1:9", queue=3)
    ann.do("join", party.room, {"username": party.named("ann")})
    ann.do("burst", party.room, ["1", "2", "3", "4"])
    failed = ann.wait_told(party.room, "failed")
    assert (failed["text"], failed["error"]["code"]) == ("4", "queue_full")
    assert [handle["state"] for handle in ann.ask("handles")] == ["sending"] * 3 + ["failed"]

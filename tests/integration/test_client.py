"""The command-line client and the server: what is promised holds from terminal to terminal."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatapp.client import news
from chatapp.client.dialogue import Dialogue
from chatapp.client.link import Target
from clients import wait_until
from party import Party
from servers import PATIENCE_SECONDS, ROOT, ServerProcess, running
from unit.client_person import TRANSPORTS, Person
from visitors import Visitor, running_site

People = Callable[..., Person]

_numbers = itertools.count(1)


@pytest.fixture
def people() -> Iterator[People]:
    """Connects people, and ends their connections."""
    connected: list[Person] = []

    def connect(url: str, **options: Any) -> Person:
        connected.append(Person(url, **options))
        return connected[-1].wait_for(news.Joined)

    yield connect
    for person in connected:
        person.connection.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that a test may kill, with small pages so that catching up takes several."""
    with running("serve", tmp_path, HISTORY_CATCH_UP="5", HISTORY_PAGE="4") as server:
        yield server


def texts(count: int, word: str = "m") -> list[str]:
    return [f"{word}{number}" for number in range(count)]


def said(person: Person) -> list[str]:
    """What was shown of messages, notices left out."""
    return [told.item.text for told in person.of(news.Arrived) if told.item.type != "notice"]


def wait_for_said(person: Person, wanted: list[str]) -> None:
    wait_until(lambda: len(said(person)) >= len(wanted), f"{wanted} in {person.told}")
    assert said(person) == wanted


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_two_people_see_one_order(people: People, party: Party, transport: str) -> None:
    where = {"room": party.room, "transport": transport}
    ann, bob = (people(party.url, name=party.named(name), **where) for name in ("ann", "bob"))
    for text in texts(8):
        ann.say(f"a{text}", party.room)
        bob.say(f"b{text}", party.room)
    for person in (ann, bob):
        wait_until(lambda person=person: len(said(person)) == 16, "all messages")
    assert said(ann) == said(bob)
    assert [text for text in said(bob) if text[0] == "a"] == [f"a{text}" for text in texts(8)]


def test_changes_of_others_are_shown_in_order(people: People, party: Party) -> None:
    bob = people(party.url, name=party.named("bob"), room=party.room)
    ann = party.guest("ann")
    seq = ann.say("helo")["seq"]
    assert ann.call("edit message", {"room": party.room, "seq": seq, "message": "hello"})["ok"]
    assert ann.call("react", {"room": party.room, "seq": seq, "emoji": "👍", "on": True})["ok"]
    assert ann.call("delete message", {"room": party.room, "seq": seq})["ok"]
    wait_for_said(bob, ["helo", "hello", "hello", ""])
    changes = [told.item.change for told in bob.of(news.Arrived) if told.item.change]
    assert [change.kind for change in changes] == ["edit", "react", "delete"]
    assert bob.of(news.Arrived)[-2].item.reactions == {"👍": 1}


def test_a_private_message_waits_for_who_is_away(people: People, party: Party) -> None:
    bob_name = party.named("bob")
    bob = people(party.url, name=bob_name, room=party.room, follow=True)
    ann = party.guest("ann")
    ann.call("new pm", {"to": bob_name, "message": "while you are here"})
    wait_for_said(bob, ["while you are here"])
    ann_room = f"@{ann.name}"
    wait_until(lambda: bob.session.log(ann_room).read_seq == 1, "the read mark")
    token = bob.session.token
    bob.connection.close()
    ann.call("new pm", {"to": bob_name, "message": "while you are away"})
    back = people(party.url, name=bob_name, room=party.room, follow=True, token=token)
    wait_for_said(back, ["while you are away"])
    back.say("here I am", ann_room)
    wait_until(lambda: ann.texts() == ["here I am"], "the answer")


def test_questions_are_answered(people: People, party: Party) -> None:
    bob = people(party.url, name=party.named("bob"), room=party.room)
    ann = party.guest("ann")
    ann.say("hello")
    wait_for_said(bob, ["hello"])
    bob.connection.post(lambda dialogue: dialogue.ask_members(party.room))
    bob.wait_for(news.Members)
    assert set(bob.of(news.Members)[0].names) == {ann.name, party.named("bob")}
    bob.connection.post(Dialogue.ask_rooms)
    bob.wait_for(news.Rooms)
    assert bob.of(news.Rooms) == [news.Rooms((news.RoomSummary(party.room, unread=1, joined=True),))]
    bob.connection.post(lambda dialogue: dialogue.ask_history(party.room, 5))
    wait_for_said(bob, ["hello", "hello"])
    bob.connection.post(lambda dialogue: dialogue.leave(party.room))
    bob.wait_for(news.Left)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_killed_server_loses_and_doubles_nothing(
    people: People, own_server: ServerProcess, transport: str
) -> None:
    ann = people(own_server.url, name="ann", transport=transport)
    bob = people(own_server.url, name="bob", transport=transport)
    for text in texts(3, "before"):
        ann.say(text)
    wait_for_said(bob, texts(3, "before"))
    for text in texts(12, "during"):
        ann.say(text)
    own_server.kill()
    bob.wait_for(news.Offline)
    ann.say("after")
    own_server.restart()
    everything = [*texts(3, "before"), *texts(12, "during"), "after"]
    for person in (ann, bob):
        wait_for_said(person, everything)
        assert person.of(news.Gap) == []
    seqs = [told.item.seq for told in bob.of(news.Arrived) if told.item.seq is not None]
    assert seqs == list(range(1, 17))


def test_what_was_missed_in_many_pages_is_shown_whole(people: People, own_server: ServerProcess) -> None:
    bob = people(own_server.url, name="bob", first_retry_seconds=3.0, dice=lambda: 1.0)
    own_server.kill()
    bob.wait_for(news.Offline)
    own_server.restart()
    ann = people(own_server.url, name="ann")
    for text in texts(30):
        ann.say(text)
    wait_for_said(ann, texts(30))
    wait_for_said(bob, texts(30))


def test_a_server_that_stores_nothing_begins_anew_after_a_restart(people: People, tmp_path: Path) -> None:
    with running("serve", tmp_path, STORAGE_URL="none") as server:
        bob = people(server.url, name="bob")
        for text in texts(3):
            bob.say(text)
        wait_for_said(bob, texts(3))
        server.kill()
        bob.wait_for(news.Offline)
        server.restart()
        bob.wait_for(news.Joined, 2)
        bob.say("anew")
        wait_for_said(bob, [*texts(3), "anew"])
        assert bob.of(news.Gap) == [news.Gap("lobby")]


def test_a_users_cookie_of_the_sites_login_is_enough(people: People, tmp_path: Path) -> None:
    with running_site(tmp_path) as site, Visitor(site.url) as visitor:
        visitor.sign_up("ann@example.org", "ann")
        cookies = tuple((cookie.name, str(cookie.value)) for cookie in visitor.http.cookies)
        for transports in TRANSPORTS.values():
            target = Target(site.url, transports=transports, cookies=cookies, user_agent="Browser/1.0")
            ann = people(site.url, name=None, target=target)
            assert ann.of(news.Joined)[0].username == "ann"
        stranger = Person(site.url, name="eve")
        stranger.wait_for(news.Closed)
        assert "does not let you in" in stranger.of(news.Closed)[0].reason
        stranger.connection.close()


def run(url: str, state: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``chatapp client`` as a script does."""
    return subprocess.run(
        [sys.executable, "-m", "chatapp", "client", "--url", url, *arguments],
        input=stdin,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS * 2,
        check=False,
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_script_sends_and_says_nothing(party: Party, tmp_path: Path, transport: str) -> None:
    who = ["--room", party.room, "--name", party.named("bob"), "--transport", transport]
    ann = party.guest("ann")
    sent = run(party.url, tmp_path, *who, "--send", "one", "--send", f"@{ann.name} two")
    assert (sent.returncode, sent.stdout, sent.stderr) == (0, "", "")
    piped = run(party.url, tmp_path, *who, stdin="three\nfour\n")
    assert (piped.returncode, piped.stdout, piped.stderr) == (0, "", "")
    ann.wait_for_texts(["one", "two", "three", "four"])


def test_more_lines_than_the_rate_allows_are_all_sent_in_order(party: Party, tmp_path: Path) -> None:
    ann = party.guest("ann")
    who = ["--room", party.room, "--name", party.named("bob")]
    sent = run(party.url, tmp_path, *who, stdin="".join(f"{text}\n" for text in texts(45)))
    assert (sent.returncode, sent.stderr) == (0, "")
    ann.wait_for_texts(texts(45))


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--send", "@nobody-at-all hi"], "Nobody is called"),
        (["--send", "x" * 5000], "at most 4000 characters"),
        (["--send", "x" * 100_000], "The connection was lost each time"),
        (["--send", "hi", "--path", "/elsewhere"], "HTTP 404"),
    ],
)
def test_what_the_server_does_not_take_is_status_1_and_a_sentence(
    party: Party, tmp_path: Path, arguments: list[str], part: str
) -> None:
    who = ["--room", party.room, "--name", party.named("bob")]
    sent = run(party.url, tmp_path, *who, *arguments)
    assert sent.returncode == 1
    assert part in sent.stderr
    assert "Traceback" not in sent.stderr


def test_a_taken_name_is_refused_and_ones_own_is_not(party: Party, tmp_path: Path) -> None:
    ann = party.guest("ann")
    taken = run(party.url, tmp_path, "--room", party.room, "--name", ann.name, "--send", "hi")
    assert taken.returncode == 1
    assert "is taken" in taken.stderr
    for _ in range(2):
        own = run(party.url, tmp_path, "--room", party.room, "--name", party.named("bob"), "--send", "hi")
        assert (own.returncode, own.stderr) == (0, "")
    assert len({message["user_id"] for message in ann.messages()}) == 1

"""Event names and message types are what the settings say, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients import Chatter, wait_until
from party import check_refusal
from servers import running

#: Each event of the contract by its key in the settings; here it is called like that key.
EVENTS = {
    "JOINROOM": "join room",
    "LEAVEROOM": "leave room",
    "NEWMSG": "new message",
    "PRIVATEMSG": "new pm",
    "PRESENCE": "presence",
    "MEMBERS": "members",
    "TYPING": "typing",
    "HISTORY": "history",
    "READ": "read",
    "ROOMS": "rooms",
    "EDITMSG": "edit message",
    "DELETEMSG": "delete message",
    "REACT": "react",
    "CHANGED": "message changed",
    "NOTICE": "server notice",
}
TYPES = {"GENERIC": "said", "PRIVATE": "whispered", "NOTICE": "announced"}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    names = {f"CHAT_EVENTS_{key}": key for key in EVENTS}
    types = {f"CHAT_MESSAGE_TYPES_{key}": name for key, name in TYPES.items()}
    with running("serve", tmp_path, **names, **types) as server:
        yield server.url


def listen(chatter: Chatter) -> list[tuple[str, Any]]:
    """Return the list in which all that comes under the names of the settings is going to be."""
    heard: list[tuple[str, Any]] = []
    for key in EVENTS:
        chatter.sio.on(key, lambda payload, key=key: heard.append((key, payload)))
    return heard


def test_every_event_and_type_is_called_as_configured(url: str) -> None:
    with Chatter(url) as ann, Chatter(url) as bob:
        heard = listen(bob)
        for chatter, name in ((bob, "bob"), (ann, "ann")):
            assert chatter.call("JOINROOM", {"roomname": "lobby", "username": name})["ok"]
        wait_until(lambda: any(key == "PRESENCE" and len(push["joined"]) for key, push in heard))
        there = {"room": "lobby", "seq": 1}
        for key, payload in {
            "NEWMSG": "hello",
            "PRIVATEMSG": "@bob hello",
            "TYPING": {"room": "lobby", "typing": True},
            "EDITMSG": there | {"message": "better"},
            "REACT": there | {"emoji": "👍", "on": True},
            "DELETEMSG": there,
            "READ": {"room": "@bob", "seq": 1},
            "MEMBERS": {"room": "lobby"},
            "HISTORY": {"room": "lobby"},
            "ROOMS": None,
            "LEAVEROOM": {"roomname": "lobby"},
        }.items():
            assert ann.call(key, payload)["ok"], key
        wait_until(lambda: any(key == "PRESENCE" and push["left"] for key, push in heard), "the leave")
        assert {key for key, _ in heard} == {"NEWMSG", "PRESENCE", "TYPING", "CHANGED", "READ"}
        assert {push["type"] for key, push in heard if key == "NEWMSG"} == set(TYPES.values())
        assert bob.received == [], "under the names by default"


def test_names_that_are_not_configured_are_no_events(url: str) -> None:
    with Chatter(url) as ann:
        for name in set(EVENTS.values()) | {"PRESENCE", "CHANGED", "NOTICE"}:
            check_refusal(ann.call(name, {"roomname": "lobby"}), "invalid_payload", "There is no event")

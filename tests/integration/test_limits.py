"""The bounds of `[limits]`, each reached."""

from __future__ import annotations

from typing import Any

import pytest

from clients import Chatter
from party import Party, check_refusal, settle


def test_a_connection_is_in_so_many_rooms_and_another_one_in_others(strict_party: Party) -> None:
    ann, third = strict_party.guest("ann"), strict_party.named("third")
    ann.join(strict_party.named("second"))
    check_refusal(ann.call("join room", {"roomname": third}), "limit_reached", "At most 2 rooms")
    assert ann.join(strict_party.room)["ok"]
    assert strict_party.tab(ann, room=third).joined["ok"]
    ann.call("leave room", {"roomname": strict_party.room})
    assert ann.join(third)["ok"]


def test_names_have_a_greatest_length(strict_party: Party) -> None:
    stranger = strict_party.stranger()
    for roomname, username in [("x" * 13, "x"), ("x", "x" * 11)]:
        request = {"roomname": roomname, "username": username}
        check_refusal(stranger.call("join room", request), "invalid_name", "characters")


def exhaust(chatter: Chatter, event: str, payload: Any) -> Any:
    """Do something once more than is allowed, and return the error."""
    answers = [chatter.call(event, payload) for _ in range(11)]
    assert answers[0]["ok"]
    return check_refusal(answers[-1], "rate_limited", "10 per 1 minute")


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("join room", {}),
        ("new message", {"message": "hi"}),
        ("new pm", {"message": "hi"}),
        ("react", {"seq": 1, "emoji": "👍", "on": True}),
        ("members", {}),
        ("history", {}),
        ("rooms", {}),
        ("typing", {"typing": True}),
        ("read", {"seq": 1}),
    ],
)
def test_too_much_of_one_thing_is_refused_with_the_time_to_wait(
    strict_party: Party, event: str, fields: dict[str, Any]
) -> None:
    ann, bob = strict_party.guests("ann", "bob")
    tab = strict_party.tab(ann)
    bob.say("hello")
    payload = {"roomname": ann.room, "room": ann.room, "to": bob.name, **fields}
    error = exhaust(ann, event, payload)
    assert 0 < error["retry_after"] <= 60
    check_refusal(tab.call(event, payload), "rate_limited")
    assert bob.say("others are not meant")["ok"]


def test_what_is_refused_for_its_rate_is_not_stored(strict_party: Party) -> None:
    ann, bob = strict_party.guests("ann", "bob")
    for number in range(12):
        ann.emit("new message", str(number))
    settle(ann, bob)
    texts = [str(number) for number in range(10)]
    assert bob.texts() == texts
    refusals = [refusal["code"] for refusal in ann.events("new message") if "error" in refusal]
    assert refusals == ["rate_limited"] * 2
    assert ann.history(after=0, limit=3)["messages"][0]["message"] == "0"
    assert bob.say("next")["seq"] == 11


# Members


def test_members_come_in_pages_by_name(strict_party: Party) -> None:
    guests = strict_party.guests("dan", "Cid", "bob", "Ann")
    by_name = sorted((guest.member for guest in guests), key=lambda member: member["username"].casefold())
    room = {"room": strict_party.room}
    first = guests[0].call("members", room)
    assert first == {"ok": True, **room, "members": by_name[:2], "online": 4, "more": True}
    second = guests[0].call("members", room | {"after": by_name[1]["username"]})
    assert second == {"ok": True, **room, "members": by_name[2:], "online": 4, "more": False}
    alone = guests[0].call("members", room | {"after": by_name[0]["username"], "limit": 1})
    assert (alone["members"], alone["more"]) == ([by_name[1]], True)
    check_refusal(guests[0].call("members", room | {"limit": 3}), "invalid_payload", "limit: at most 2")


def test_a_join_lists_only_so_many_members_and_counts_all(strict_party: Party) -> None:
    last = strict_party.guests("ann", "bob", "cid")[-1]
    assert len(last.joined["members"]) == 2
    assert last.joined["online"] == 3

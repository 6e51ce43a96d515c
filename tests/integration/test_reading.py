"""Reading: pages of history, read marks, one's rooms, and who types."""

from __future__ import annotations

from typing import Any

import pytest

from party import Guest, Party, check_refusal, settle


def texts(answer: Any) -> list[str]:
    return [message["message"] for message in answer["messages"]]


def talk(guest: Guest, count: int) -> None:
    for number in range(1, count + 1):
        guest.say(str(number))


# History


def test_a_page_of_history_has_these_fields_and_no_others(party: Party) -> None:
    ann = party.guest("ann")
    room = {"room": party.room}
    empty = {"ok": True, **room, "messages": [], "more": False}
    assert ann.history() == empty
    assert ann.history(after=0) == empty | {"after": 0}
    talk(ann, 2)
    page = ann.history()
    assert set(page) == {"ok", "room", "messages", "more"}
    assert [message["seq"] for message in page["messages"]] == [1, 2]
    assert ann.history(after=0) == page | {"after": 2}


def test_history_comes_backwards_in_pages_each_ascending(strict_party: Party) -> None:
    ann = strict_party.guest("ann")
    talk(ann, 6)
    pages, before = [], None
    while True:
        page = ann.history(limit=3) if before is None else ann.history(before=before)
        pages.append((texts(page), page["more"]))
        if not page["more"]:
            break
        before = page["messages"][0]["seq"]
    assert pages == [(["4", "5", "6"], True), (["2", "3"], True), (["1"], False)]


def test_history_goes_forwards_from_where_one_was(strict_party: Party) -> None:
    ann = strict_party.guest("ann")
    talk(ann, 6)
    page = ann.history(after=1, limit=3)
    assert (texts(page), page["more"], page["after"]) == (["2", "3", "4"], True, 4)
    page = ann.history(after=page["after"])
    assert (texts(page), page["more"], page["after"]) == (["5", "6"], False, 6)
    page = ann.history(after=1, before=4, limit=3)
    assert (texts(page), page["more"]) == (["2", "3"], False)


def test_bounds_are_exclusive_and_may_lie_outside(party: Party) -> None:
    ann = party.guest("ann")
    talk(ann, 3)
    assert texts(ann.history(before=2)) == ["1"]
    assert texts(ann.history(after=2)) == ["3"]
    assert texts(ann.history(before=0)) == texts(ann.history(before=1)) == []
    assert texts(ann.history(before=2**63 - 1)) == ["1", "2", "3"]
    assert texts(ann.history(after=3)) == texts(ann.history(after=2**63 - 1)) == []


def test_a_page_has_a_greatest_size(strict_party: Party) -> None:
    ann = strict_party.guest("ann")
    room = {"room": strict_party.room}
    check_refusal(ann.call("history", room | {"limit": 4}), "invalid_payload", "limit: at most 3")
    check_refusal(ann.call("history", room | {"limit": 0}), "invalid_payload", "limit: ")


def test_history_shows_messages_as_they_are_now_and_changes_only_forwards(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    talk(ann, 2)
    ann.call("edit message", {"room": party.room, "seq": 1, "message": "first"})
    assert [(item["seq"], item["message"]) for item in bob.history()["messages"]] == [(1, "first"), (2, "2")]
    replayed = bob.history(after=1)["messages"]
    assert [(item["message"], "change" in item) for item in replayed] == [("2", False), ("first", True)]
    assert texts(bob.history(limit=1)) == ["2"]


def test_history_is_for_those_in_the_room(party: Party) -> None:
    ann = party.guest("ann", room=party.named("another"))
    ann.say("hello")
    bob = party.guest("bob")
    for room in (ann.room, party.named("no such")):
        check_refusal(bob.call("history", {"room": room}), "not_in_room")


# Read marks


def test_a_read_mark_moves_forward_only_and_not_beyond_the_end(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    talk(ann, 3)

    def read(seq: int) -> Any:
        return bob.call("read", {"room": party.room.upper(), "seq": seq})

    assert read(2) == {"ok": True, "room": party.room, "read_seq": 2}
    assert [read(seq)["read_seq"] for seq in (1, 0, 3, 2**63 - 1)] == [2, 2, 3, 3]
    assert party.tab(bob).joined["read_seq"] == 3


def test_a_read_mark_is_seen_by_ones_other_tabs_and_by_nobody_else(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    tab = party.tab(bob, room=party.named("another"))
    ann.say("hello")
    bob.emit("read", {"room": party.room, "seq": 1})
    settle(ann, bob, tab)
    assert tab.events("read") == [{"room": party.room, "seq": 1, "user_id": bob.user_id}]
    assert ann.events("read") == bob.events("read") == []


def test_reading_is_for_those_in_the_room(party: Party) -> None:
    ann, bob = party.guest("ann"), party.guest("bob", room=party.named("another"))
    ann.say("hello")
    check_refusal(bob.call("read", {"room": party.room, "seq": 1}), "not_in_room")


# One's rooms


def test_ones_rooms_come_with_what_is_unread_the_latest_last(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    another = bob.join(party.named("another"))
    talk(ann, 3)
    bob.say("mine", room=party.room)
    private = ann.tell(bob, "hello")
    bob.call("read", {"room": party.room, "seq": 1})
    assert bob.call("rooms") == {
        "ok": True,
        "rooms": [
            {"room": another["room"], "epoch": another["epoch"], "last_seq": 0, "read_seq": 0, "unread": 0},
            {
                "room": party.room,
                "epoch": bob.joined["epoch"],
                "last_seq": 4,
                "read_seq": 1,
                "unread": 2,
            },
            {
                "room": f"@{ann.name}",
                "epoch": private["epoch"],
                "last_seq": 1,
                "read_seq": 0,
                "unread": 1,
            },
        ],
    }


def test_what_was_said_before_one_came_is_not_unread(party: Party) -> None:
    ann = party.guest("ann")
    talk(ann, 2)
    bob = party.guest("bob")
    assert (bob.standing()["read_seq"], bob.standing()["unread"]) == (2, 0)


def test_neither_changes_nor_ones_own_messages_are_unread(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("hello")
    ann.call("edit message", {"room": party.room, "seq": 1, "message": "better"})
    bob.say("hello")
    assert bob.standing()["unread"] == 1
    bob.call("read", {"room": party.room, "seq": 1})
    assert bob.standing()["unread"] == 0


def test_a_stranger_has_no_rooms(party: Party) -> None:
    check_refusal(party.stranger().call("rooms"), "not_in_room")


# Typing


@pytest.mark.parametrize("typing", [True, False])
def test_the_others_hear_who_types_and_nothing_is_stored(party: Party, typing: bool) -> None:
    ann, bob, cid = party.gathered("ann", "bob", "cid")
    elsewhere = party.guest("dan", room=party.named("another"))
    answer = ann.call("typing", {"room": party.room, "typing": typing})
    assert answer == {"ok": True, "room": party.room}
    settle(ann, bob, cid, elsewhere)
    push = ("typing", {"room": party.room, "typing": typing, **ann.member})
    assert bob.received == cid.received == [push]
    assert ann.received == [] and elsewhere.events("typing") == []
    assert bob.history(after=0)["messages"] == []
    assert bob.standing()["last_seq"] == 0


def test_typing_is_for_those_in_the_room(party: Party) -> None:
    ann, bob = party.guest("ann"), party.guest("bob", room=party.named("another"))
    payload = {"room": party.room, "typing": True}
    check_refusal(bob.call("typing", payload), "not_in_room")
    check_refusal(party.stranger().call("typing", payload), "not_in_room")
    settle(ann)
    assert ann.events("typing") == []

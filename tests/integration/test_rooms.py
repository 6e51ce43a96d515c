"""Joining and leaving rooms, and what was missed in between."""

from __future__ import annotations

from typing import Any

import pytest

from clients import wait_until
from party import Guest, Party, check_refusal, heard, settle


def test_a_join_is_acknowledged_with_all_there_is_to_know(party: Party) -> None:
    ann = party.guest("ann")
    ann.say("hello")
    bob = party.guest("bob")
    joined = dict(bob.joined)
    assert isinstance(joined.pop("token"), str)
    assert len(joined.pop("epoch")) == 16
    assert joined == {
        "ok": True,
        "room": party.room,
        "user": {"id": bob.user_id, "name": party.named("bob")},
        "members": [ann.member, bob.member],
        "online": 2,
        "last_seq": 1,
        "read_seq": 1,
    }


def test_a_room_has_one_epoch(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    another = party.guest("cid", room=party.named("another"))
    assert ann.joined["epoch"] == bob.joined["epoch"] != another.joined["epoch"]


def test_a_join_works_without_an_acknowledgement(party: Party) -> None:
    ann, stranger = party.guest("ann"), party.stranger()
    stranger.emit("join room", {"roomname": party.room, "username": party.named("bob")})
    wait_until(lambda: party.named("bob") in heard(ann, "joined"), "the join")
    ann.say("hello")
    stranger.wait_for_texts(["hello"])


def test_room_names_that_differ_in_case_only_are_one_rooms(party: Party) -> None:
    ann = party.guest("ann", room=party.named("Café"))
    bob = party.guest("bob", room=party.named("CAFÉ"))
    assert bob.joined["room"] == party.named("Café")
    assert ann.say("hello", room=party.named("café"))["room"] == party.named("Café")
    bob.wait_for_texts(["hello"])


@pytest.mark.parametrize("roomname", ["", "  ", "\u200b", "a\nb", "a\x00b", "\ud800", "x" * 65, "\uff20bob"])
def test_a_join_of_no_possible_room_is_refused_and_claims_no_name(party: Party, roomname: str) -> None:
    request = {"roomname": roomname, "username": party.named("ann")}
    check_refusal(party.stranger().call("join room", request), "invalid_name", "room name")
    assert party.guest("ann").joined["members"] != []


def test_a_message_goes_to_the_room_joined_last(party: Party) -> None:
    first, second = party.named("first"), party.named("second")
    ann = party.guest("ann", room=first)
    assert ann.call("new message", "1")["room"] == first
    ann.join(second)
    assert ann.call("new message", "2")["room"] == second
    ann.join(first)
    assert ann.call("new message", "3")["room"] == first
    ann.call("leave room", {"roomname": first})
    assert ann.call("new message", "4")["room"] == second
    ann.call("leave room", {"roomname": second})
    check_refusal(ann.call("new message", "5"), "not_in_room")


def test_leaving_is_acknowledged_and_ends_what_one_may_do_there(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    assert bob.call("leave room", {"roomname": bob.room.upper()}) == {"ok": True, "room": party.room}
    ann.say("hello")
    settle(bob)
    assert bob.texts() == []
    room = {"room": party.room}
    for event, payload in [
        ("leave room", {"roomname": party.room}),
        ("new message", room | {"message": "hi"}),
        ("members", room),
        ("typing", room | {"typing": True}),
        ("history", room),
        ("read", room | {"seq": 1}),
        ("edit message", room | {"seq": 1, "message": "hi"}),
        ("delete message", room | {"seq": 1}),
        ("react", room | {"seq": 1, "emoji": "👍", "on": True}),
    ]:
        check_refusal(bob.call(event, payload), "not_in_room")
    settle(ann)
    assert ann.texts() == [] and ann.events("message changed") == [] and ann.events("typing") == []
    assert ann.history()["messages"][-1]["seq"] == 1


def test_leaving_a_room_with_one_tab_leaves_the_other_one_in_it(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    tab = party.tab(bob)
    bob.call("leave room", {"roomname": party.room})
    ann.say("hello")
    tab.wait_for_texts(["hello"])
    settle(bob)
    assert bob.texts() == []
    assert bob.standing() is not None


def test_whoever_leaves_is_no_member_and_whoever_is_away_is_one(party: Party) -> None:
    ann, bob, cid = party.guests("ann", "bob", "cid")
    bob.call("leave room", {"roomname": party.room})
    cid.close()
    ann.say("hello")
    assert bob.standing() is None
    elsewhere = party.tab(cid, room=party.named("another"))
    assert elsewhere.standing(party.room)["unread"] == 1


def test_joining_twice_is_joining_once(party: Party) -> None:
    ann, bob = party.gathered("ann", "bob")
    assert ann.join(party.room)["members"] == [ann.member, bob.member]
    cid = party.guest("cid")
    wait_until(lambda: cid.name in heard(bob, "joined"), "the next join")
    assert heard(bob, "joined") == [cid.name]
    bob.say("hello")
    settle(ann)
    assert ann.texts() == ["hello"]


# What was missed


def since(guest: Guest, seq: int, epoch: str | None = None) -> dict[str, Any]:
    return {"epoch": epoch or guest.joined["epoch"], "seq": seq}


def again(party: Party, guest: Guest, seq: int, epoch: str | None = None) -> Any:
    """Return the acknowledgement of a join that says where it stopped."""
    return party.stranger().join(guest.room, token=guest.token, since=since(guest, seq, epoch))


def test_whoever_says_where_they_stopped_gets_exactly_what_followed(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    for text in ("one", "two", "three"):
        ann.say(text)
    ann.call("edit message", {"room": ann.room, "seq": 1, "message": "first"})
    answer = again(party, bob, seq=1)
    assert [item["message"] for item in answer["messages"]] == ["two", "three", "first"]
    assert [item["seq"] for item in answer["messages"]] == [2, 3, 1]
    assert answer["messages"][-1]["change"]["seq"] == answer["last_seq"] == 4
    assert answer["more"] is False and "gap" not in answer
    assert again(party, bob, seq=4)["messages"] == []


def test_what_was_missed_is_what_the_others_got_live(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("one", client_id="c1")
    ann.call("react", {"room": ann.room, "seq": 1, "emoji": "👍", "on": True})
    ann.say("two")
    wait_until(lambda: len(bob.messages()) == 2 and bob.events("message changed"))
    assert again(party, ann, seq=1)["messages"] == [*bob.events("message changed"), bob.messages()[1]]


@pytest.mark.parametrize(("seq", "epoch"), [(1, "another"), (4, None), (2**63 - 1, None)])
def test_a_place_that_the_log_does_not_know_is_a_gap(party: Party, seq: int, epoch: str | None) -> None:
    ann = party.guest("ann")
    for text in ("one", "two", "three"):
        ann.say(text)
    answer = again(party, ann, seq, epoch)
    assert answer["gap"] is True
    assert [message["message"] for message in answer["messages"]] == ["one", "two", "three"]


def test_a_catch_up_that_is_cut_says_so_and_goes_on_in_the_history(strict_party: Party) -> None:
    ann = strict_party.guest("ann")
    for number in range(1, 8):
        ann.say(str(number))
    answer = again(strict_party, ann, seq=0)
    assert [message["message"] for message in answer["messages"]] == ["1", "2", "3", "4", "5"]
    assert answer["more"] is True and "gap" not in answer
    rest = ann.history(after=answer["after"])
    assert [message["message"] for message in rest["messages"]] == ["6", "7"]

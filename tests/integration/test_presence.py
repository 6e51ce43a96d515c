"""Who is here: what a room hears of those who come and go."""

from __future__ import annotations

import re
from typing import Any

from clients import Chatter, wait_until
from party import Guest, Party, heard, settle


def pushed(guest: Guest) -> list[Any]:
    """Return the presence pushes so far, at least one."""
    wait_until(lambda: guest.events("presence"), "an announcement")
    return guest.events("presence")


def test_a_join_is_announced_as_a_notice_and_as_presence(party: Party) -> None:
    (ann,) = party.gathered("ann")
    bob = party.guest("bob")
    assert pushed(ann) == [{"room": party.room, "joined": [bob.member], "left": [], "online": 2}]
    (notice,) = ann.events("new message")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", notice.pop("sent_at"))
    assert notice == {
        "room": party.room,
        "type": "notice",
        "username": "system",
        "user_id": None,
        "message": f"{bob.name} joined",
        "notice": {"code": "joined", "usernames": [bob.name], "others": 0},
    }
    assert ann.history(after=0)["messages"] == []


def test_a_leave_is_announced_likewise(party: Party) -> None:
    ann, bob = party.gathered("ann", "bob")
    bob.call("leave room", {"roomname": party.room})
    assert pushed(ann) == [{"room": party.room, "joined": [], "left": [bob.member], "online": 1}]
    assert ann.notices() == [f"{bob.name} left"]
    settle(bob)
    assert bob.received == []


def test_other_rooms_hear_nothing(party: Party) -> None:
    (ann,) = party.gathered("ann")
    elsewhere = party.named("another")
    bob = party.guest("bob", room=elsewhere)
    wait_until(lambda: bob.events("presence"), "the announcement there")
    bob.call("leave room", {"roomname": elsewhere})
    cid = party.guest("cid")
    pushed(ann)
    assert (heard(ann, "joined"), heard(ann, "left")) == ([cid.name], [])


def test_a_user_with_several_tabs_joins_once_and_leaves_once(party: Party) -> None:
    ann, bob, cid = party.gathered("ann", "bob", "cid")
    second, third = party.tab(bob), party.tab(bob)
    bob.close()
    second.call("leave room", {"roomname": party.room})
    cid.close()
    wait_until(lambda: cid.name in heard(ann, "left"), "a leave after all that")
    assert (heard(ann, "joined"), heard(ann, "left")) == ([], [cid.name])
    third.call("leave room", {"roomname": party.room})
    wait_until(lambda: bob.name in heard(ann, "left"), "the leave")
    assert ann.events("presence")[-1] == {"room": party.room, "joined": [], "left": [bob.member], "online": 1}
    assert ann.notices() == [f"{cid.name} left", f"{bob.name} left"]


def test_a_lost_connection_leaves_only_after_the_grace(strict_party: Party) -> None:
    """The grace is 10 seconds there, so that what takes a moment happens within."""
    ann, bob = strict_party.gathered("ann", "bob")
    bob.close()
    cid = strict_party.guest("cid")
    wait_until(lambda: cid.name in heard(ann, "joined"), "the marker")
    cid.call("leave room", {"roomname": strict_party.room})
    wait_until(lambda: cid.name in heard(ann, "left"), "another marker")
    assert heard(ann, "left") == [cid.name]
    assert bob.member in ann.call("members", {"room": strict_party.room})["members"]
    back = strict_party.tab(bob)
    assert back.joined["online"] == 2
    dan = strict_party.guest("dan")
    wait_until(lambda: dan.name in heard(ann, "joined"), "the last marker")
    assert (heard(ann, "joined"), heard(ann, "left")) == ([cid.name, dan.name], [cid.name])


def test_a_crowd_is_announced_in_a_few_pushes(party: Party) -> None:
    (ann,) = party.gathered("ann")
    crowd = [party.stranger() for _ in range(20)]
    names = [party.named(f"guest-{number}") for number in range(20)]
    for stranger, name in zip(crowd, names, strict=True):
        stranger.join(party.room, name)
    wait_until(lambda: len(heard(ann, "joined")) == 20, "all of them")
    assert sorted(heard(ann, "joined")) == sorted(names)
    assert len(ann.events("presence")) <= 15
    assert len(ann.notices()) == len(ann.events("presence"))
    assert ann.events("presence")[-1]["online"] == 21
    for notice, push in zip(ann.notices(), ann.events("presence"), strict=True):
        assert len(re.findall("guest-", notice)) == min(3, len(push["joined"]))


def test_a_large_room_hears_counts_only(strict_party: Party) -> None:
    ann, bob, cid = strict_party.gathered("ann", "bob", "cid")
    room = strict_party.room
    dan = strict_party.guest("dan")
    assert pushed(ann) == [{"room": room, "joined": [], "left": [], "online": 4}]
    assert ann.notices() == []
    dan.call("leave room", {"roomname": room})
    wait_until(lambda: len(ann.events("presence")) == 2, "the leave")
    assert ann.events("presence")[1] == {"room": room, "joined": [], "left": [dan.member], "online": 3}
    settle(bob, cid)
    assert bob.received == cid.received == ann.received


def test_a_list_of_members_is_put_right_for_one_who_was_gone_before_it_was_announced(party: Party) -> None:
    party.gathered("ann")
    bob, cid = party.stranger(), party.stranger()
    bob.join(party.room, party.named("bob"))
    joined = cid.join(party.room, party.named("cid"))
    bob.call("leave room", {"roomname": party.room})
    check_list(party, cid, joined["members"])
    assert len(cid.call("members", {"room": party.room})["members"]) == 2


def test_a_list_of_members_is_put_right_for_one_who_was_back_before_it_was_announced(party: Party) -> None:
    bob, cid = party.gathered("ann", "bob")[1], party.stranger()
    bob.call("leave room", {"roomname": party.room})
    joined = cid.join(party.room, party.named("cid"))
    bob.join(party.room)
    check_list(party, cid, joined["members"])
    assert len(cid.call("members", {"room": party.room})["members"]) == 3


def check_list(party: Party, observer: Chatter, members: list[dict[str, str]]) -> None:
    """Check that the members of a join's acknowledgement, after all that was heard since, are those that
    are here now."""
    marker = party.guest("marker")
    wait_until(lambda: marker.name in heard(observer, "joined"), "all announcements")
    known = {member["user_id"]: member for member in members}
    for push in observer.events("presence"):
        for member in push["left"]:
            known.pop(member["user_id"], None)
        known |= {member["user_id"]: member for member in push["joined"]}
    marker.call("leave room", {"roomname": party.room})
    del known[marker.user_id]
    now = observer.call("members", {"room": party.room})
    assert sorted(known.values(), key=str) == sorted(now["members"], key=str)

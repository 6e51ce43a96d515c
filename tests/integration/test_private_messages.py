"""Private messages, and conversations of two as the rooms that they are."""

from __future__ import annotations

from typing import Any

import pytest

from clients import wait_until
from party import Guest, Party, check_refusal, settle


def test_a_private_message_is_acknowledged_with_its_place_and_its_receiver(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    answer = ann.tell(bob, "hello")
    epoch = answer.pop("epoch")
    assert answer.pop("sent_at") == bob.history(f"@{ann.name}")["messages"][0]["sent_at"]
    assert answer == {
        "ok": True,
        "room": f"@{bob.name}",
        "seq": 1,
        "id": f"{epoch}-1",
        "to": {"id": bob.user_id, "name": bob.name},
    }
    assert bob.tell(ann, "hello")["seq"] == 2


@pytest.mark.parametrize("fields", [{}, {"client_id": "c-1"}])
def test_both_get_the_message_object_each_with_the_others_name_as_its_room(
    party: Party, fields: dict[str, str]
) -> None:
    ann, bob = party.guests("ann", "bob")
    tab = party.tab(ann)
    receipt = ann.tell(bob, "hello", **fields)
    settle(bob, tab)
    common = {
        "seq": 1,
        "id": receipt["id"],
        "type": "private",
        "username": ann.name,
        "user_id": ann.user_id,
        "message": "hello",
        "sent_at": receipt["sent_at"],
        "target": bob.name,
        **fields,
    }
    assert bob.messages() == [common | {"room": f"@{ann.name}"}]
    assert tab.messages() == [common | {"room": f"@{bob.name}"}]
    assert bob.history(f"@{ann.name}")["messages"] == bob.messages()
    assert ann.history(f"@{bob.name}")["messages"] == tab.messages()


@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("@NAME hello", "hello"),
        ('@"NAME" hello', "hello"),
        ("@NAME\nhello\nworld", "hello\nworld"),
        ({"to": "NAME", "message": "hello"}, "hello"),
        ({"to": "@NAME", "message": "@NAME hello"}, "@NAME hello"),
    ],
)
def test_a_private_message_may_be_a_text_or_an_object(
    party: Party, form: Any, text: str, acknowledged: bool
) -> None:
    ann, bob = party.guests("ann", "bob")
    for name in (bob.name, bob.name.upper()):
        payload = form.replace("NAME", name) if isinstance(form, str) else replaced(form, name)
        if acknowledged:
            assert ann.call("new pm", payload)["ok"]
        else:
            ann.emit("new pm", payload)
    bob.wait_for_texts([text.replace("NAME", bob.name), text.replace("NAME", bob.name.upper())])


def replaced(payload: dict[str, str], name: str) -> dict[str, str]:
    return {key: value.replace("NAME", name) for key, value in payload.items()}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("hello", "invalid_payload"),
        ("@", "invalid_payload"),
        ('@"no end hello', "invalid_payload"),
        ("@nobody-at-all hello", "no_such_user"),
        ({"to": "nobody-at-all", "message": "hello"}, "no_such_user"),
        ({"to": "", "message": "hello"}, "no_such_user"),
        ({"to": "x" * 5000, "message": "hello"}, "no_such_user"),
        ({"to": "\ud800", "message": "hello"}, "no_such_user"),
        ({"message": "@nobody-at-all hello"}, "invalid_payload"),
    ],
)
def test_a_private_message_to_nobody_is_refused(party: Party, payload: Any, code: str) -> None:
    ann = party.guest("ann")
    check_refusal(ann.call("new pm", payload), code)
    ann.emit("new pm", payload)
    settle(ann)
    assert [refusal["code"] for refusal in ann.events("new message") if "error" in refusal] == [code]


def test_a_private_message_waits_for_whoever_is_away(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    token = bob.token
    bob.close()
    ann.tell(bob, "one")
    ann.tell(bob, "two")
    back = party.add(Guest(party.url, party.room, None, token=token))
    assert back.standing(f"@{ann.name}")["unread"] == 2
    history = back.history(f"@{ann.name}")["messages"]
    assert [message["message"] for message in history] == ["one", "two"]


def test_a_private_message_may_go_to_oneself(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    tab = party.tab(ann)
    assert ann.tell(ann, "a note")["room"] == f"@{ann.name}"
    settle(ann, bob, tab)
    assert (tab.texts(), ann.texts(), bob.texts()) == (["a note"], [], [])
    assert ann.standing(f"@{ann.name}")["unread"] == 0


# The conversation as a room


def test_a_conversation_is_joined_by_name(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    receipt = ann.tell(bob, "one")
    answer = bob.join(f"@{ann.name.upper()}")
    assert isinstance(answer.pop("token"), str)
    by_name = sorted([ann.member, bob.member], key=lambda member: member["username"])
    assert sorted(answer.pop("members"), key=lambda member: member["username"]) == by_name
    assert answer == {
        "ok": True,
        "room": f"@{ann.name}",
        "user": {"id": bob.user_id, "name": bob.name},
        "online": 2,
        "epoch": receipt["epoch"],
        "last_seq": 1,
        "read_seq": 0,
        "their_read_seq": 0,
    }
    assert bob.call("new message", "two")["room"] == f"@{ann.name}"
    ann.wait_for_texts(["two"])


def test_joining_a_conversation_tells_how_far_the_other_has_read(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    for text in ("one", "two", "three"):
        ann.tell(bob, text)
    bob.call("read", {"room": f"@{ann.name}", "seq": 2})
    assert ann.join(f"@{bob.name}")["their_read_seq"] == 2
    bobs = bob.join(f"@{ann.name}")
    assert (bobs["read_seq"], bobs["their_read_seq"]) == (2, 0)
    ann.tell(ann, "a note")
    ann.call("read", {"room": f"@{ann.name}", "seq": 1})
    assert "their_read_seq" not in ann.join(f"@{ann.name}")
    assert "their_read_seq" not in ann.join(party.room)


def test_joining_a_conversation_is_nobodys_business(party: Party) -> None:
    ann, bob, cid = party.gathered("ann", "bob", "cid")
    ann.join(f"@{bob.name}")
    ann.call("leave room", {"roomname": f"@{bob.name}"})
    party.guest("dan")
    wait_until(lambda: cid.events("presence"), "the marker")
    settle(bob, cid)
    assert [change["room"] for change in cid.events("presence")] == [party.room]
    assert [change["room"] for change in bob.events("presence")] == [party.room]
    assert bob.standing(f"@{ann.name}") is None, "nobody has spoken yet"


def test_a_conversation_counts_who_of_the_two_is_here(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    room = {"room": f"@{bob.name}"}
    both = ann.call("members", room)
    assert {member["user_id"] for member in both.pop("members")} == {ann.user_id, bob.user_id}
    assert both == {"ok": True, **room, "online": 2, "more": False}
    bob.close()
    alone = {"ok": True, **room, "members": [ann.member], "online": 1, "more": False}
    wait_until(lambda: ann.call("members", room) == alone, every_seconds=0.05)
    assert ann.join(f"@{bob.name}")["online"] == 1


def test_a_conversation_is_caught_up_with_like_any_room(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    epoch = ann.tell(bob, "one")["epoch"]
    ann.tell(bob, "two")
    bob.call("react", {"room": f"@{ann.name}", "seq": 1, "emoji": "👍", "on": True})
    missed = bob.join(f"@{ann.name}", since={"epoch": epoch, "seq": 1})
    assert [item["message"] for item in missed["messages"]] == ["two", "one"]
    assert missed["messages"][1]["reactions"] == {"👍": [bob.user_id]}
    assert {item["room"] for item in missed["messages"]} == {f"@{ann.name}"}
    assert "gap" in bob.join(f"@{ann.name}", since={"epoch": "another", "seq": 1})


def test_leaving_a_conversation_leads_back_to_the_room_joined_last(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    room = {"roomname": f"@{bob.name}"}
    check_refusal(ann.call("leave room", room), "not_in_room")
    ann.join(f"@{bob.name}")
    assert ann.call("leave room", room) == {"ok": True, "room": f"@{bob.name}"}
    check_refusal(ann.call("leave room", room), "not_in_room")
    assert ann.call("new message", "hello")["room"] == party.room
    bob.tell(ann, "still reachable")
    ann.wait_for_texts(["still reachable"])


def test_a_conversation_is_spoken_in_without_joining_it(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    assert ann.say("hello", room=f"@{bob.name}")["room"] == f"@{bob.name}"
    bob.wait_for_texts(["hello"])
    assert bob.messages()[0]["type"] == "private"
    check_refusal(ann.call("new message", {"room": "@nobody-at-all", "message": "hello"}), "no_such_user")


def test_typing_in_a_conversation_is_heard_by_the_other_one_only(party: Party) -> None:
    ann, bob, cid = party.guests("ann", "bob", "cid")
    tab = party.tab(bob)
    answer = ann.call("typing", {"room": f"@{bob.name}", "typing": True})
    assert answer == {"ok": True, "room": f"@{bob.name}"}
    settle(ann, bob, cid, tab)
    assert (
        bob.events("typing")
        == tab.events("typing")
        == [{"room": f"@{ann.name}", "typing": True, **ann.member}]
    )
    assert ann.events("typing") == cid.events("typing") == []


def test_a_read_mark_in_a_conversation_is_seen_by_both(party: Party) -> None:
    ann, bob, cid = party.guests("ann", "bob", "cid")
    tab = party.tab(bob)
    ann.tell(bob, "one")
    answer = bob.call("read", {"room": f"@{ann.name}", "seq": 1})
    assert answer == {"ok": True, "room": f"@{ann.name}", "read_seq": 1}
    settle(ann, bob, cid, tab)
    assert ann.events("read") == [{"room": f"@{bob.name}", "seq": 1, "user_id": bob.user_id}]
    assert tab.events("read") == [{"room": f"@{ann.name}", "seq": 1, "user_id": bob.user_id}]
    assert bob.events("read") == cid.events("read") == []


@pytest.mark.parametrize(
    ("event", "fields", "kind"),
    [
        ("edit message", {"message": "better"}, "edit"),
        ("delete message", {}, "delete"),
        ("react", {"emoji": "👍", "on": True}, "react"),
    ],
)
def test_a_change_in_a_conversation_is_seen_by_both(
    party: Party, event: str, fields: dict[str, Any], kind: str
) -> None:
    ann, bob, cid = party.guests("ann", "bob", "cid")
    tab = party.tab(ann)
    ann.tell(bob, "hello")
    answer = ann.call(event, {"room": f"@{bob.name}", "seq": 1, **fields})
    assert answer["ok"] and answer["room"] == f"@{bob.name}" and answer["seq"] == 2
    settle(ann, bob, cid, tab)
    (for_bob,), (for_tab,) = bob.events("message changed"), tab.events("message changed")
    assert for_bob["change"]["kind"] == kind
    assert (for_bob["room"], for_tab["room"]) == (f"@{ann.name}", f"@{bob.name}")
    assert for_bob == for_tab | {"room": f"@{ann.name}"}
    assert ann.events("message changed") == cid.events("message changed") == []


def test_what_is_somebody_elses_in_a_conversation_is_not_changed(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.tell(bob, "hello")
    room = {"room": f"@{ann.name}", "seq": 1}
    check_refusal(bob.call("edit message", room | {"message": "other"}), "forbidden")
    check_refusal(bob.call("delete message", room), "forbidden")
    assert bob.history(f"@{ann.name}")["messages"][0]["message"] == "hello"

"""The faults of the article's chat server, each of which must not come back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from clients import wait_until
from party import QUICK, Guest, Party, check_refusal, settle
from servers import HOSTINGS, PATIENCE_SECONDS, running

CLIENT_EVENTS = (
    "join room",
    "leave room",
    "new message",
    "new pm",
    "members",
    "typing",
    "history",
    "read",
    "rooms",
    "edit message",
    "delete message",
    "react",
)

#: Payloads that no event takes: of the wrong type, or without what it needs. Missing: the empty tuple.
WRONG_PAYLOADS: list[Any] = [
    (),
    (None,),
    0,
    -1.5,
    True,
    [],
    [None],
    ["text"],
    {"room": {"name": "lobby"}},
    {"roomname": ["lobby"]},
    {"message": None},
    {"": {"": {"": [[[]]]}}},
    b"bytes",
    ("one", "two"),
]


# Private messages


@pytest.fixture(scope="module", params=HOSTINGS)
def quick_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with the settings `QUICK`, in each hosting."""
    with running(request.param, tmp_path_factory.mktemp("article"), **QUICK) as server:
        yield server.url


def test_a_private_message_reaches_its_two_users_and_nobody_else(party: Party) -> None:
    ann, bob, cid = party.guests("ann", "bob", "cid")
    anns_tab, bobs_tab = party.tab(ann), party.tab(bob, room=party.named("another"))
    stranger = party.stranger()
    ann.tell(bob, "secret")
    settle(ann, bob, cid, anns_tab, bobs_tab, stranger)
    assert bob.texts() == bobs_tab.texts() == anns_tab.texts() == ["secret"]
    assert ann.texts() == cid.texts() == stranger.texts() == []
    assert {message["type"] for message in bob.messages()} == {"private"}


def test_a_private_message_is_in_no_rooms_history(party: Party) -> None:
    ann, bob, cid = party.guests("ann", "bob", "cid")
    ann.tell(bob, "secret")
    assert cid.history()["messages"] == []
    check_refusal(cid.call("history", {"room": f"@{party.named('nobody')}"}), "no_such_user")
    assert cid.history(f"@{bob.name}")["messages"] == []
    assert [message["message"] for message in bob.history(f"@{ann.name}")["messages"]] == ["secret"]


def test_a_private_message_does_not_end_the_process(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    for text in ("@", "@@", '@"', '@""', "@ x", f"@{party.named('nobody')} hi", "no name"):
        ann.emit("new pm", text)
        assert not ann.call("new pm", text)["ok"]
    assert ann.call("new pm", f"@{bob.name} still here")["ok"]
    bob.wait_for_texts(["still here"])


def test_the_whole_name_is_the_target_and_not_all_but_its_last_letter(party: Party) -> None:
    ann = party.guest("ann")
    short = party.add(Guest(party.url, party.room, party.named("bo") + "-a"))
    whole = party.add(Guest(party.url, party.room, short.name + "b"))
    check_refusal(ann.call("new pm", f"@{whole.name}"), "invalid_text")
    assert ann.call("new pm", f"@{whole.name} hi")["ok"]
    settle(short, whole)
    assert (short.texts(), whole.texts()) == ([], ["hi"])


@pytest.mark.parametrize(
    "name",
    ["jean-luc", "j_r", "j.r.", "O'Neil", "a@b.c", "Łukasz", "Давид", "田中", "علي", "bob jones"],
)
def test_every_name_can_be_addressed(party: Party, name: str) -> None:
    ann, bob = party.guests("ann", name)
    address = f'@"{bob.name}"' if " " in name else f"@{bob.name}"
    answer = ann.call("new pm", f"{address} hello")
    assert answer["to"] == {"id": bob.user_id, "name": bob.name}
    bob.wait_for_texts(["hello"])
    assert bob.messages()[0]["target"] == bob.name


def test_the_second_line_of_a_message_is_kept(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.call("new message", "first\nsecond\n\nfourth")
    ann.call("new pm", f"@{bob.name} first\nsecond")
    bob.wait_for_texts(["first\nsecond\n\nfourth", "first\nsecond"])


@pytest.mark.parametrize("text", ["@{bob} hi", "mail ann@example.org", "hi @{bob}", "@"])
def test_a_text_with_an_at_sign_is_an_ordinary_message(party: Party, text: str) -> None:
    ann, bob, cid = party.guests("ann", "bob", "cid")
    text = text.replace("{bob}", bob.name)
    assert ann.call("new message", text)["room"] == party.room
    settle(bob, cid)
    assert bob.texts() == cid.texts() == [text]
    assert cid.messages()[0]["type"] == "generic"


# Payloads of the wrong shape


@pytest.mark.parametrize("event", CLIENT_EVENTS)
def test_no_payload_ends_the_process_or_the_connection(party: Party, event: str) -> None:
    ann, bob = party.guests("ann", "bob")
    for payload in WRONG_PAYLOADS:
        ann.emit(event, payload)
        answer = ann.call(event, payload)
        assert answer["ok"] or answer["error"]["code"] == "invalid_payload", (payload, answer)
    ann.say("still here")
    bob.wait_for_texts(["still here"])
    if event != "rooms":
        refusals = [refusal["code"] for refusal in ann.events("new message") if "error" in refusal]
        assert refusals == ["invalid_payload"] * len(WRONG_PAYLOADS)


@pytest.mark.parametrize("event", CLIENT_EVENTS)
def test_no_payload_ends_the_connection_of_a_stranger(party: Party, event: str) -> None:
    stranger = party.stranger()
    for payload in WRONG_PAYLOADS:
        assert stranger.call(event, payload)["error"]["code"] in ("invalid_payload", "not_in_room")
    assert stranger.join(party.room, party.named("ann"))["ok"]


# Names


def test_nobody_takes_the_name_of_somebody_who_is_here(party: Party) -> None:
    ann = party.guest("ann")
    for name in (ann.name, ann.name.upper(), f" {ann.name} ", ann.name.replace("a", "ａ")):
        thief = party.stranger()
        check_refusal(thief.call("join room", {"roomname": party.room, "username": name}), "name_taken")
    assert ann.call("members", {"room": party.room})["members"] == [ann.member]


def test_nobody_takes_the_name_of_somebody_who_has_just_left(strict_party: Party) -> None:
    ann, bob = strict_party.guests("ann", "bob")
    token = ann.token
    ann.call("leave room", {"roomname": ann.room})
    ann.close()
    claim = {"roomname": strict_party.room, "username": ann.name}
    check_refusal(strict_party.stranger().call("join room", claim), "name_taken")
    check_refusal(strict_party.stranger().call("join room", {**claim, "token": "forged"}), "name_taken")
    check_refusal(strict_party.stranger().call("join room", {**claim, "token": bob.token}), "name_mismatch")
    again = strict_party.stranger().join(strict_party.room, ann.name, token=token)
    assert again["user"] == {"id": ann.user_id, "name": ann.name}


def test_private_messages_follow_the_user_and_not_the_name(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.tell(bob, "for the first bob")
    bob.close()
    renamed = party.stranger()
    wait_until(lambda: renamed.call("join room", claim(party, "robert", bob))["ok"])
    second_bob = party.guest("bob")
    assert second_bob.name == bob.name and second_bob.user_id != bob.user_id
    assert second_bob.history(f"@{ann.name}")["messages"] == []
    assert second_bob.standing(f"@{ann.name}") is None
    ann.tell(second_bob, "for the second bob")
    settle(renamed, second_bob)
    assert second_bob.texts() == ["for the second bob"]
    assert renamed.texts() == []
    history = renamed.call("history", {"room": f"@{ann.name}"})
    assert [message["message"] for message in history["messages"]] == ["for the first bob"]


def claim(party: Party, name: str, guest: Guest) -> dict[str, Any]:
    return {"roomname": party.room, "username": party.named(name), "token": guest.token}


# Several tabs, leaving, speaking before joining


def test_a_second_tab_does_not_replace_the_first(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    tab = party.tab(ann)
    bob.say("to both")
    ann.wait_for_texts(["to both"])
    tab.wait_for_texts(["to both"])
    assert ann.say("from the first")["ok"] and tab.say("from the second")["ok"]
    tab.close()
    bob.say("to the first")
    ann.wait_for_texts(["to both", "from the second", "to the first"])


def test_the_senders_other_tabs_see_what_was_sent(party: Party) -> None:
    ann = party.guest("ann")
    tab = party.tab(ann)
    receipt = ann.say("hello")
    tab.wait_for_texts(["hello"])
    assert tab.messages()[0]["id"] == receipt["id"]
    settle(ann)
    assert ann.texts() == []


def test_leaving_a_room_is_announced(party: Party) -> None:
    ann, bob = party.gathered("ann", "bob")
    ann.call("leave room", {"roomname": party.room})
    wait_until(lambda: bob.events("presence"), "the announcement")
    assert bob.notices() == [f"{ann.name} left"]
    assert bob.events("presence") == [{"room": party.room, "joined": [], "left": [ann.member], "online": 1}]


def test_a_lost_connection_is_announced(party: Party) -> None:
    ann, bob = party.gathered("ann", "bob")
    ann.close()
    wait_until(lambda: bob.events("presence"), "the announcement")
    assert bob.notices() == [f"{ann.name} left"]
    assert bob.events("presence") == [{"room": party.room, "joined": [], "left": [ann.member], "online": 1}]


def test_nothing_is_left_of_those_who_are_gone(party: Party) -> None:
    ann, bob, cid = party.guests("ann", "bob", "cid")
    ann.call("leave room", {"roomname": party.room})
    bob.close()
    wait_until(lambda: cid.call("members", {"room": party.room})["members"] == [cid.member])
    cid.say("not for ann")
    settle(ann)
    assert ann.texts() == []
    check_refusal(ann.call("new message", "hello?"), "not_in_room")
    ann.close()
    cid.close()
    wait_until(lambda: gauges(party) == {"chatapp_connections": 0, "chatapp_users": 0}, "empty tables")


def gauges(party: Party) -> dict[str, float]:
    text = requests.get(f"{party.url}/chat/metrics", timeout=PATIENCE_SECONDS).text
    found = re.findall(r"^(chatapp_connections|chatapp_users) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_speaking_before_joining_is_answered_with_a_payload(party: Party) -> None:
    stranger = party.stranger()
    stranger.emit("new message", "hello?")
    wait_until(lambda: stranger.received)
    refusal = {"error": True, "msg": "You're not part of a room yet", "code": "not_in_room"}
    assert stranger.received == [("new message", refusal)]


@pytest.mark.parametrize("payload", ["hello?", {"message": "hello?"}, {"room": "lobby", "message": "hello?"}])
def test_speaking_before_joining_is_refused_in_the_acknowledgement_too(party: Party, payload: Any) -> None:
    answer = party.stranger().call("new message", payload)
    assert answer == {
        "ok": False,
        "error": {"code": "not_in_room", "message": "You're not part of a room yet"},
    }


# What the article's server has not


def test_a_message_has_an_id_and_a_time_and_is_acknowledged(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    receipt = ann.say("hello")
    bob.wait_for_texts(["hello"])
    message = bob.messages()[0]
    assert (message["id"], message["sent_at"]) == (receipt["id"], receipt["sent_at"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", message["sent_at"])
    assert ann.say("hello")["id"] != receipt["id"]


def test_a_room_has_a_history(party: Party) -> None:
    ann = party.guest("ann")
    ann.say("one")
    ann.say("two")
    ann.close()
    bob = party.guest("bob")
    assert [message["message"] for message in bob.history()["messages"]] == ["one", "two"]


def test_a_message_has_a_greatest_length(strict_party: Party) -> None:
    ann = strict_party.guest("ann")
    check_refusal(ann.call("new message", "x" * 21), "invalid_text", "20 characters")
    check_refusal(ann.call("new message", "田" * 11), "invalid_text", "30 bytes")
    assert ann.call("new message", "x" * 20)["ok"]

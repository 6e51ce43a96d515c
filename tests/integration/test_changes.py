"""Edits, deletions and reactions: who may, what becomes of the message, who learns of it."""

from __future__ import annotations

from typing import Any

import pytest

from party import Guest, Party, check_refusal, settle

EDIT = ("edit message", {"message": "better"})
DELETE = ("delete message", {})
REACT = ("react", {"emoji": "👍", "on": True})
CHANGES = [EDIT, DELETE, REACT]


def change(guest: Guest, event: str, fields: dict[str, Any], seq: int = 1) -> Any:
    return guest.call(event, {"room": guest.room, "seq": seq, **fields})


@pytest.mark.parametrize(("event", "fields"), CHANGES)
def test_a_change_has_a_place_of_its_own_and_shows_the_message_as_it_is_now(
    party: Party, event: str, fields: dict[str, Any]
) -> None:
    ann, bob = party.gathered("ann", "bob")
    hello = ann.say("hello")
    bob.wait_for_texts(["hello"])
    answer = change(ann, event, fields)
    sent_at, epoch = answer["sent_at"], hello["epoch"]
    assert answer == {
        "ok": True,
        "room": party.room,
        "seq": 2,
        "id": f"{epoch}-2",
        "sent_at": sent_at,
        "epoch": epoch,
    }
    becomes = {
        "edit message": {"message": "better", "edited_at": sent_at},
        "delete message": {"message": "", "deleted": True},
        "react": {"reactions": {"👍": [ann.user_id]}},
    }
    settle(bob)
    message = bob.messages()[0] | becomes[event]
    by = {"seq": 2, "kind": event.split()[0], **ann.member, "sent_at": sent_at}
    assert bob.received[1:] == [("message changed", message | {"change": by})]
    assert bob.history()["messages"] == [message]
    assert bob.history(after=1)["messages"] == [message | {"change": by}]


@pytest.mark.parametrize(("event", "fields"), CHANGES)
def test_a_change_reaches_all_in_the_room_but_the_connection_that_made_it(
    party: Party, event: str, fields: dict[str, Any]
) -> None:
    ann, bob = party.guests("ann", "bob")
    tab, elsewhere = party.tab(ann), party.guest("cid", room=party.named("another"))
    ann.say("hello")
    change(ann, event, fields)
    settle(ann, bob, tab, elsewhere)
    assert len(bob.events("message changed")) == len(tab.events("message changed")) == 1
    assert ann.events("message changed") == elsewhere.events("message changed") == []


@pytest.mark.parametrize(("event", "fields"), CHANGES)
def test_a_change_works_without_an_acknowledgement(party: Party, event: str, fields: dict[str, Any]) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("hello")
    ann.emit(event, {"room": party.room, "seq": 1, **fields})
    settle(ann, bob)
    assert len(bob.events("message changed")) == 1
    ann.emit(event, {"room": party.room, "seq": 99, **fields})
    settle(ann)
    refusal = {"error": True, "msg": "There is no such message.", "code": "not_found"}
    assert ("new message", refusal) in ann.received


@pytest.mark.parametrize(("event", "fields"), CHANGES)
@pytest.mark.parametrize("seq", [0, 2, 3, 99, 2**63 - 1])
def test_what_is_no_message_cannot_be_changed(
    party: Party, event: str, fields: dict[str, Any], seq: int
) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("hello")
    change(ann, *EDIT)
    check_refusal(change(ann, event, fields, seq), "not_found")
    settle(bob)
    assert len(bob.events("message changed")) == 1
    assert ann.say("next")["seq"] == 3


@pytest.mark.parametrize(("event", "fields"), CHANGES)
def test_what_is_deleted_cannot_be_changed(party: Party, event: str, fields: dict[str, Any]) -> None:
    ann = party.guest("ann")
    ann.say("hello")
    change(ann, *DELETE)
    check_refusal(change(ann, event, fields), "not_found")


@pytest.mark.parametrize(("event", "fields"), [EDIT, DELETE])
def test_only_who_wrote_a_message_edits_or_deletes_it(
    party: Party, event: str, fields: dict[str, Any]
) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("hello")
    check_refusal(change(bob, event, fields), "forbidden")
    settle(ann)
    assert ann.events("message changed") == []
    assert bob.history()["messages"][0]["message"] == "hello"
    assert change(party.tab(ann), event, fields)["ok"]


@pytest.mark.parametrize(("event", "fields"), CHANGES)
def test_a_change_sent_again_is_stored_and_delivered_once(
    party: Party, event: str, fields: dict[str, Any]
) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("hello")
    first = change(ann, event, fields | {"client_id": "c-1"})
    assert change(ann, event, fields | {"client_id": "c-1"}) == first
    settle(bob)
    assert len(bob.events("message changed")) == 1
    assert ann.say("next")["seq"] == 3


@pytest.mark.parametrize("text", ["", " \n ", "a\x00b", "\ud800", "x" * 4001])
def test_an_edit_to_a_text_that_cannot_be_is_refused(party: Party, text: str) -> None:
    ann = party.guest("ann")
    ann.say("hello")
    check_refusal(change(ann, "edit message", {"message": text}), "invalid_text")
    assert ann.history()["messages"][0]["message"] == "hello"


def test_the_last_edit_counts(party: Party) -> None:
    ann = party.guest("ann")
    ann.say("hello")
    change(ann, "edit message", {"message": "first"})
    last = change(ann, "edit message", {"message": "  second\r\nline "})
    message = ann.history()["messages"][0]
    assert (message["message"], message["edited_at"]) == ("  second\nline", last["sent_at"])


def test_a_deleted_text_is_nowhere_to_be_had(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("secret")
    change(ann, "edit message", {"message": "also secret"})
    change(bob, *REACT)
    change(ann, *DELETE)
    everything = [
        *bob.history()["messages"],
        *bob.history(after=0)["messages"],
        *bob.join(party.room, since={"epoch": bob.joined["epoch"], "seq": 0})["messages"],
    ]
    assert {message["message"] for message in everything} == {""}
    assert all(message["deleted"] and "reactions" not in message for message in everything)


# Reactions


def test_a_reaction_is_given_once_by_each_and_taken_back(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("hello")

    def reactions() -> Any:
        return ann.history()["messages"][0].get("reactions")

    for guest in (bob, ann, bob):
        assert change(guest, *REACT)["ok"]
    assert reactions() == {"👍": [bob.user_id, ann.user_id]}
    change(bob, "react", {"emoji": "👍", "on": False})
    assert reactions() == {"👍": [ann.user_id]}
    change(bob, "react", {"emoji": "👍", "on": False})
    change(ann, "react", {"emoji": "👍", "on": False})
    assert reactions() is None


@pytest.mark.parametrize("emoji", ["👍", "👍🏽", "👨‍👩‍👧", "🇩🇪", "❤️", ":thumbsup:"])
def test_a_reaction_is_an_emoji_or_a_shortcode(party: Party, emoji: str) -> None:
    ann = party.guest("ann")
    ann.say("hello")
    assert change(ann, "react", {"emoji": emoji, "on": True})["ok"]
    assert list(ann.history()["messages"][0]["reactions"]) == [emoji]


@pytest.mark.parametrize("emoji", ["", "a", "👍👍", "<b>", ":no end", "👍" + "\u200d👍" * 20, "\ud800"])
def test_anything_else_is_no_reaction(party: Party, emoji: str) -> None:
    ann = party.guest("ann")
    ann.say("hello")
    check_refusal(change(ann, "react", {"emoji": emoji, "on": True}), "invalid_text")
    assert "reactions" not in ann.history()["messages"][0]
    assert ann.say("next")["seq"] == 2


def test_a_message_takes_so_many_different_reactions(strict_party: Party) -> None:
    ann, bob = strict_party.guests("ann", "bob")
    ann.say("hello")
    for emoji in ("👍", "🎉"):
        assert change(ann, "react", {"emoji": emoji, "on": True})["ok"]
    check_refusal(change(bob, "react", {"emoji": "🚀", "on": True}), "limit_reached", "at most 2")
    assert change(bob, *REACT)["ok"]
    assert set(ann.history()["messages"][0]["reactions"]) == {"👍", "🎉"}

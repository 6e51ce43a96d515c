"""Guests and their names: claimed with the first join, kept by a token."""

from __future__ import annotations

from typing import Any

import pytest

from clients import Chatter, wait_until
from party import Guest, Party, check_refusal


def ask(
    party: Party, chatter: Chatter, name: str | None = None, token: str | None = None, secret: Any = None
) -> Any:
    """Return the acknowledgement of a join under a name as it is, with a token, a secret, or all."""
    fields = {"roomname": party.room, "username": name, "token": token, "secret": secret}
    return chatter.call("join room", {key: value for key, value in fields.items() if value is not None})


def gone(party: Party, guest: Guest) -> None:
    """Disconnect, and wait until the guest has left for good."""
    guest.close()
    bystander = party.stranger()
    bystander.join(guest.room, party.named("bystander"))
    room = {"room": guest.room}
    wait_until(lambda: guest.member not in bystander.call("members", room)["members"], every_seconds=0.05)


def test_the_first_join_of_a_guest_needs_a_name(party: Party) -> None:
    stranger = party.stranger()
    check_refusal(ask(party, stranger), "invalid_payload", "username: is missing")
    check_refusal(ask(party, stranger, token="forged"), "invalid_payload", "username: is missing")
    assert ask(party, stranger, party.named("ann"))["ok"]


def test_later_joins_need_none(party: Party) -> None:
    ann = party.guest("ann")
    answer = ann.join(party.named("another"))
    assert answer["user"] == {"id": ann.user_id, "name": ann.name}


def test_a_connection_has_one_name(party: Party) -> None:
    ann = party.guest("ann")
    check_refusal(ask(party, ann, party.named("bob")), "name_mismatch", ann.name)
    assert ask(party, ann, ann.name.upper())["user"]["name"] == ann.name


def test_a_token_makes_the_same_user_again(party: Party) -> None:
    ann = party.guest("ann")
    by_token, by_both = party.stranger(), party.stranger()
    user = {"id": ann.user_id, "name": ann.name}
    assert ask(party, by_token, token=ann.token)["user"] == user
    assert ask(party, by_both, ann.name.upper(), ann.token)["user"] == user


def test_who_never_got_the_answer_to_the_first_join_is_the_same_user_again(party: Party) -> None:
    name, secret = party.named("ann"), "made up by the client, once"
    user = ask(party, party.stranger(), name, secret=secret)["user"]
    again = ask(party, party.stranger(), name, secret=secret)
    assert again["user"] == user
    assert ask(party, party.stranger(), token=again["token"])["user"] == user
    for other in (None, "made up by another client, later"):
        check_refusal(ask(party, party.stranger(), name, secret=other), "name_taken")


@pytest.mark.parametrize("secret", ["", "too short", "x" * 21, "x" * 1025, 17, ["x" * 22]])
def test_a_secret_that_could_be_guessed_is_refused(party: Party, secret: Any) -> None:
    answer = ask(party, party.stranger(), party.named("ann"), secret=secret)
    check_refusal(answer, "invalid_payload", "secret: ")


def test_a_token_works_when_connecting_too(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    tab = party.stranger(auth={"token": ann.token})
    bob.tell(ann, "before any join")
    tab.wait_for_texts(["before any join"])
    assert tab.join(party.room)["user"]["id"] == ann.user_id


@pytest.mark.parametrize(
    "auth", [{"token": "forged"}, {"token": 5}, {"token": None}, {"token": "\ud800"}, {}, "token", [1], 5]
)
def test_a_connection_with_something_else_is_nobodys_yet(party: Party, auth: Any) -> None:
    stranger = party.stranger(auth=auth)
    check_refusal(stranger.call("rooms"), "not_in_room")
    assert stranger.join(party.room, party.named("ann"))["ok"]


@pytest.mark.parametrize("token", ["", "forged", "a.b.c", "é", "." * 1024])
def test_a_token_that_is_none_helps_nobody(party: Party, token: str) -> None:
    ann = party.guest("ann")
    check_refusal(ask(party, party.stranger(), token=token), "invalid_payload", "username: is missing")
    check_refusal(ask(party, party.stranger(), ann.name, token), "name_taken")
    assert ask(party, party.stranger(), party.named("bob"), token)["user"]["id"] != ann.user_id


def test_a_token_that_was_altered_is_none(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    payload, _, signature = (ann.token or "").partition(".")
    assert payload != (bob.token or "").partition(".")[0]
    stolen = (bob.token or "").partition(".")[0] + "." + signature
    check_refusal(ask(party, party.stranger(), bob.name, stolen), "name_taken")


def test_a_token_of_somebody_who_is_here_takes_no_other_name(party: Party) -> None:
    ann = party.guest("ann")
    check_refusal(ask(party, party.stranger(), party.named("bob"), ann.token), "name_mismatch")


def test_whoever_is_gone_comes_back_under_another_name_as_the_same_user(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.tell(bob, "hello")
    gone(party, ann)
    renamed = party.stranger()
    user = ask(party, renamed, party.named("anna"), ann.token)["user"]
    assert user == {"id": ann.user_id, "name": party.named("anna")}
    assert bob.history(f"@{user['name']}")["messages"][0]["message"] == "hello"
    check_refusal(bob.call("new pm", f"@{ann.name} hi"), "no_such_user")
    assert bob.call("new pm", f"@{user['name']} hi")["to"] == user


def test_a_token_whose_name_went_to_somebody_else_brings_back_the_user_but_not_the_name(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.tell(bob, "hello")
    ann.close()
    heir = party.stranger()
    wait_until(lambda: ask(party, heir, ann.name)["ok"], "the name", every_seconds=0.5)
    assert heir.call("history", {"room": f"@{bob.name}"})["messages"] == []
    check_refusal(ask(party, party.stranger(), token=ann.token), "invalid_payload", "no longer held")
    check_refusal(ask(party, party.stranger(), ann.name, ann.token), "name_taken")
    back = party.stranger(auth={"token": ann.token})
    assert ask(party, back, party.named("anna"), ann.token)["user"]["id"] == ann.user_id
    assert back.call("history", {"room": f"@{bob.name}"})["messages"][0]["message"] == "hello"


def test_a_name_is_held_while_its_owner_is_away(strict_party: Party) -> None:
    ann = strict_party.guest("ann")
    ann.call("leave room", {"roomname": ann.room})
    ann.close()
    check_refusal(ask(strict_party, strict_party.stranger(), ann.name), "name_taken")


def test_no_name_looks_like_one_that_is_held(party: Party) -> None:
    bill = party.add(Guest(party.url, party.room, party.named("bill")))
    for lookalike in ("biII", "bi11", "BILL", "ｂｉｌｌ"):
        check_refusal(ask(party, party.stranger(), party.named(lookalike)), "name_taken")
    assert ask(party, party.stranger(), bill.name, bill.token)["ok"]


@pytest.mark.parametrize(
    "name",
    [
        *("", "  ", "!!!", "@ann", "#ann", 'ann "the man" x', "an\nn", "an\x00n", "an\u200bn", "\ud800"),
        *("аnn", "admin", "Sуstem", "ADM1N", "system", "ann\u0301\u0301\u0301", "x" * 33, "\u202eann"),
    ],
)
def test_a_name_that_cannot_be_is_refused(party: Party, name: str) -> None:
    stranger = party.stranger()
    check_refusal(ask(party, stranger, name), "invalid_name")
    assert ask(party, stranger, party.named("ann"))["ok"]


@pytest.mark.parametrize("name", ["Ann Smith", "jean-luc", "Łukasz", "Давид", "田中", "علي", "O'Neil"])
def test_a_name_is_shown_as_it_was_written(party: Party, name: str) -> None:
    assert party.guest(name).joined["user"]["name"] == party.named(name)

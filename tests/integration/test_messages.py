"""Messages to a room: their acknowledgement, their object, who gets them, and in which order."""

from __future__ import annotations

import statistics
import threading
import time
import unicodedata
from typing import Any

import pytest

from clients import wait_until
from party import Party, check_refusal, settle


def test_a_message_is_acknowledged_with_its_place(party: Party) -> None:
    ann = party.guest("ann")
    answer = ann.say("hello")
    sent_at = answer.pop("sent_at")
    epoch = ann.joined["epoch"]
    assert answer == {"ok": True, "room": party.room, "seq": 1, "id": f"{epoch}-1", "epoch": epoch}
    assert sent_at == ann.history()["messages"][0]["sent_at"]
    assert ann.say("next")["seq"] == 2


@pytest.mark.parametrize("fields", [{}, {"client_id": "c-1"}])
def test_the_others_get_the_message_object(party: Party, fields: dict[str, str]) -> None:
    ann, bob = party.gathered("ann", "bob")
    receipt = ann.say("hello", **fields)
    settle(bob)
    message = {
        "room": party.room,
        "seq": 1,
        "id": receipt["id"],
        "type": "generic",
        "username": ann.name,
        "user_id": ann.user_id,
        "message": "hello",
        "sent_at": receipt["sent_at"],
        **fields,
    }
    assert bob.received == [("new message", message)]
    assert bob.history()["messages"] == [message]


def test_a_message_reaches_all_in_the_room_but_the_connection_that_sent_it(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    tab, elsewhere = party.tab(ann), party.guest("cid", room=party.named("another"))
    anns_elsewhere, stranger = party.tab(ann, room=party.named("another")), party.stranger()
    ann.say("hello")
    settle(ann, bob, tab, elsewhere, anns_elsewhere, stranger)
    assert bob.texts() == tab.texts() == ["hello"]
    assert ann.texts() == elsewhere.texts() == anns_elsewhere.texts() == stranger.texts() == []


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_message_may_be_a_text_or_an_object_acknowledged_or_not(
    party: Party, as_text: bool, acknowledged: bool
) -> None:
    ann, bob = party.guests("ann", "bob")
    payload: Any = "hello" if as_text else {"message": "hello"}
    if acknowledged:
        assert ann.call("new message", payload)["ok"]
    else:
        ann.emit("new message", payload)
    bob.wait_for_texts(["hello"])


def test_a_message_may_name_its_room(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.join(party.named("another"))
    assert ann.say("here", room=party.room)["room"] == party.room
    bob.wait_for_texts(["here"])


def test_a_message_to_a_room_that_one_is_not_in_is_refused(party: Party) -> None:
    ann, bob = party.guest("ann"), party.guest("bob", room=party.named("another"))
    payload = {"room": bob.room, "message": "hello"}
    check_refusal(ann.call("new message", payload), "not_in_room")
    check_refusal(
        ann.call("new message", {"room": party.named("no such"), "message": "hello"}), "not_in_room"
    )
    ann.emit("new message", payload)
    settle(ann, bob)
    refusal = {"error": True, "msg": "You're not part of a room yet", "code": "not_in_room"}
    assert ("new message", refusal) in ann.received
    assert bob.texts() == [] and bob.history()["messages"] == []


@pytest.mark.parametrize(
    "text",
    ["", " \n\t ", "\u200b", "a\x00b", "a\x1b[2Jb", "\ud800", "x" * 4001, "田" * 5334, "a" + "\u0301" * 31],
)
def test_a_text_that_cannot_be_is_refused_and_not_stored(party: Party, text: str) -> None:
    ann, bob = party.guests("ann", "bob")
    for event, payload in (
        ("new message", text),
        ("new message", {"message": text}),
        ("new pm", {"to": bob.name, "message": text}),
    ):
        check_refusal(ann.call(event, payload), "invalid_text")
    settle(bob)
    assert bob.texts() == []
    assert ann.say("next")["seq"] == 1
    assert ann.tell(bob, "next")["seq"] == 1


def test_a_text_of_the_greatest_length_gets_through_whole(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    texts = ["x" * 4000, "🎉" * 4000]
    for text in texts:
        ann.say(text)
    bob.wait_for_texts(texts)


def test_a_text_is_normalized(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    stored = unicodedata.normalize("NFC", "  cafe\u0301\nsecond\nthird")
    said = "\n\n  cafe\u0301\r\nsecond\u2028third  \n"
    answer = ann.say(said, client_id="c-1")
    bob.wait_for_texts([stored])
    assert answer["message"] == stored
    assert ann.say(said, client_id="c-1") == answer
    changed = ann.call("edit message", {"room": party.room, "seq": answer["seq"], "message": " other \r"})
    assert changed["message"] == " other"
    assert "message" not in ann.say("as it is")


@pytest.mark.parametrize(
    "text", ["<b>&amp;</b>", "{{7*7}}", "'; DROP TABLE users; --", "\u202eevil", "null", "0"]
)
def test_a_text_means_nothing_to_the_server(party: Party, text: str) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.call("new message", text)
    bob.wait_for_texts([text])
    assert bob.history()["messages"][0]["message"] == text


# Sent again


def test_a_message_sent_again_is_stored_and_delivered_once(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    first = ann.say("hello", client_id="c-1")
    assert ann.say("hello", client_id="c-1") == first
    assert party.tab(ann).say("hello", client_id="c-1") == first
    ann.say("next")
    settle(bob)
    assert bob.texts() == ["hello", "next"]
    assert [message["seq"] for message in bob.history()["messages"]] == [1, 2]


def test_a_client_id_is_its_users_own(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    assert ann.say("hello", client_id="c-1")["seq"] == 1
    assert bob.say("hello", client_id="c-1")["seq"] == 2


def test_a_client_id_is_for_one_thing_only(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("hello", client_id="c-1")
    room = {"room": party.room, "client_id": "c-1"}
    for event, payload in (
        ("new pm", {"to": bob.name, "message": "hello", "client_id": "c-1"}),
        ("edit message", room | {"seq": 1, "message": "other"}),
        ("delete message", room | {"seq": 1}),
        ("react", room | {"seq": 1, "emoji": "👍", "on": True}),
    ):
        check_refusal(ann.call(event, payload), "invalid_payload", "client_id")
    assert [message["message"] for message in bob.history()["messages"]] == ["hello"]


@pytest.mark.parametrize("client_id", ["", "x" * 65, "é", "a\nb", "\x00"])
def test_a_client_id_that_cannot_be_is_refused(party: Party, client_id: str) -> None:
    ann = party.guest("ann")
    payload = {"message": "hello", "client_id": client_id}
    check_refusal(ann.call("new message", payload), "invalid_payload", "client_id")
    assert ann.history()["messages"] == []


# Order


def test_everybody_sees_a_room_in_one_order(party: Party) -> None:
    *senders, dan, eve = party.guests("ann", "bob", "cid", "dan", "eve")
    listeners = [dan, eve]
    began = threading.Barrier(len(senders))

    def talk(number: int) -> None:
        began.wait()
        for count in range(15):
            senders[number].emit("new message", f"{number}:{count}")

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(len(senders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: all(len(listener.messages()) == 45 for listener in listeners), "45 messages")
    first = dan.messages()
    assert first == eve.messages() == dan.history(limit=200)["messages"]
    assert [message["seq"] for message in first] == list(range(1, 46))
    for number, sender in enumerate(senders):
        own = [message["message"] for message in first if message["user_id"] == sender.user_id]
        assert own == [f"{number}:{count}" for count in range(15)]


def test_an_acknowledgement_keeps_its_place_among_what_others_say(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    order: list[int] = []
    ann.sio.on("new message", lambda message: order.append(message.get("seq", 0)))
    for count in range(15):
        bob.emit("new message", f"{count}")
        ann.sio.emit("new message", f"{count}", callback=lambda answer: order.append(answer["seq"]))
    wait_until(lambda: len([seq for seq in order if seq]) == 30)
    assert [seq for seq in order if seq] == list(range(1, 31))


def test_what_one_connection_sends_is_handled_in_its_order(party: Party) -> None:
    ann, stranger = party.guest("ann"), party.stranger()
    stranger.emit("join room", {"roomname": party.room, "username": party.named("bob")})
    stranger.emit("new message", "hello")
    stranger.emit("edit message", {"room": party.room, "seq": 1, "message": "better"})
    stranger.emit("leave room", {"roomname": party.room})
    stranger.emit("new message", "too late")
    settle(stranger, ann)
    assert ann.texts() == ["hello"]
    assert [message["message"] for message in ann.events("message changed")] == ["better"]
    assert stranger.received[-1][1]["code"] == "not_in_room"


def test_of_two_answers_in_a_row_the_second_does_not_wait_for_the_first(party: Party) -> None:
    ann = party.guest("ann")
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        ann.emit("typing", 0)
        ann.call("typing", 0)
        seconds.append(time.perf_counter() - began)
    assert statistics.median(seconds) < 0.03, "each waits 40 ms for the acknowledgement of the frame before"

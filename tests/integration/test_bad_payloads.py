"""Each field of each event, of the wrong type, missing, out of range: refused by name, nothing stored."""

from __future__ import annotations

from typing import Any

import pytest
import websocket

from party import Guest, Party, check_refusal, settle
from raw_websocket import RawWebSocket
from servers import PATIENCE_SECONDS

#: A payload that each event takes; ROOM stands for the room.
RIGHT: dict[str, dict[str, Any]] = {
    "join room": {"roomname": "ROOM", "username": None, "token": None, "since": {"epoch": "e", "seq": 0}},
    "leave room": {"roomname": "ROOM"},
    "new message": {"message": "hi", "room": "ROOM", "client_id": "c"},
    "new pm": {"to": "ROOM", "message": "hi", "client_id": "c"},
    "members": {"room": "ROOM", "after": "ann", "limit": 1},
    "typing": {"room": "ROOM", "typing": True},
    "history": {"room": "ROOM", "before": 9, "after": 1, "limit": 1},
    "read": {"room": "ROOM", "seq": 1},
    "edit message": {"room": "ROOM", "seq": 1, "message": "hi", "client_id": "c"},
    "delete message": {"room": "ROOM", "seq": 1, "client_id": "c"},
    "react": {"room": "ROOM", "seq": 1, "emoji": "👍", "on": True, "client_id": "c"},
}

OPTIONAL = {
    "join room": {"username", "token", "since"},
    "new message": {"room", "client_id"},
    "new pm": {"client_id"},
    "members": {"after", "limit"},
    "history": {"before", "after", "limit"},
    "edit message": {"client_id"},
    "delete message": {"client_id"},
    "react": {"client_id"},
}

TOO_BIG = 2**63
WRONG_SEQS = [TOO_BIG, -1, 1.5, "1", True, [1], {"$gt": 0}]
WRONG_TEXTS = [0, 1.5, True, ["ROOM"], {"a": 1}, b"ROOM"]
WRONG_FLAGS = [0, 1, "yes", [True], {}]

#: For each name of a field, what it must not hold.
WRONG: dict[str, list[Any]] = {
    "since": [
        0,
        "e",
        [],
        {},
        {"epoch": "e"},
        {"seq": 0},
        {"epoch": 1, "seq": 0},
        {"epoch": "e" * 65, "seq": 0},
    ]
    + [{"epoch": "e", "seq": seq} for seq in WRONG_SEQS],
    "token": [*WRONG_TEXTS, "t" * 1025],
    "client_id": [*WRONG_TEXTS, "", "c" * 65, "é", "a\nb"],
    "seq": WRONG_SEQS,
    "before": WRONG_SEQS,
    "limit": [*WRONG_SEQS, 0, 201],
    "typing": WRONG_FLAGS,
    "on": WRONG_FLAGS,
    **dict.fromkeys(("roomname", "username", "room", "to", "message", "emoji"), WRONG_TEXTS),
}

#: `after` is a place in the log in one event and a name in another.
WRONG_AFTER = {"history": WRONG_SEQS, "members": WRONG_TEXTS}

CASES = [
    pytest.param(event, field, id=f"{event}-{field}") for event, fields in RIGHT.items() for field in fields
]

#: Too long where it is no matter of the payload's shape, with the code that says so.
TOO_LONG = [
    ("join room", "roomname", "x" * 65, "invalid_name"),
    ("leave room", "roomname", "x" * 65, "invalid_name"),
    ("new message", "room", "x" * 65, "invalid_name"),
    ("new message", "message", "x" * 4001, "invalid_text"),
    ("new pm", "to", "x" * 5000, "no_such_user"),
    ("new pm", "message", "x" * 4001, "invalid_text"),
    ("members", "room", "x" * 65, "invalid_name"),
    ("typing", "room", "x" * 65, "invalid_name"),
    ("history", "room", "x" * 65, "invalid_name"),
    ("read", "room", "x" * 65, "invalid_name"),
    ("edit message", "message", "x" * 4001, "invalid_text"),
    ("delete message", "room", "x" * 65, "invalid_name"),
    ("react", "emoji", "👍" * 17, "invalid_text"),
]


#: What no server can make anything of.
WILD_PACKETS = ["4", "42", "42[", "42[]", "42{}", "42[{}]", "42[null]", '42"text"']
WILD_PACKETS += ["43[]", '44"no"', "451-[]", "49", "7"]


def right(guest: Guest, event: str) -> dict[str, Any]:
    """Return a payload that the event takes; a private message goes to oneself."""
    return {
        field: (guest.name if field == "to" else guest.room) if value == "ROOM" else value
        for field, value in RIGHT[event].items()
        if value is not None
    }


def check_nothing_happened(ann: Guest, bob: Guest) -> None:
    """Check that ann's connection works, and that all there is was there before."""
    settle(ann, bob)
    kinds = {event for event, _ in bob.received} - {"presence"}
    assert kinds <= {"new message"} and bob.texts() == ["hello"]
    assert [message["message"] for message in bob.history(after=0)["messages"]] == ["hello"]
    assert ann.history(f"@{ann.name}")["messages"] == []
    assert ann.standing()["read_seq"] == 0
    assert ann.say("still here")["seq"] == 2


@pytest.mark.parametrize(("event", "field"), CASES)
def test_a_wrong_field_is_refused_by_its_name(party: Party, event: str, field: str) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("hello")
    payload = right(ann, event)
    wrong = WRONG_AFTER[event] if field == "after" else WRONG[field]
    for value in wrong:
        error = check_refusal(ann.call(event, payload | {field: value}), "invalid_payload")
        assert error["message"].startswith(field), (value, error)
    ann.emit(event, payload | {field: wrong[0]})
    settle(ann)
    (refusal,) = (push for push in ann.events("new message") if "error" in push)
    assert refusal["code"] == "invalid_payload" and refusal["msg"].startswith(field)
    check_nothing_happened(ann, bob)


@pytest.mark.parametrize("event", RIGHT)
def test_a_missing_field_is_refused_by_its_name(party: Party, event: str) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("hello")
    payload = right(ann, event)
    for field in set(RIGHT[event]) - OPTIONAL.get(event, set()):
        for incomplete in (
            {name: value for name, value in payload.items() if name != field},
            payload | {field: None},
        ):
            error = check_refusal(ann.call(event, incomplete), "invalid_payload")
            assert error["message"].startswith(f"{field}: ")
    check_nothing_happened(ann, bob)


@pytest.mark.parametrize(("event", "field", "value", "code"), TOO_LONG)
def test_what_is_too_long_is_refused(party: Party, event: str, field: str, value: str, code: str) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("hello")
    check_refusal(ann.call(event, right(ann, event) | {field: value}), code)
    check_nothing_happened(ann, bob)


def test_what_is_too_long_to_look_at_is_refused_too(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("hello")
    check_refusal(ann.call("new message", "x" * 60_000), "invalid_text")
    check_refusal(ann.call("new pm", "@" + "x" * 60_000), "invalid_text")
    check_refusal(ann.call("join room", {"roomname": "x" * 60_000}), "invalid_name")
    check_nothing_happened(ann, bob)


def test_all_that_is_wrong_is_said_at_once(party: Party) -> None:
    answer = party.guest("ann").call("react", {"room": 1, "emoji": "👍", "on": "yes"})
    faults = check_refusal(answer, "invalid_payload")["message"].split("; ")
    assert [fault.partition(":")[0] for fault in faults] == ["room", "seq", "on"]


# Beside the payload


@pytest.mark.parametrize("event", ["no such event", "message", "presence", "", "\ud800"])
def test_no_event_name_ends_the_process_or_the_connection(party: Party, event: str) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.emit(event, {"room": party.room})
    ann.say("still here")
    bob.wait_for_texts(["still here"])


@pytest.mark.parametrize("event", ["connect", "disconnect", "newListener"])
def test_a_name_that_only_a_server_may_say_ends_its_own_connection(party: Party, event: str) -> None:
    ann, bob = party.guests("ann", "bob")
    with RawWebSocket(party.url) as client:
        client.open_session()
        client.say(f'42["{event}",{{"roomname":"{party.room}"}}]')
        assert client.closing()[0] == 1008
    ann.say("still here")
    bob.wait_for_texts(["still here"])


@pytest.mark.parametrize("packet", WILD_PACKETS)
def test_no_packet_ends_the_process(party: Party, packet: str) -> None:
    ann, bob = party.guests("ann", "bob")
    address = party.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    wild = websocket.create_connection(address, timeout=PATIENCE_SECONDS)
    wild.recv()
    wild.send("40")
    wild.recv()
    wild.send(packet)
    wild.close()
    ann.say("still here")
    bob.wait_for_texts(["still here"])
    assert party.guest("cid").joined["ok"]

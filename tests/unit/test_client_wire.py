"""What the server sends is read as the contract says, and junk is no error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.client.wire import Answer, Change, Item, RoomEntry, parse_answer, parse_item

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ok", "error", "room", "message", "seq", "change", "reactions"]), inner
        )
    ),
    max_leaves=8,
)


def test_a_message_is_read_with_all_its_fields() -> None:
    wire = {
        "room": "@bob",
        "seq": 4,
        "id": "x-4",
        "type": "private",
        "username": "ann",
        "user_id": "3",
        "message": "hi",
        "sent_at": "2026-01-31T12:00:00.000Z",
        "target": "bob",
        "edited_at": "2026-01-31T12:00:01.000Z",
        "reactions": {"👍": ["3", "5"], "❤": []},
    }
    assert parse_item(wire) == Item(
        room="@bob",
        type="private",
        username="ann",
        text="hi",
        sent_at="2026-01-31T12:00:00.000Z",
        seq=4,
        user_id="3",
        target="bob",
        edited=True,
        reactions={"👍": 2},
    )


def test_the_place_of_a_change_is_its_own_and_not_its_messages() -> None:
    item = parse_item(
        {"room": "r", "message": "x", "seq": 4, "change": {"seq": 9, "kind": "edit", "username": "ann"}}
    )
    assert item is not None
    assert item.change == Change(9, "edit", "ann", "")
    assert item.place == 9


def test_what_has_no_seq_has_no_place() -> None:
    item = parse_item({"room": "r", "message": "ann joined", "type": "notice"})
    assert item is not None
    assert item.place is None


@pytest.mark.parametrize("payload", [None, 4, "text", [], {}, {"room": "r"}, {"room": 1, "message": "x"}])
def test_what_is_no_message_is_none(payload: object) -> None:
    assert parse_item(payload) is None


def test_a_refusal_says_why_and_when_to_try_again() -> None:
    error = {"code": "rate_limited", "message": "Too fast.", "retry_after": 3}
    answer = parse_answer({"ok": False, "error": error})
    assert (answer.ok, answer.code, answer.message) == (False, "rate_limited", "Too fast.")
    assert answer.retry_after_seconds == 3.0


@pytest.mark.parametrize(
    ("code", "is_passing"), [("rate_limited", True), ("storage_busy", True), ("not_in_room", False)]
)
def test_only_refusals_for_now_are_passing(code: str, is_passing: bool) -> None:
    assert parse_answer({"ok": False, "error": {"code": code, "message": ""}}).is_passing is is_passing


@pytest.mark.parametrize("payload", [None, "ok", [], {"ok": 1}, {"error": {}}])
def test_what_is_no_answer_reads_as_a_refusal(payload: object) -> None:
    answer = parse_answer(payload)
    assert not answer.ok
    assert answer.code == "bad_answer"


def test_an_answer_gives_its_fields_by_type() -> None:
    answer = Answer(True, {"room": "r", "seq": 3, "more": True, "odd": "3", "yes": True})
    assert (answer.text("room"), answer.number("seq"), answer.flag("more")) == ("r", 3, True)
    assert (answer.text("seq"), answer.number("odd"), answer.number("yes")) == ("", 0, 0)


def test_lists_are_read_and_their_junk_left_out() -> None:
    answer = Answer(
        True,
        {
            "messages": [{"room": "r", "message": "x", "seq": 1}, None, 5],
            "members": [{"username": "ann"}, "bob"],
            "rooms": [{"room": "r", "epoch": "e", "last_seq": 4, "read_seq": 3, "unread": 1}, {}, 7],
        },
    )
    assert [item.text for item in answer.items()] == ["x"]
    assert answer.member_names() == ("ann",)
    assert answer.rooms() == [RoomEntry("r", "e", 4, 3, 1)]


@given(JSON)
def test_nothing_that_json_can_hold_is_an_error(payload: object) -> None:
    parse_item(payload)
    answer = parse_answer(payload)
    answer.items(), answer.rooms(), answer.member_names(), answer.number("seq")

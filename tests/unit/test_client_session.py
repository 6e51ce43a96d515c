"""What a client knows from one connection to the next."""

from __future__ import annotations

from typing import Any

from chatapp.client.session import CONTEXT_ENTRIES, UNREAD_ENTRIES, Session
from chatapp.client.wire import Answer, Item, RoomEntry, parse_item
from unit.client_line import item, joined


def session() -> Session:
    return Session(iter(["c1", "c2", "c3"]).__next__)


def entered(to: Session, last_seq: int, *, context: bool = False, **fields: Any) -> Any:
    return to.entered(Answer(True, joined(last_seq, **fields)), context=context)


def pushed(seq: int, **fields: Any) -> Item:
    found = parse_item(item(seq, **fields))
    assert found is not None
    return found


def texts(items: list[Item]) -> list[str]:
    return [each.text for each in items]


def test_joining_says_who_one_is_and_keeps_the_token() -> None:
    ann = session()
    entered(ann, 0, token="secret")
    assert (ann.username, ann.user_id, ann.token) == ("bob", "7", "secret")


def test_a_room_not_seen_yet_begins_at_its_end() -> None:
    ann = session()
    assert ann.since("lobby") is None
    assert entered(ann, 40).items == []
    assert ann.since("lobby") == {"epoch": "e1", "seq": 40}


def test_with_context_it_begins_a_little_before() -> None:
    ann = session()
    entered(ann, 40, context=True)
    assert ann.log("lobby").place == 40 - CONTEXT_ENTRIES
    assert ann.log("lobby").missing_through(0.0) == 40


def test_joining_again_shows_what_was_missed() -> None:
    ann = session()
    entered(ann, 3)
    again = entered(ann, 5, messages=[item(4), item(5)], more=False)
    assert (texts(again.items), again.again, again.gap) == (["m4", "m5"], True, False)
    assert ann.since("lobby") == {"epoch": "e1", "seq": 5}


def test_a_catch_up_that_was_cut_leaves_the_rest_missing() -> None:
    ann = session()
    entered(ann, 3)
    again = entered(ann, 9, messages=[item(4), item(5)], more=True)
    assert texts(again.items) == ["m4", "m5"]
    assert ann.log("lobby").missing_through(0.0) == 9


def test_a_catch_up_whose_last_entries_show_nothing_is_whole() -> None:
    ann = session()
    entered(ann, 3)
    entered(ann, 6, messages=[item(4)], more=False)
    assert ann.log("lobby").place == 6


def test_a_log_that_reaches_back_no_more_goes_on_with_what_it_has() -> None:
    ann = session()
    entered(ann, 3)
    again = entered(ann, 90, messages=[item(89), item(90)], gap=True)
    assert (texts(again.items), again.gap) == (["m89", "m90"], True)
    assert ann.log("lobby").missing_through(0.0) is None


def test_a_log_made_anew_is_a_gap() -> None:
    ann = session()
    entered(ann, 30)
    again = entered(ann, 2, epoch="e2", messages=[item(1), item(2)], gap=True)
    assert (texts(again.items), again.gap) == (["m1", "m2"], True)
    assert ann.since("lobby") == {"epoch": "e2", "seq": 2}


def test_a_log_shorter_than_what_was_seen_is_a_gap_and_new_entries_are_shown() -> None:
    ann = session()
    entered(ann, 30)
    again = entered(ann, 20, messages=[])
    assert again.gap
    assert texts(ann.receive(pushed(21), 0)) == ["m21"]


def test_an_item_pushed_before_the_answer_of_the_join_is_not_lost() -> None:
    ann = session()
    assert ann.receive(pushed(4), 0) == []
    assert texts(entered(ann, 3).items) == ["m4"]


def test_ones_own_message_takes_its_place_in_the_log() -> None:
    ann = session()
    entered(ann, 3)
    outgoing = ann.say("lobby", "mine")
    stored = Answer(True, {"room": "lobby", "seq": 5, "epoch": "e1", "sent_at": "now"})
    assert ann.stored(outgoing, stored, "generic", 0) == []
    assert texts(ann.receive(pushed(4, text="theirs"), 0)) == ["theirs", "mine"]


def test_ones_own_message_acknowledged_again_is_not_shown_again() -> None:
    ann = session()
    entered(ann, 3)
    outgoing = ann.say("lobby", "mine")
    entered(ann, 4, messages=[item(4, "mine")], more=False)
    stored = Answer(True, {"room": "lobby", "seq": 4, "epoch": "e1"})
    assert ann.stored(outgoing, stored, "generic", 0) == []


def test_a_first_private_message_out_begins_its_conversation() -> None:
    ann = session()
    outgoing = ann.say("@ann", "psst")
    stored = Answer(True, {"room": "@ann", "seq": 12, "epoch": "e7"})
    (shown,) = ann.stored(outgoing, stored, "private", 0)
    assert (shown.text, shown.type, shown.target) == ("psst", "private", "ann")


def test_a_room_made_anew_under_a_message_takes_it() -> None:
    ann = session()
    entered(ann, 30)
    outgoing = ann.say("lobby", "mine")
    stored = Answer(True, {"room": "lobby", "seq": 1, "epoch": "e2"})
    assert texts(ann.stored(outgoing, stored, "generic", 0)) == ["mine"]


def test_unread_private_messages_are_missing_from_the_start() -> None:
    ann = session()
    ann.rooms_known([RoomEntry("@ann", "e7", 9, 6, 3), RoomEntry("lobby", "e1", 5, 0, 5)])
    assert ann.log("@ann").place == 6
    assert ann.log("@ann").missing_through(0.0) == 9
    assert "lobby" not in ann.logs


def test_of_very_many_unread_private_messages_the_latest_are_missing() -> None:
    ann = session()
    ann.rooms_known([RoomEntry("@ann", "e7", 9000, 0, 9000)])
    assert ann.log("@ann").place == 9000 - UNREAD_ENTRIES


def test_a_private_message_waits_for_the_unread_ones_before_it() -> None:
    ann = session()
    ann.awaits_rooms = True
    assert ann.receive(pushed(10, room="@ann"), 0) == []
    assert ann.rooms_known([RoomEntry("@ann", "e7", 9, 6, 3)]) == []
    found = [pushed(seq, room="@ann") for seq in (7, 8, 9)]
    assert texts(ann.log("@ann").fill(found, through=9)) == ["m7", "m8", "m9", "m10"]


def test_a_private_message_of_a_conversation_that_is_not_listed_is_shown() -> None:
    ann = session()
    ann.awaits_rooms = True
    ann.receive(pushed(1, room="@ann"), 0)
    assert texts(ann.rooms_known([])) == ["m1"]


def test_private_messages_missed_while_away_are_missing_after_the_next_connect() -> None:
    ann = session()
    ann.receive(pushed(4, room="@ann"), 0)
    ann.link_lost()
    ann.rooms_known([RoomEntry("@ann", "e7", 6, 0, 6)])
    assert ann.log("@ann").place == 4
    assert ann.log("@ann").missing_through(0.0) == 6


def test_a_room_that_was_left_is_forgotten_with_what_waited_for_it() -> None:
    ann = session()
    entered(ann, 3)
    outgoing = ann.say("lobby", "too late")
    assert ann.forget("lobby") == [outgoing]
    assert ann.since("lobby") is None

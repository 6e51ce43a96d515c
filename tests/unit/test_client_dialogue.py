"""Joining, leaving, asking: what the server is asked and what the person is told."""

from __future__ import annotations

from typing import Any

from chatapp.client import news
from chatapp.client.dialogue import Dialogue
from unit.client_line import Line, change, item, joined


def dialogue(line: Line, *, name: str | None = "bob", follow: bool = False) -> Dialogue:
    return Dialogue(line.means, name=name, room="Lobby", follow=follow)


def standing(line: Line, last_seq: int = 0, **fields: Any) -> Dialogue:
    """Return a dialogue that has joined the lobby."""
    talk = dialogue(line)
    talk.opened()
    line.answer("join room", **joined(last_seq, **fields))
    return talk


def test_coming_in_joins_under_ones_name() -> None:
    line = Line()
    talk = dialogue(line)
    assert not talk.is_known
    talk.opened()
    assert line.asked("join room") == [{"roomname": "Lobby", "username": "bob"}]
    line.answer("join room", **joined(0))
    assert talk.is_known
    assert line.of(news.Joined) == [news.Joined("lobby", "bob", 1, ("bob",), again=False)]


def test_a_kept_token_is_shown_and_a_new_one_told() -> None:
    line = Line(token="old")
    dialogue(line).opened()
    assert line.asked("join room") == [{"roomname": "Lobby", "username": "bob", "token": "old"}]
    line.answer("join room", **joined(0, token="new"))
    assert line.of(news.TokenIssued) == [news.TokenIssued("new")]


def test_where_the_site_knows_who_one_is_no_name_is_said() -> None:
    line = Line()
    dialogue(line, name=None).opened()
    assert line.asked("join room") == [{"roomname": "Lobby"}]


def test_after_a_loss_one_comes_in_again_with_token_and_place() -> None:
    line = Line()
    talk = standing(line, 4, token="t")
    talk.received("new message", item(5))
    talk.lost()
    assert not talk.is_known
    talk.opened()
    assert line.asked("join room") == [
        {"roomname": "lobby", "username": "bob", "token": "t", "since": {"epoch": "e1", "seq": 5}}
    ]
    line.answer("join room", **joined(7, messages=[item(6), item(7)], more=False))
    assert line.of(news.Joined)[-1].again
    assert line.shown() == ["m5", "m6", "m7"]


def test_a_gap_is_told() -> None:
    line = Line()
    talk = standing(line, 4)
    talk.lost()
    talk.opened()
    line.answer("join room", **joined(90, messages=[item(90)], gap=True))
    assert line.of(news.Gap) == [news.Gap("lobby")]
    assert line.shown() == ["m90"]


def test_every_room_is_joined_again() -> None:
    line = Line()
    talk = standing(line)
    talk.join("den")
    line.answer("join room", **joined(0, room="den"))
    talk.lost()
    talk.opened()
    assert [payload["roomname"] for payload in line.asked("join room")] == ["lobby", "den"]


def test_a_room_joined_under_two_spellings_is_one_room() -> None:
    line = Line()
    talk = standing(line)
    talk.join("LOBBY")
    line.answer("join room", **joined(0))
    talk.lost()
    talk.opened()
    assert [payload["roomname"] for payload in line.asked("join room")] == ["lobby"]


def test_a_refused_join_says_why() -> None:
    line = Line()
    dialogue(line).opened()
    line.refuse("join room", "name_taken", "This name is taken.")
    assert line.of(news.Left) == [news.Left("Lobby", "You cannot join Lobby: This name is taken.")]


def test_a_join_that_has_to_wait_is_made_later() -> None:
    line = Line()
    talk = dialogue(line)
    talk.opened()
    line.refuse("join room", "rate_limited", "Too fast.", retry_after=3)
    assert talk.wake() == 103.0
    assert line.asked("join room") == []
    line.now = 103.0
    talk.wake()
    assert len(line.asked("join room")) == 1


def test_a_token_no_longer_taken_is_dropped() -> None:
    line = Line(token="stale")
    dialogue(line).opened()
    line.refuse("join room", "name_mismatch")
    assert line.asked("join room") == [{"roomname": "Lobby", "username": "bob"}]


def test_a_token_that_was_taken_before_is_not_dropped() -> None:
    line = Line()
    talk = standing(line, token="t")
    talk.lost()
    talk.opened()
    line.refuse("join room", "unauthorized", "Log in first.")
    assert line.asked("join room") == []
    assert [told.room for told in line.of(news.Left)] == ["lobby"]


def test_a_room_joined_while_away_is_joined_later() -> None:
    line = Line()
    talk = standing(line)
    talk.lost()
    talk.join("den")
    assert line.of(news.Trouble)
    talk.opened()
    assert [payload["roomname"] for payload in line.asked("join room")] == ["lobby", "den"]


def test_leaving_is_final() -> None:
    line = Line()
    talk = standing(line)
    talk.leave("lobby")
    assert line.asked("leave room") == [{"roomname": "lobby"}]
    line.answer("leave room", room="lobby")
    assert [told.room for told in line.of(news.Left)] == ["lobby"]
    talk.lost()
    talk.opened()
    assert line.asked("join room") == []


def test_a_room_one_is_not_in_cannot_be_left() -> None:
    line = Line()
    standing(line).leave("den")
    assert line.of(news.Trouble) == [news.Trouble("You are not in den.")]


def test_being_put_out_is_told_and_not_undone() -> None:
    line = Line()
    talk = standing(line)
    talk.received("server notice", {"code": "kicked", "message": "Out you go.", "room": "lobby"})
    assert line.of(news.Announcement) == [news.Announcement("kicked", "Out you go.", "lobby")]
    assert line.of(news.Left) == [news.Left("lobby", "You are no longer in lobby: Out you go.")]


def test_what_was_not_sent_to_a_room_one_is_put_out_of_is_told() -> None:
    line = Line()
    talk = standing(line)
    talk.say("lobby", "one")
    talk.say("lobby", "two")
    talk.received("server notice", {"code": "banned", "message": "Out.", "room": "lobby"})
    assert [told.text for told in line.of(news.Undelivered)] == ["one", "two"]


def test_members_and_rooms_and_history_are_answered() -> None:
    line = Line()
    talk = standing(line)
    talk.ask_members("lobby")
    line.answer("members", room="lobby", members=[{"username": "ann"}], online=3)
    assert line.of(news.Members) == [news.Members("lobby", ("ann",), 3)]
    talk.ask_rooms()
    line.answer("rooms", rooms=[{"room": "den", "epoch": "e", "last_seq": 5, "read_seq": 3, "unread": 2}])
    assert line.of(news.Rooms) == [news.Rooms((news.RoomSummary("den", 2, joined=False),))]
    talk.ask_history("lobby", 5)
    assert line.asked("history") == [{"room": "lobby", "limit": 5}]
    line.answer("history", room="lobby", messages=[item(1)], more=False)
    assert [(told.item.text, told.past) for told in line.of(news.Arrived)] == [("m1", True)]


def test_a_refused_question_says_why() -> None:
    line = Line()
    standing(line).ask_rooms()
    line.refuse("rooms", "rate_limited", "Too fast.")
    assert line.of(news.Trouble) == [news.Trouble("Too fast.")]


def test_without_a_connection_questions_are_not_asked() -> None:
    line = Line()
    talk = standing(line)
    talk.lost()
    talk.ask_rooms()
    assert line.asked("rooms") == []
    assert line.of(news.Trouble) == [news.Trouble("Not connected.")]


def test_changes_are_shown_at_their_own_place() -> None:
    line = Line()
    talk = standing(line, 3)
    talk.received("message changed", change(5, 2, "later"))
    talk.received("new message", item(4, "sooner"))
    assert line.shown() == ["sooner", "later"]


def test_pushes_of_no_use_are_passed_over() -> None:
    line = Line()
    talk = standing(line)
    before = list(line.told)
    for event, payload in [
        ("typing", {"room": "lobby"}),
        ("new message", None),
        ("server notice", "x"),
        ("?", 1),
    ]:
        talk.received(event, payload)
    assert line.told == before

"""What is missing is asked for; what was read is told."""

from __future__ import annotations

from typing import Any

import pytest

from chatapp.client import news
from chatapp.client.catchup import READ_SECONDS
from chatapp.client.dialogue import Dialogue
from chatapp.client.roomlog import PATIENCE_SECONDS
from chatapp.client.session import CONTEXT_ENTRIES
from unit.client_line import Line, change, item, joined

CONVERSATION = {"room": "@ann", "epoch": "e7", "last_seq": 9, "read_seq": 7, "unread": 2}


def standing(line: Line, last_seq: int, *, follow: bool = False, **fields: Any) -> Dialogue:
    talk = Dialogue(line.means, name="bob", room="lobby", follow=follow)
    talk.opened()
    line.answer("join room", **joined(last_seq, **fields))
    return talk


def with_a_hole(line: Line) -> Dialogue:
    """Return a dialogue that lacks 4 and 5, and has asked for them."""
    talk = standing(line, 3)
    talk.received("new message", item(6))
    assert talk.wake() == pytest.approx(100.0 + PATIENCE_SECONDS)
    assert line.asked("history") == []
    line.now += PATIENCE_SECONDS
    talk.wake()
    return talk


def test_a_hole_on_a_standing_connection_is_filled() -> None:
    line = Line()
    talk = with_a_hole(line)
    talk.wake()
    assert line.asked("history") == [{"room": "lobby", "after": 3}]
    line.answer("history", room="lobby", messages=[item(4), item(5), item(6)], more=False, after=6)
    assert line.shown() == ["m4", "m5", "m6"]


def test_a_fill_in_several_pages_goes_on_to_the_end() -> None:
    line = Line()
    talk = standing(line, 3)
    talk.lost()
    talk.opened()
    line.answer("join room", **joined(7, messages=[item(4)], more=True))
    talk.wake()
    line.answer("history", room="lobby", messages=[item(5)], more=True, after=5)
    talk.wake()
    assert line.asked("history") == [{"room": "lobby", "after": 5}]
    line.answer("history", room="lobby", messages=[item(6), item(7)], more=False, after=7)
    assert talk.wake() is None
    assert line.shown() == ["m4", "m5", "m6", "m7"]


def test_a_page_that_shows_nothing_but_leads_on_is_not_the_end() -> None:
    line = Line()
    talk = with_a_hole(line)
    line.answer("history", room="lobby", messages=[], more=True, after=4)
    talk.wake()
    assert line.asked("history") == [{"room": "lobby", "after": 4}]


def test_a_page_that_leads_nowhere_ends_the_asking() -> None:
    line = Line()
    talk = with_a_hole(line)
    line.answer("history", room="lobby", messages=[], more=True)
    assert talk.wake() is None
    assert line.shown() == ["m6"]


def test_a_fill_that_has_to_wait_is_made_later() -> None:
    line = Line()
    talk = with_a_hole(line)
    line.refuse("history", "rate_limited", retry_after=5)
    assert talk.wake() == pytest.approx(line.now + 5)
    line.now += 5
    talk.wake()
    assert line.asked("history") == [{"room": "lobby", "after": 3}]


def test_a_refused_fill_is_told_and_what_there_is_shown() -> None:
    line = Line()
    with_a_hole(line)
    line.refuse("history", "internal_error", "Oh.")
    assert line.of(news.Trouble) == [news.Trouble("What was missed in lobby cannot be had: Oh.")]
    assert line.shown() == ["m6"]


def test_a_log_that_reaches_back_no_more_is_told() -> None:
    line = Line()
    with_a_hole(line)
    line.answer("history", room="lobby", messages=[item(5), item(6)], more=False, after=6, gap=True)
    assert line.of(news.Gap) == [news.Gap("lobby")]
    assert line.shown() == ["m5", "m6"]


def test_a_lost_connection_forgets_the_question() -> None:
    line = Line()
    talk = with_a_hole(line)
    talk.lost()
    talk.opened()
    line.answer("join room", **joined(6, messages=[item(4), item(5), item(6)], more=False))
    assert line.shown() == ["m4", "m5", "m6"]


def test_who_follows_sees_what_was_said_before_and_each_message_once() -> None:
    line = Line()
    talk = standing(line, 100, follow=True)
    talk.wake()
    assert line.asked("history") == [{"room": "lobby", "after": 100 - CONTEXT_ENTRIES}]
    talk.received("new message", item(101))
    messages = [item(99, "edited"), change(100, 99, "edited")]
    line.answer("history", room="lobby", messages=messages, more=False, after=100)
    assert [(told.item.text, told.past) for told in line.of(news.Arrived)] == [
        ("edited", True),
        ("m101", False),
    ]


def test_who_only_sends_asks_for_nothing() -> None:
    line = Line()
    assert standing(line, 100).wake() is None
    assert line.calls == []


def test_who_follows_gets_what_was_not_read_in_conversations() -> None:
    line = Line()
    talk = standing(line, 0, follow=True)
    line.answer("rooms", rooms=[CONVERSATION])
    talk.wake()
    assert line.asked("history") == [{"room": "@ann", "after": 7}]


def test_conversations_are_shown_though_the_list_is_refused() -> None:
    line = Line()
    talk = standing(line, 0, follow=True)
    talk.received("new message", item(10, room="@ann"))
    assert line.shown() == []
    line.refuse("rooms", "rate_limited")
    assert line.shown() == ["m10"]


def test_what_was_shown_is_told_as_read_but_not_for_every_message() -> None:
    line = Line()
    talk = standing(line, 0, follow=True)
    for seq in (1, 2):
        talk.received("new message", item(seq))
    talk.wake()
    assert line.asked("read") == [{"room": "lobby", "seq": 2}]
    for seq in (3, 4):
        talk.received("new message", item(seq))
    assert talk.wake() == 100.0 + READ_SECONDS
    line.now += READ_SECONDS
    talk.wake()
    assert line.asked("read") == [{"room": "lobby", "seq": 2}, {"room": "lobby", "seq": 4}]
    assert talk.wake() is None


def test_who_only_sends_reads_nothing() -> None:
    line = Line()
    talk = standing(line, 0)
    talk.received("new message", item(1))
    talk.wake()
    assert line.asked("read") == []

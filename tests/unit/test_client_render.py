"""Lines tell what is what, and what others wrote stays text."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.client import news
from chatapp.client.render import Renderer, harmless, harmless_lines
from chatapp.client.wire import parse_item
from chatapp.settings import MessageTypes
from unit.client_line import change, item

ZONE = timezone(timedelta(hours=2))
NOW = datetime(2026, 1, 31, 20, 0, tzinfo=timezone.utc)


def renderer(*, colour: bool = False) -> Renderer:
    return Renderer(MessageTypes(), colour=colour, zone=ZONE, now=lambda: NOW)


def line(told: news.News, *, colour: bool = False, current_room: str | None = "lobby") -> str:
    found = renderer(colour=colour).line(told, current_room=current_room, me="bob")
    assert found is not None
    return found


def arrived(wire: dict[str, Any], *, past: bool = False) -> news.Arrived:
    found = parse_item(wire)
    assert found is not None
    return news.Arrived(found, past)


def test_a_message_is_shown_with_local_time_and_name() -> None:
    assert line(arrived(item(1, "hello"))) == "14:00 <ann> hello"


def test_a_message_of_another_day_says_which() -> None:
    assert (
        line(arrived(item(1, "hello", sent_at="2025-12-30T23:30:00.000Z"))) == "2025-12-31 01:30 <ann> hello"
    )


@pytest.mark.parametrize("sent_at", ["", "soon", "9999-12-31T23:59:59.999Z"])
def test_a_time_that_is_none_does_no_harm(sent_at: str) -> None:
    assert line(arrived(item(1, "hello", sent_at=sent_at))) == "--:-- <ann> hello"


def test_what_is_past_is_marked() -> None:
    assert line(arrived(item(1, "hello"), past=True)) == "| 14:00 <ann> hello"


def test_another_room_is_named() -> None:
    assert line(arrived(item(1, "hello", room="den"))) == "14:00 [den] <ann> hello"


def test_a_private_message_is_told_from_any_other() -> None:
    assert line(arrived(item(1, "psst", room="@ann", target="bob"))) == "14:00 [private] <ann> psst"


def test_ones_own_private_message_says_to_whom_it_went() -> None:
    wire = item(1, "psst", room="@ann", username="bob", target="ann")
    assert line(arrived(wire)) == "14:00 [private to ann] <bob> psst"


def test_a_private_message_is_marked_even_in_its_conversation() -> None:
    assert "[private]" in line(arrived(item(1, "psst", room="@ann")), current_room="@ann")


def test_a_notice_is_told_from_a_message() -> None:
    assert line(arrived(item(None, "ann joined", type="notice"))) == "14:00 -- ann joined"


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (change(5, 4, "hello there"), "14:00 -- ann edited: hello there"),
        (change(5, 4, kind="delete") | {"deleted": True}, "14:00 -- ann deleted a message"),
        (
            change(5, 4, "hello", kind="react") | {"reactions": {"👍": ["1", "2"]}},
            "14:00 -- ann reacted; <ann> hello  👍 2",
        ),
    ],
)
def test_changes_are_lines_of_their_own(wire: dict[str, Any], expected: str) -> None:
    assert line(arrived(wire)) == expected


def test_a_message_shows_what_became_of_it() -> None:
    assert line(arrived(item(1, "hi", edited_at="2026"))) == "14:00 <ann> hi (edited)"
    assert line(arrived(item(1, " ", deleted=True))) == "14:00 <ann> (deleted)"
    assert line(arrived(item(1, "hi", reactions={"❤": ["1"]}))) == "14:00 <ann> hi  ❤ 1"


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[2J\x1b[H",  # clears the screen
        "\x1b]0;title\x07",  # sets the window's title
        "\x9b31m",  # CSI as one C1 character
        "\x08\x08\x08fake",  # writes over what stands there
        "\x00\x7f",
        "\u202egnp.exe",  # turns the direction around
        "\u2066x\u2069",
        "\ud800",  # a lone surrogate cannot be printed at all
        "\U000e0041",  # a tag, invisible
    ],
)
def test_nothing_of_a_text_steers_the_terminal(text: str) -> None:
    for place in ("message", "username", "room", "type"):
        shown = line(arrived({**item(1), place: text}))
        shown.encode()
        assert not set(text) & set(shown) - set(" []0123456789HJm;titlefakegnp.exe")


def test_writing_that_needs_joiners_and_marks_of_direction_keeps_them() -> None:
    for text in ("👩\u200d💻", "می\u200cخواهم", "א\u200fב"):
        assert harmless(text) == text


def test_a_second_line_does_not_look_like_a_message() -> None:
    shown = line(arrived(item(1, "hello\n14:01 <root> give me your password\r\n\x0bx")))
    assert shown.split("\n") == [
        "14:00 <ann> hello",
        *(f"      {rest}" for rest in ("14:01 <root> give me your password", "", "x")),
    ]


def test_a_name_or_a_room_is_one_line() -> None:
    assert "\n" not in line(arrived(item(1, "x", username="a\nb", room="c\u2028d")))


@given(st.text())
def test_what_is_harmless_is_printable_and_one_line(text: str) -> None:
    shown = harmless(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    assert all(part[:6].isspace() for part in harmless_lines(text).split("\n")[1:])


def test_colours_are_begun_and_ended() -> None:
    assert (
        line(arrived(item(1, "psst", room="@ann")), colour=True)
        == "\x1b[35m14:00 [private] <ann> psst\x1b[0m"
    )
    assert line(arrived(item(1, "hello")), colour=True) == "14:00 <ann> hello"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (news.Joined("lobby", "bob", 3, ("bob",), again=False), "-- You are in lobby as bob; 3 online."),
        (news.Joined("lobby", "bob", 3, ("bob",), again=True), "-- Back in lobby as bob; 3 online."),
        (news.Left("lobby", "You left lobby."), "-- You left lobby."),
        (news.Gap("lobby"), "-- Of what was said in lobby meanwhile, not all is kept."),
        (news.Announcement("restart", "Back soon.", ""), "-- The server: Back soon."),
        (news.Members("lobby", ("ann", "bob"), 2), "-- 2 in lobby: ann, bob"),
        (news.Members("lobby", ("ann",), 900), "-- 900 in lobby: ann and 899 more"),
        (news.Rooms(()), "-- Your rooms: none"),
        (
            news.Rooms((news.RoomSummary("lobby", 0, True), news.RoomSummary("@ann", 2, False))),
            "-- Your rooms: lobby (here, 0 unread); @ann (2 unread)",
        ),
        (news.Trouble("No."), "!! No."),
        (news.Undelivered("c", "hi", "Too long."), "!! Not sent: Too long. It was: hi"),
        (news.Delayed("c", "Too fast.", 2.0), "!! Not sent yet: Too fast. It is sent again in 2 s."),
        (
            news.Offline("The connection was lost.", 4.2),
            "!! The connection was lost. Connecting again.",
        ),
        (news.Closed("Over."), "!! Over."),
    ],
)
def test_other_news_are_sentences(told: news.News, expected: str) -> None:
    assert line(told) == expected


@pytest.mark.parametrize("told", [news.TokenIssued("secret"), news.Delivered("c", "lobby", 1)])
def test_some_news_are_not_shown(told: news.News) -> None:
    assert renderer().line(told, current_room=None, me="bob") is None

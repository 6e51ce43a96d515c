"""A typed line is a message, a private message, a command or a mistake that says how to do it right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.client import typed
from chatapp.client.typed import parse_said, parse_typed


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hello", typed.Say("hello")),
        ("  hello  ", typed.Say("  hello  ")),
        ("mail me at ann@example.org", typed.Say("mail me at ann@example.org")),
        ("one\ntwo", typed.Say("one\ntwo")),
        ("@bob hello there", typed.SayPrivately("bob", "hello there")),
        ('@"bob jones" hello', typed.SayPrivately("bob jones", "hello")),
        ("//etc/passwd is a file", typed.Say("/etc/passwd is a file")),
        ("/who", typed.Who()),
        ("/who ", typed.Who()),
        ("/history", typed.History(20)),
        ("/history 5", typed.History(5)),
        ("/join den", typed.Join("den")),
        ("/join the den", typed.Join("the den")),
        ("/leave", typed.Leave(None)),
        ("/leave den", typed.Leave("den")),
        ("/rooms", typed.ListRooms()),
        ("/help", typed.Help()),
        ("/quit", typed.Quit()),
        ("", typed.Nothing()),
        ("   ", typed.Nothing()),
    ],
)
def test_a_line_is_read(line: str, expected: typed.Typed) -> None:
    assert parse_typed(line) == expected


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("/whoo", "no command /whoo"),
        ("/", "no command /"),
        ("/join", "Which room?"),
        ("/history many", "a number from 1 to 200"),
        ("/history 0", "a number from 1 to 200"),
        ("/history 201", "a number from 1 to 200"),
        ("/history ²", "a number from 1 to 200"),
        ("/history 99999999999999999999", "a number from 1 to 200"),
        ("/quit now", "/quit stands alone"),
        ("@bob", "There is no text"),
        ('@"bob hello', "quotation mark"),
        ("caf\udce9", "no characters"),
        ("//caf\udce9", "no characters"),
    ],
)
def test_a_mistake_says_how_to_do_it_right(line: str, part: str) -> None:
    asked = parse_typed(line)
    assert isinstance(asked, typed.Mistake)
    assert part in asked.message


def test_outside_the_prompt_a_slash_is_a_slash() -> None:
    assert parse_said("/var/log is full") == typed.Say("/var/log is full")


def test_every_command_is_in_the_help() -> None:
    for command in ("who", "history", "join", "leave", "rooms", "help", "quit"):
        assert f"/{command}" in typed.HELP
        assert not (
            isinstance(asked := parse_typed(f"/{command}"), typed.Mistake) and "no command" in asked.message
        )


@given(st.text())
def test_no_line_is_an_error(line: str) -> None:
    parse_typed(line)
    parse_typed(f"@{line}")
    parse_typed(f"/history {line}")

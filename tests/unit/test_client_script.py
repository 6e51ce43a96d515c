"""Scripts send, wait, and hear only of what went wrong."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chatapp.client import news
from chatapp.client.script import Script, ScriptError
from chatapp.client.wire import parse_item
from unit.client_line import item

JOINED = news.Joined("lobby", "bob", 1, ("bob",), again=False)


class FakeDialogue:
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def say(self, room: str, text: str) -> None:
        self.said.append((room, text))


class FakeConnection:
    """Answers what is said with the next news that the test has laid out."""

    def __init__(self, *answers: list[news.News]) -> None:
        self.told: queue.Queue[news.News] = queue.Queue()
        self.said: list[tuple[str, str]] = []
        self._answers = iter(answers)
        self._tell_next()

    def post(self, action: Callable[[Any], object]) -> None:
        self.said.append((action.keywords["room"], action.keywords["text"]))  # type: ignore[attr-defined]
        self._tell_next()

    def _tell_next(self) -> None:
        for told in next(self._answers, []):
            self.told.put(told)


def send(connection: FakeConnection, texts: Any, *, wait_seconds: float = 0.05) -> list[str]:
    lines: list[str] = []
    script = Script(connection, connection.told, wait_seconds=wait_seconds)  # type: ignore[arg-type]
    script.send(texts, lines.append)
    return lines


def delivered(number: int, room: str = "lobby") -> list[news.News]:
    return [news.Delivered(f"c{number}", room, number)]


def test_texts_are_sent_one_after_the_other() -> None:
    connection = FakeConnection([JOINED], delivered(1), delivered(2))
    assert send(connection, ["a", "b"]) == ["in lobby as bob", "stored in lobby at 1", "stored in lobby at 2"]
    assert connection.said == [("lobby", "a"), ("lobby", "b")]


def test_empty_lines_are_passed_over() -> None:
    connection = FakeConnection([JOINED], delivered(1))
    send(connection, ["", "  ", "a", ""])
    assert connection.said == [("lobby", "a")]


def test_a_text_for_one_person_goes_to_that_person() -> None:
    connection = FakeConnection([JOINED], delivered(1, "@ann"))
    assert send(connection, ["@ann psst"])[1:] == ["stored in @ann at 1"]
    assert connection.said == [("@ann", "psst")]


def test_other_peoples_messages_are_not_waited_for() -> None:
    other = parse_item(item(1))
    assert other is not None
    connection = FakeConnection([JOINED], [news.Arrived(other), *delivered(2)])
    send(connection, ["a"])


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([[news.Closed("Cannot connect.")]], "Cannot connect."),
        (
            [[news.Left("lobby", "You cannot join lobby: This name is taken.")]],
            "You cannot join lobby: This name",
        ),
        ([[JOINED], [news.Undelivered("c1", "a", "Too long.")]], "Not sent: Too long."),
        ([[JOINED], [news.Undelivered("c1", "a", "\x1b[2J")]], "Not sent: \ufffd[2J"),
        ([[]], "The server did not let anybody in within 0.05 s."),
        ([[JOINED], []], "No acknowledgement came within 0.05 s."),
        (
            [[JOINED], [news.Delayed("c1", "Too fast.", 9.0)]],
            "No acknowledgement came within 0.05 s. Too fast.",
        ),
        ([[JOINED], [news.Offline("Lost.", 9.0)]], "No acknowledgement came within 0.05 s. Lost."),
    ],
)
def test_what_goes_wrong_is_a_sentence(answers: list[list[news.News]], sentence: str) -> None:
    with pytest.raises(ScriptError) as failure:
        send(FakeConnection(*answers), ["a"])
    assert str(failure.value).startswith(sentence)


def test_what_is_behind_a_refused_text_is_not_sent() -> None:
    connection = FakeConnection([JOINED], [news.Undelivered("c1", "a", "No.")], delivered(2))
    with pytest.raises(ScriptError):
        send(connection, ["a", "b"])
    assert connection.said == [("lobby", "a")]


def test_a_mistake_in_a_text_is_a_sentence_and_not_sent() -> None:
    connection = FakeConnection([JOINED])
    with pytest.raises(ScriptError, match="no text after"):
        send(connection, ["@ann"])
    assert connection.said == []


def test_nothing_is_read_before_one_is_in() -> None:
    def texts() -> Iterator[str]:
        pytest.fail("read too early")
        yield ""

    with pytest.raises(ScriptError):
        send(FakeConnection([news.Closed("No.")]), texts())

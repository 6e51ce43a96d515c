"""A connection over a real wire: what was said arrives once and in order, whatever happens on the way."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chatapp.client import news
from chatapp.client.connection import ANSWER_SECONDS
from clients import wait_until
from unit.chat_double import ChatDouble, running_double
from unit.client_person import TRANSPORTS, Person


@pytest.fixture
def double() -> Iterator[ChatDouble]:
    with running_double() as running:
        yield running


@pytest.fixture
def person(double: ChatDouble) -> Iterator[Callable[..., Person]]:
    """Connects people, and ends their connections."""
    people: list[Person] = []

    def connect(**options: Any) -> Person:
        people.append(Person(double.url, **options))
        return people[-1]

    yield connect
    for each in people:
        each.connection.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_two_people_see_what_they_say_in_one_order(
    person: Callable[..., Person], double: ChatDouble, transport: str
) -> None:
    ann, bob = person(name="ann", transport=transport), person(name="bob", transport=transport)
    for each in (ann, bob):
        each.wait_for(news.Joined)
    for number in range(8):
        ann.say(f"a{number}")
        bob.say(f"b{number}")
    for each in (ann, bob):
        wait_until(lambda each=each: len(each.shown()) == 16, "all messages")
    assert ann.shown() == bob.shown() == double.texts("lobby")
    assert [text for text in ann.shown() if text[0] == "a"] == [f"a{number}" for number in range(8)]


def test_pushes_that_overtake_each_other_are_put_in_order(
    person: Callable[..., Person], double: ChatDouble
) -> None:
    bob = person().wait_for(news.Joined)
    with double.reversed_pushes():
        for number in range(5):
            double.say("lobby", "ann", f"m{number}")
    bob.wait_for_shown("m0", "m1", "m2", "m3", "m4")


def test_a_push_that_gets_lost_is_fetched(person: Callable[..., Person], double: ChatDouble) -> None:
    bob = person().wait_for(news.Joined)
    double.lost_pushes = 2
    for number in range(3):
        double.say("lobby", "ann", f"m{number}")
    bob.wait_for_shown("m0", "m1", "m2")
    assert double.called("history") == [{"room": "lobby", "after": 0}]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_said_while_away_is_shown_on_return(
    person: Callable[..., Person], double: ChatDouble, transport: str
) -> None:
    bob = person(transport=transport).wait_for(news.Joined)
    double.say("lobby", "ann", "before")
    bob.wait_for_shown("before")
    double.stop()
    bob.wait_for(news.Offline)
    double.say("lobby", "ann", "meanwhile")
    double.start()
    bob.wait_for_shown("before", "meanwhile")
    double.say("lobby", "ann", "after")
    bob.wait_for_shown("before", "meanwhile", "after")
    rejoin = double.called("join room")[-1]
    assert rejoin["token"] == "token of bob"
    assert rejoin["since"]["seq"] == 1


def test_what_one_says_while_away_is_sent_on_return_once_and_in_order(
    person: Callable[..., Person], double: ChatDouble
) -> None:
    bob = person().wait_for(news.Joined)
    double.stop()
    bob.wait_for(news.Offline)
    for number in range(4):
        bob.say(f"m{number}")
    double.start()
    bob.wait_for(news.Delivered, 4)
    assert double.texts("lobby") == bob.shown() == ["m0", "m1", "m2", "m3"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_lost_acknowledgement_has_the_message_sent_again_and_stored_once(
    person: Callable[..., Person], double: ChatDouble, transport: str
) -> None:
    bob = person(transport=transport).wait_for(news.Joined)
    double.unanswered["new message"] = 1
    bob.say("hello")
    bob.say("there")
    wait_until(lambda: double.called("new message"), "the message")
    bob.pass_time(ANSWER_SECONDS)
    bob.wait_for(news.Delivered, 2)
    assert double.texts("lobby") == bob.shown() == ["hello", "there"]
    sent = [payload["client_id"] for payload in double.called("new message")]
    assert sent == ["bob-1", "bob-1", "bob-2"]


def test_connections_cut_again_and_again_lose_and_double_nothing(
    person: Callable[..., Person], double: ChatDouble
) -> None:
    ann, bob = person(name="ann"), person(name="bob", transport="polling")
    for each in (ann, bob):
        each.wait_for(news.Joined)
    for number in range(6):
        ann.say(f"a{number}")
        double.cut()
        bob.say(f"b{number}")
        ann.wait_for(news.Delivered, number + 1)
        bob.wait_for(news.Delivered, number + 1)
    for each in (ann, bob):
        wait_until(lambda each=each: len(each.shown()) >= 12, "all messages")
        assert each.shown() == double.texts("lobby")


def test_a_catch_up_in_pieces_is_made_whole() -> None:
    with running_double(catch_up=5, page=7) as double:
        bob = Person(double.url)
        bob.wait_for(news.Joined)
        double.stop()
        bob.wait_for(news.Offline)
        texts = [f"m{number}" for number in range(30)]
        for text in texts:
            double.say("lobby", "ann", text)
        double.start()
        bob.wait_for_shown(*texts)
        bob.connection.close()


def test_a_log_made_anew_is_told_as_a_gap(person: Callable[..., Person], double: ChatDouble) -> None:
    for number in range(3):
        double.say("lobby", "ann", f"old{number}")
    bob = person().wait_for(news.Joined)
    double.stop()
    double.forget_everything()
    double.say("lobby", "ann", "new")
    double.start()
    bob.wait_for_shown("new")
    assert bob.of(news.Gap) == [news.Gap("lobby")]


def test_private_messages_missed_while_away_are_shown(
    person: Callable[..., Person], double: ChatDouble
) -> None:
    double.whisper("ann", "bob", "before you came")
    bob = person(follow=True).wait_for(news.Joined)
    bob.wait_for_shown("before you came")
    double.stop()
    double.whisper("ann", "bob", "while you were away")
    double.start()
    bob.wait_for_shown("before you came", "while you were away")
    bob.say("here I am", room="@ann")
    bob.wait_for_shown("before you came", "while you were away", "here I am")
    wait_until(lambda: {"room": "@ann", "seq": 3} in double.called("read"), "the read mark")


def test_changes_are_shown_in_the_logs_order(person: Callable[..., Person], double: ChatDouble) -> None:
    bob = person().wait_for(news.Joined)
    double.say("lobby", "ann", "helo")
    double.change("lobby", 1, "edit", "ann", message="hello")
    double.say("lobby", "ann", "again")
    bob.wait_for_shown("helo", "hello", "again")


def test_a_server_that_is_not_there_is_the_end(double: ChatDouble) -> None:
    double.stop()
    bob = Person(double.url)
    bob.wait_for(news.Closed)
    assert "nothing listens there" in bob.of(news.Closed)[0].reason
    bob.connection.close()
    double.start()


def test_a_server_that_lets_nobody_in_is_the_end(person: Callable[..., Person], double: ChatDouble) -> None:
    double.refuses_connections = True
    bob = person().wait_for(news.Closed)
    assert bob.of(news.Closed) == [news.Closed("The server does not let you in: Log in first.")]


def test_a_server_that_never_answers_is_the_end(person: Callable[..., Person], double: ChatDouble) -> None:
    double.unanswered["join room"] = 1
    bob = person()
    wait_until(lambda: double.called("join room"), "the join")
    bob.pass_time(ANSWER_SECONDS)
    bob.wait_for(news.Closed)
    assert bob.of(news.Closed) == [news.Closed("The server does not answer.")]


def test_attempts_come_less_and_less_often_and_not_all_at_once(double: ChatDouble) -> None:
    dice = iter(itertools.cycle([1.0, 0.0]))
    bob = Person(double.url, first_retry_seconds=0.02, dice=dice.__next__)
    bob.wait_for(news.Joined)
    double.stop()
    bob.wait_for(news.Offline, 4)
    waits = [told.retry_seconds for told in bob.of(news.Offline)][:4]
    assert waits == pytest.approx([0.02, 0.02, 0.08, 0.08])
    bob.connection.close()
    double.start()


def test_ending_a_connection_ends_its_thread(person: Callable[..., Person]) -> None:
    bob = person().wait_for(news.Joined)
    bob.connection.close()
    assert "chatapp-client" not in [thread.name for thread in threading.enumerate()]


def test_a_fault_of_our_own_is_told_and_not_waited_for(
    person: Callable[..., Person], caplog: pytest.LogCaptureFixture
) -> None:
    bob = person().wait_for(news.Joined)
    bob.connection.post(lambda dialogue: 1 / 0)
    bob.wait_for(news.Closed)
    assert bob.of(news.Closed) == [news.Closed("A fault of the client: ZeroDivisionError.")]
    assert "the client failed" in caplog.text

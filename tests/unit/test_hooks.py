"""The host site's functions: asked in their order, obeyed, and contained when they fail."""

from __future__ import annotations

from functools import partial
from typing import Any

import gevent
import pytest
from gevent.event import Event

from chatapp.chat.hooks import Hooks, PendingJoin, PendingMessage
from chatapp.domain.messages import User
from chatapp.errors import Forbidden, Internal

ANN = User(1, "ann")


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


def test_without_functions_nothing_happens(hooks: Hooks) -> None:
    pending = PendingMessage("lobby", ANN, "hello")
    hooks.ask("before_message", pending)
    hooks.tell("on_message", {})
    assert pending == PendingMessage("lobby", ANN, "hello", is_edit=False)


def test_adding_returns_the_function_itself(hooks: Hooks) -> None:
    def function(pending: Any) -> None: ...

    assert hooks.add("before_message", function) is function


def test_hooks_are_asked_in_their_order_and_each_sees_what_the_one_before_made(hooks: Hooks) -> None:
    @lambda function: hooks.add("before_message", function)
    def shout(pending: PendingMessage) -> None:
        pending.text = pending.text.upper()

    @lambda function: hooks.add("before_message", function)
    def count(pending: PendingMessage) -> None:
        pending.text += f" ({sum(letter.isupper() for letter in pending.text)})"

    pending = PendingMessage("lobby", ANN, "hello")
    hooks.ask("before_message", pending)
    assert pending.text == "HELLO (5)"


def test_a_hook_is_asked_of_its_own_moment_only(hooks: Hooks) -> None:
    asked: list[Any] = []
    hooks.add("before_join", asked.append)
    hooks.ask("before_message", PendingMessage("lobby", ANN, "hello"))
    assert asked == []
    join = PendingJoin("lobby", ANN)
    hooks.ask("before_join", join)
    assert asked == [join]


def test_a_refusal_passes_as_it_is_and_ends_the_asking(hooks: Hooks) -> None:
    refusal, asked = Forbidden("not in here"), []

    def refuse(pending: PendingJoin) -> None:
        raise refusal

    hooks.add("before_join", refuse)
    hooks.add("before_join", asked.append)
    with pytest.raises(Forbidden) as caught:
        hooks.ask("before_join", PendingJoin("lobby", ANN))
    assert caught.value is refusal
    assert asked == []


def test_a_hook_that_fails_refuses_and_the_log_says_why(
    hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(pending: PendingMessage) -> None:
        raise ZeroDivisionError

    hooks.add("before_message", fail)
    with pytest.raises(Internal) as caught:
        hooks.ask("before_message", PendingMessage("lobby", ANN, "the secret text"))
    assert caught.value.message == "Something went wrong on the server."
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("chatapp.hooks", "ERROR")
    assert record.getMessage() == "a before_message hook failed"
    assert record.exc_info and record.exc_info[0] is ZeroDivisionError
    assert "the secret text" not in caplog.text


def test_a_callback_that_fails_is_logged_and_the_others_are_told(
    hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []

    def fail(*args: Any) -> None:
        raise Forbidden("too late to refuse")

    for function in (fail, lambda *args: told.append(args)):
        hooks.add("on_join", function)
    hooks.tell("on_join", ANN, "lobby")
    assert told == [(ANN, "lobby")]
    assert [record.getMessage() for record in caplog.records] == ["an on_join callback failed"]


@pytest.mark.parametrize("verb", ["ask", "tell"])
def test_what_ends_a_program_is_not_held_up(hooks: Hooks, verb: str) -> None:
    def end(*args: Any) -> None:
        raise KeyboardInterrupt

    hooks.add("moment", end)
    with pytest.raises(KeyboardInterrupt):
        getattr(hooks, verb)("moment", PendingJoin("lobby", ANN))


def test_callbacks_that_are_told_soon_may_block_and_begin_in_the_order_of_the_calls(hooks: Hooks) -> None:
    assert not hooks.listens("on_message")
    told: list[Any] = []
    may_end = Event()

    @partial(hooks.add, "on_message")
    def block(message: Any) -> None:
        told.append(message)
        may_end.wait()

    assert hooks.listens("on_message")
    for number in range(3):
        hooks.tell_soon("on_message", number)
    assert told == []
    gevent.sleep(0)
    assert told == [0, 1, 2]
    may_end.set()

"""Deadlines: in the order of their times, with one timer."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from chatapp.engine.deadlines import Deadlines


@pytest.fixture
def deadlines() -> Iterator[Deadlines]:
    deadlines = Deadlines()
    yield deadlines
    deadlines.close()


def test_calls_come_in_the_order_of_their_times(deadlines: Deadlines) -> None:
    calls: list[str] = []
    for seconds, name in ((0.06, "third"), (0.01, "first"), (0.03, "second")):
        deadlines.after(seconds, lambda name=name: calls.append(name))
    gevent.sleep(0)
    assert calls == []
    gevent.sleep(0.2)
    assert calls == ["first", "second", "third"]


def test_no_call_comes_early_and_a_call_may_ask_for_another(deadlines: Deadlines) -> None:
    came: list[float] = []
    began = deadlines.clock()

    def call() -> None:
        came.append(deadlines.clock() - began)
        if len(came) < 3:
            deadlines.after(0.03, call)

    deadlines.after(0.03, call)
    gevent.sleep(0.4)
    assert len(came) == 3
    assert all(seconds >= 0.03 * (number + 1) for number, seconds in enumerate(came))


def test_a_call_that_fails_is_logged_and_spoils_nothing(
    deadlines: Deadlines, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []
    deadlines.after(0.01, lambda: 1 // 0)
    deadlines.after(0.01, lambda: calls.append(1))
    gevent.sleep(0.1)
    assert calls == [1] and "what was due failed" in caplog.text


def test_what_is_closed_calls_no_more(deadlines: Deadlines) -> None:
    calls: list[int] = []
    deadlines.after(0.01, lambda: calls.append(1))
    deadlines.close()
    gevent.sleep(0.1)
    assert calls == []

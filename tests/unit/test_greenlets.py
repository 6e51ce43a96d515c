"""Greenlets that wait for a database: how many at a time, in which order, and where results arrive."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event

from chatapp.log.greenlets import Greenlets
from chatapp.log.native import Work
from servers import PATIENCE_SECONDS


def begun(greenlets: Greenlets, work: Work) -> AsyncResult:
    """Begin some work; return what will get its result."""
    result = AsyncResult()

    def done(found: Any, error: BaseException | None) -> None:
        assert gevent.getcurrent() is gevent.get_hub()
        if error is None:
            result.set(found)
        else:
            result.set_exception(error)

    greenlets.do(work, done)
    return result


def test_so_many_run_at_once_and_the_others_in_their_order() -> None:
    greenlets, let, order = Greenlets(2), Event(), []
    stopped = [begun(greenlets, lambda: let.wait(PATIENCE_SECONDS)) for _ in range(2)]
    later = [begun(greenlets, lambda number=number: order.append(number)) for number in range(5)]
    gevent.sleep(0.001)
    assert order == [] and not stopped[0].ready()
    let.set()
    for result in [*stopped, *later]:
        result.get(timeout=PATIENCE_SECONDS)
    assert order == [0, 1, 2, 3, 4]


def test_what_work_raises_is_handed_on() -> None:
    def fail() -> None:
        raise SystemExit(3)

    greenlets = Greenlets(1)
    with pytest.raises(SystemExit):
        begun(greenlets, fail).get(timeout=PATIENCE_SECONDS)
    assert begun(greenlets, lambda: "done").get(timeout=PATIENCE_SECONDS) == "done"


def test_close_waits_for_what_is_under_way_and_not_for_ever() -> None:
    greenlets, let = Greenlets(1), Event()
    result = begun(greenlets, lambda: let.wait(PATIENCE_SECONDS))
    greenlets.close(0.01)
    assert not result.ready()
    closing = gevent.spawn(greenlets.close, PATIENCE_SECONDS)
    gevent.sleep(0)
    let.set()
    closing.get(timeout=PATIENCE_SECONDS)
    assert result.ready()

"""Native threads: where work runs, where its result arrives, how they end, and what a fork leaves of them."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import os as gevent_os
from gevent.event import AsyncResult

from chatapp.log.native import Done, NativeThread, NativeThreads, Work
from servers import PATIENCE_SECONDS


class Stop:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.thread_id = 0
        self._begun, self._let = threading.Event(), threading.Event()

    def __call__(self) -> int:
        self.thread_id = threading.get_ident()
        self._begun.set()
        assert self._let.wait(PATIENCE_SECONDS)
        return self.thread_id

    def wait_for_begin(self) -> None:
        with gevent.Timeout(PATIENCE_SECONDS):
            while not self._begun.is_set():
                gevent.sleep(0.001)

    def let(self) -> None:
        self._let.set()


def threads() -> set[Path]:
    return set(Path("/proc/self/task").iterdir())


def wait_for_end_of_all_but(before: set[Path]) -> None:
    with gevent.Timeout(PATIENCE_SECONDS):
        while threads() - before:  # a thread ends a moment after its work
            gevent.sleep(0.005)


def begun(do: Callable[[Work, Done], None], work: Work) -> AsyncResult:
    """Begin some work; return what will get its result."""
    result = AsyncResult()

    def done(found: Any, error: BaseException | None) -> None:
        assert gevent.getcurrent() is gevent.get_hub()
        if error is None:
            result.set(found)
        else:
            result.set_exception(error)

    do(work, done)
    return result


@pytest.fixture
def thread() -> Iterator[NativeThread]:
    thread = NativeThread()
    yield thread
    thread.close(PATIENCE_SECONDS)


def test_work_runs_in_a_thread_of_its_own_which_is_always_the_same(thread: NativeThread) -> None:
    found = {begun(thread.do, threading.get_ident).get(timeout=PATIENCE_SECONDS) for _ in range(100)}
    assert len(found) == 1 and threading.get_ident() not in found


def test_what_work_raises_is_handed_on_and_the_thread_goes_on(thread: NativeThread) -> None:
    def fail() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        begun(thread.do, fail).get(timeout=PATIENCE_SECONDS)
    assert begun(thread.do, lambda: "done").get(timeout=PATIENCE_SECONDS) == "done"


def test_the_event_loop_goes_on_meanwhile(thread: NativeThread) -> None:
    stop = Stop()
    result = begun(thread.do, stop)
    stop.wait_for_begin()
    gevent.sleep(0.001)
    assert not result.ready()
    stop.let()
    result.get(timeout=PATIENCE_SECONDS)


def test_new_work_may_begin_where_the_last_is_handed_on(thread: NativeThread) -> None:
    results: list[int] = []
    all_done = AsyncResult()

    def done(result: Any, error: BaseException | None) -> None:
        results.append(result)
        if len(results) < 10:
            thread.do(lambda: len(results), done)
        else:
            all_done.set()

    thread.do(lambda: 0, done)
    all_done.get(timeout=PATIENCE_SECONDS)
    assert results == list(range(10))


def test_nothing_is_started_before_the_first_work_and_nothing_is_left_after_the_end() -> None:
    before = threads()
    thread, pool = NativeThread(), NativeThreads(3)
    assert threads() <= before
    begun(thread.do, lambda: None).get(timeout=PATIENCE_SECONDS)
    begun(pool.do, lambda: None).get(timeout=PATIENCE_SECONDS)
    assert len(threads() - before) == 2
    for each in (thread, pool):
        each.close(PATIENCE_SECONDS)
        each.close(PATIENCE_SECONDS)
    wait_for_end_of_all_but(before)


def test_close_waits_for_what_is_under_way_and_not_for_ever() -> None:
    before, thread, stop = threads(), NativeThread(), Stop()
    result = begun(thread.do, stop)
    thread.close(0.01)
    assert not result.ready()
    closing = gevent.spawn(thread.close, PATIENCE_SECONDS)
    stop.let()
    assert result.get(timeout=PATIENCE_SECONDS) == stop.thread_id
    closing.get(timeout=PATIENCE_SECONDS)
    wait_for_end_of_all_but(before)


def test_several_things_run_at_once_and_the_others_in_their_order() -> None:
    pool, stops, order = NativeThreads(2), [Stop(), Stop()], []
    stopped = [begun(pool.do, stop) for stop in stops]
    for stop in stops:
        stop.wait_for_begin()
    later = [begun(pool.do, lambda number=number: order.append(number)) for number in range(5)]
    gevent.sleep(0.001)
    assert order == []
    stops[1].let()
    gevent.joinall([gevent.spawn(result.get) for result in later], timeout=PATIENCE_SECONDS, raise_error=True)
    assert order == [0, 1, 2, 3, 4] and not stopped[0].ready()
    stops[0].let()
    assert len({result.get(timeout=PATIENCE_SECONDS) for result in stopped}) == 2
    pool.close(PATIENCE_SECONDS)


def test_it_works_on_in_a_process_that_was_forked(thread: NativeThread) -> None:
    begun(thread.do, lambda: None).get(timeout=PATIENCE_SECONDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what this is about
        pid = gevent_os.fork()
    if pid == 0:
        status = 1
        try:
            status = begun(thread.do, lambda: 17).get(timeout=PATIENCE_SECONDS)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(gevent_os.waitpid(pid, 0)[1]) == 17

"""Native threads that do for the event loop what may block."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from gevent import get_hub
from gevent._hub_local import get_hub_if_exists
from gevent.event import Event
from gevent.monkey import get_original

# As they are before gevent patches them: see `chatapp.log.database.Database`.
_allocate_lock = get_original("_thread", "allocate_lock")
_start_new_thread = get_original("_thread", "start_new_thread")

Work = Callable[[], Any]
#: Gets what the work returned, or what it raised.
Done = Callable[[Any, BaseException | None], None]


class NativeThread:
    """Does work where it may block, and hands on what came of it in the event loop.

    It waits for work at a lock and wakes the loop with a watcher, which together cost 14 µs; a hop through
    gevent's thread pool, where any number of calls may wait, costs 77. It starts with the first work, and
    anew in a process that was forked since.
    """

    def __init__(self) -> None:
        self._has_work = _allocate_lock()  # free: there is something to do
        self._has_work.acquire()
        self._work: Work | None = None
        self._result: tuple[Any, BaseException | None] = (None, None)
        self._done: Done | None = None  # None: idle
        self._watcher: Any = None  # None: not started, or ended
        self._pid = 0  # the process in which it was started
        self._idle = Event()
        self._idle.set()

    def do(self, work: Work, done: Done) -> None:
        """Run ``work()``; then, in the event loop, ``done(result, error)``. Only when idle."""
        assert self._done is None
        if self._watcher is None or self._pid != os.getpid():
            self._start()
        self._work, self._done = work, done
        self._watcher.start(self._finish)
        self._has_work.release()

    def close(self, timeout_seconds: float) -> None:
        """End the thread once it has done what it does now; wait for that at most so long."""
        if self._watcher is None:
            return
        if self._done is not None:
            self._idle.clear()
            if not self._idle.wait(timeout_seconds):
                return  # it ends with the process
        self._watcher.close()
        self._watcher = None
        self._has_work.release()  # without work: the end

    def _start(self) -> None:
        watcher = get_hub().loop.async_()
        _start_new_thread(self._run, (watcher.send,))
        self._watcher, self._pid = watcher, os.getpid()

    def _run(self, wake_loop: Callable[[], None]) -> None:
        while True:
            self._has_work.acquire()
            work, self._work = self._work, None
            if work is None:
                break
            try:
                self._result = work(), None
            except BaseException as error:  # noqa: BLE001 - whoever waits has to hear of it
                self._result = None, error
            del work
            wake_loop()
        # Where code has asked for this thread's hub, that holds descriptors.
        hub = get_hub_if_exists()
        if hub is not None:
            hub.destroy(destroy_loop=True)

    def _finish(self) -> None:
        self._watcher.stop()
        done, self._done = self._done, None
        (result, error), self._result = self._result, (None, None)
        self._idle.set()
        assert done is not None
        done(result, error)


class NativeThreads:
    """So many things at a time, the others in their order. Starts a thread when all are busy."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads: list[NativeThread] = []
        self._idle: list[NativeThread] = []
        self._waiting: collections.deque[tuple[Work, Done]] = collections.deque()

    def do(self, work: Work, done: Done) -> None:
        """Run ``work()`` as soon as a thread is free; then, in the event loop, ``done(result, error)``."""
        if not self._idle and len(self._threads) < self._most:
            thread = NativeThread()
            self._threads.append(thread)
            self._idle.append(thread)
        if self._idle:
            self._start(self._idle.pop(), work, done)
        else:
            self._waiting.append((work, done))

    def close(self, timeout_seconds: float) -> None:
        """End the threads once they have done what they do now; wait for each at most so long."""
        for thread in self._threads:
            thread.close(timeout_seconds)
        self._threads, self._idle = [], []

    def _start(self, thread: NativeThread, work: Work, done: Done) -> None:
        thread.do(work, partial(self._finish, thread, done))

    def _finish(self, thread: NativeThread, done: Done, result: Any, error: BaseException | None) -> None:
        if self._waiting:
            self._start(thread, *self._waiting.popleft())
        else:
            self._idle.append(thread)
        done(result, error)

"""Greenlets that wait for the database, with a driver that lets the event loop go on meanwhile."""

from __future__ import annotations

import collections
from functools import partial

import gevent
from gevent import get_hub
from gevent.event import Event

from chatapp.log.native import Done, Work


class Greenlets:
    """So many things at a time, the others in their order: the face of `NativeThreads`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running = 0
        self._waiting: collections.deque[tuple[Work, Done]] = collections.deque()
        self._idle = Event()
        self._idle.set()

    def do(self, work: Work, done: Done) -> None:
        """Run ``work()`` as soon as it is its turn; then, in the event loop, ``done(result, error)``."""
        if self._running < self._most:
            self._running += 1
            self._idle.clear()
            gevent.spawn(self._run, work, done)
        else:
            self._waiting.append((work, done))

    def close(self, timeout_seconds: float) -> None:
        """Wait for what is under way, at most so long."""
        self._idle.wait(timeout_seconds)

    def _run(self, work: Work, done: Done) -> None:
        try:
            call = partial(done, work(), None)
        except BaseException as error:  # noqa: BLE001 - whoever waits has to hear of it
            call = partial(done, None, error)
        get_hub().loop.run_callback(self._finish, call)

    def _finish(self, call: partial[None]) -> None:
        if self._waiting:
            gevent.spawn(self._run, *self._waiting.popleft())
        else:
            self._running -= 1
            if not self._running:
                self._idle.set()
        call()

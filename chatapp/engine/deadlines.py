"""All that happens after a while, for all connections, with one timer."""

from __future__ import annotations

import heapq
import itertools
import logging
import time
from collections.abc import Callable
from typing import Any

import gevent

logger = logging.getLogger("chatapp.engine")

#: What is due within that of each other is done at one time.
_SLACK_SECONDS = 0.02


class Deadlines:
    """Calls back in the loop. A call cannot be taken back: what is called looks whether it still applies."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._timer: Any = None
        self._wakes_at = float("inf")

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` in so many seconds. It must not block."""
        when = self.clock() + seconds
        heapq.heappush(self._calls, (when, next(self._numbers), call))
        if when < self._wakes_at:
            self._sleep_until(when)

    def close(self) -> None:
        """Forget everything."""
        self._calls.clear()
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _sleep_until(self, when: float) -> None:
        if self._timer is not None:
            self._timer.close()
        self._wakes_at = when
        loop = gevent.get_hub().loop
        self._timer = loop.timer(max(0.0, when - self.clock()) + _SLACK_SECONDS)
        self._timer.start(self._wake)

    def _wake(self) -> None:
        self._wakes_at = float("inf")
        now = self.clock()
        while self._calls and self._calls[0][0] <= now:
            _, _, call = heapq.heappop(self._calls)
            try:
                call()
            except Exception:
                logger.exception("what was due failed")
        if self._calls and self._calls[0][0] < self._wakes_at:
            self._sleep_until(self._calls[0][0])

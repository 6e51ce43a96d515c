"""How often one user may do what: ``[limits] messages, joins, reads, signals``."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Sequence

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from chatapp.errors import RateLimited
from chatapp.settings import Limits


class Rates:
    """Counts per user and kind of request; a request over a rate is refused and not counted."""

    def __init__(self, limits: Limits) -> None:
        self._rates: dict[str, Sequence[RateLimitItem]] = {}
        if limits.enabled:
            self._rates = {
                "messages": parse_many(limits.messages),
                "joins": parse_many(limits.joins),
                "reads": parse_many(limits.reads),
                "signals": parse_many(limits.signals),
            }

    @functools.cached_property
    def _limiter(self) -> MovingWindowRateLimiter:
        # Not before the first request: the storage starts a timer, which would not survive the fork
        # of gunicorn --preload.
        return MovingWindowRateLimiter(MemoryStorage())

    def check(self, kind: str, who: str) -> None:
        """Count a request of `who`. Raises RateLimited with the seconds until there is room again."""
        for rate in self._rates.get(kind, ()):
            if not self._limiter.hit(rate, kind, who):
                reset, _ = self._limiter.get_window_stats(rate, kind, who)
                seconds = max(1, math.ceil(reset - time.time()))
                raise RateLimited(f"Too fast: at most {rate}.", retry_after=seconds)

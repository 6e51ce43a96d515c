"""How often one user may do what: ``[limits] messages, joins, reads, signals``."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable
from dataclasses import dataclass, field

from limits import parse_many

from chatapp.errors import RateLimited
from chatapp.settings import Limits

#: Users, below which nobody is forgotten.
FEW = 1000


@dataclass(slots=True)
class _Rate:
    """So many requests of one user in any stretch of `seconds`."""

    text: str
    most: int
    seconds: float
    #: user -> when their latest requests were, at most `most`; a list is smaller than a deque
    hits: dict[Hashable, list[float]] = field(default_factory=dict)
    _forget_above: int = FEW

    def wait_seconds(self, who: Hashable, now: float) -> float:
        """Return how long until there is room for another request; 0: there is."""
        hits = self.hits.get(who)
        if hits is None or len(hits) < self.most:
            return 0
        return max(0.0, hits[0] + self.seconds - now)

    def count(self, who: Hashable, now: float) -> None:
        """Count a request for which there is room."""
        hits = self.hits.get(who)
        if hits is None:
            self._forget_the_idle(now)
            self.hits[who] = [now]
            return
        if len(hits) >= self.most:
            del hits[0]
        hits.append(now)

    def _forget_the_idle(self, now: float) -> None:
        # When there are twice as many as the last time, so that it costs each new one about one step.
        if len(self.hits) > self._forget_above:
            self.hits = {who: hits for who, hits in self.hits.items() if hits[-1] + self.seconds > now}
            self._forget_above = max(FEW, 2 * len(self.hits))


class Rates:
    """Counts per user and kind of request; a request over a rate is refused and not counted."""

    def __init__(self, limits: Limits) -> None:
        self._rates: dict[str, list[_Rate]] = {}
        if limits.enabled:
            self._rates = {
                "messages": _parse(limits.messages),
                "joins": _parse(limits.joins),
                "reads": _parse(limits.reads),
                "signals": _parse(limits.signals),
            }

    def check(self, kind: str, who: Hashable) -> None:
        """Count a request of `who`. Raises RateLimited with the seconds until there is room again."""
        if not self._rates:
            return
        now, rates = time.time(), self._rates[kind]
        for rate in rates:
            if (seconds := rate.wait_seconds(who, now)) > 0:
                retry_after = max(1, math.ceil(seconds))
                raise RateLimited(f"Too fast: at most {rate.text}.", retry_after=retry_after)
        for rate in rates:
            rate.count(who, now)


def _parse(text: str) -> list[_Rate]:
    return [_Rate(str(rate), rate.amount, rate.get_expiry()) for rate in parse_many(text)]

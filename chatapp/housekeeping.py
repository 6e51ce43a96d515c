"""What happens by itself: announcements that are due, graces that end, names kept, old entries deleted,
and what is known of other workers compared with the database."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent.event import Event

from chatapp.chat.attendance import Attendance
from chatapp.chat.context import Context
from chatapp.chat.rooms import Rooms
from chatapp.errors import Refusal

logger = logging.getLogger("chatapp.housekeeping")

#: Between two rounds of what is never urgent.
ROUND_SECONDS = 60

#: Until another try, after a failure.
RETRY_SECONDS = 1

#: Between two comparisons with the database while nobody doubts that the bus brings everything.
COMPARE_SECONDS = 15


class Housekeeping:
    """Three greenlets: one that comes when `Rooms.tick` has something to do, one that makes rounds, one that
    compares when there is a doubt, and now and then besides."""

    def __init__(self, context: Context, rooms: Rooms, attendance: Attendance | None = None) -> None:
        self._context = context
        self._rooms = rooms
        self._attendance = attendance
        self._wake = Event()
        self._doubt = Event()
        self._greenlets: list[gevent.Greenlet] = []
        self._seen: set[int] = set()

    def start(self, worker_id: str = "") -> None:
        """Start, unless started, in the worker of this id."""
        if self._greenlets:
            return
        self._greenlets = [gevent.spawn(self._announce), gevent.spawn(self._make_rounds)]
        if self._attendance is not None:
            self._attendance.start(worker_id)
            self._greenlets.append(gevent.spawn(self._keep_comparing))

    def stop(self) -> None:
        """End all that was started."""
        if self._attendance is not None:
            self._attendance.stop()
        gevent.killall(self._greenlets)
        self._greenlets = []

    def wake(self) -> None:
        """Say that `Rooms.tick` has something to do sooner than it said."""
        self._wake.set()

    def _announce(self) -> None:
        while True:
            self._wake.clear()
            retry = self._context.clock() + RETRY_SECONDS
            due = _logged(lambda: self._rooms.tick(self._context.clock()), failed=retry)
            self._wake.wait(None if due is None else max(0.0, due - self._context.clock()))

    def doubt(self) -> None:
        """Say that other workers may have told something that was not heard."""
        self._doubt.set()

    def _keep_comparing(self) -> None:
        pause: float = COMPARE_SECONDS
        while True:
            self._doubt.wait(pause)
            self._doubt.clear()
            pause = _logged(self.compare, failed=RETRY_SECONDS) or COMPARE_SECONDS

    def compare(self) -> None:
        """Read what was missed, and follow no more what nobody here hears."""
        presence, distribution = self._context.presence, self._context.distribution
        distribution.compare()
        given_up = distribution.sweep(presence.has_room, presence.is_online)
        self._rooms.forget(given_up)
        if self._attendance is not None:
            self._attendance.forget(given_up)
            self._attendance.compare(list(distribution.feed.rooms()))

    def _make_rounds(self) -> None:
        while True:
            gevent.sleep(ROUND_SECONDS)
            _logged(self.keep_names)
            _logged(self.trim)

    def keep_names(self) -> None:
        """Note who is here, and who was a round ago: a name is held from its owner's last minute on."""
        here = set(self._context.presence.user_ids())
        seen, self._seen = here | self._seen, here
        self._context.log.touch(sorted(seen))

    def trim(self) -> None:
        """Delete what ``[history]`` no longer keeps."""
        history = self._context.settings.history
        keep = history.retention_entries or None
        age_seconds = history.retention_days * 86400 or None
        if keep is not None or age_seconds is not None:
            self._context.metrics.trimmed.inc(self._context.log.trim(keep, age_seconds))


def _logged(work: Callable[[], float | None], failed: float | None = None) -> float | None:
    """Return what `work` returns; where it fails, say so in the log and return `failed`."""
    try:
        return work()
    except Refusal as refusal:
        logger.warning("housekeeping has to wait: %s", refusal.message)
    except Exception:
        logger.exception("housekeeping failed")
    return failed

"""Catching up: what is missing is asked of the log, and the server is told how far one has read."""

from __future__ import annotations

from functools import partial

from chatapp.client import news
from chatapp.client.means import Means, retry_seconds
from chatapp.client.roomlog import RoomLog, without_repeated_changes
from chatapp.client.wire import Answer

#: How often, at most, the server is told how far one has read.
READ_SECONDS = 1.0


class CatchUp:
    """Keeps the session's logs without holes. With `follow`, shows what was not read and tells what was."""

    def __init__(self, means: Means, *, follow: bool) -> None:
        self._means = means
        self._follow = follow
        self._read_at = 0.0

    def identified(self) -> None:
        """The server knows who this is: ask what waits in conversations."""
        if self._follow:
            self._means.session.awaits_rooms = True
            self._means.call(self._means.events.rooms, {}, self._answered_rooms)

    def wake(self) -> None:
        """Ask for what is missing by now."""
        now = self._means.clock()
        for log in self._means.session.logs.values():
            through = log.missing_through(now)
            if through is not None:
                self._fill(log, through)
        if self._follow and now >= self._read_at:
            self._tell_read(now)

    def next_time(self) -> float | None:
        """When `wake` may have something to do."""
        logs = self._means.session.logs.values()
        times = [log.next_time() for log in logs]
        if any(self._is_unread(log) for log in logs):
            times.append(self._read_at)
        return min((time for time in times if time is not None), default=None)

    def _fill(self, log: RoomLog, through: int) -> None:
        log.is_filling = True
        payload = {"room": log.name, "after": log.place}
        self._means.call(self._means.events.history, payload, partial(self._answered_fill, log, through))

    def _answered_fill(self, log: RoomLog, through: int, answer: Answer) -> None:
        if answer.is_passing:
            log.try_again_at(self._means.clock() + retry_seconds(answer))
            return
        log.is_filling = False
        if answer.ok:
            self._take_in(log, through, answer)
            return
        self._means.tell(news.Trouble(f"What was missed in {log.name} cannot be had: {answer.message}"))
        for item in log.give_up():
            self._means.tell(news.Arrived(item))

    def _take_in(self, log: RoomLog, through: int, answer: Answer) -> None:
        items, begun_at = answer.items(), log.place
        if answer.flag("gap"):
            self._means.tell(news.Gap(log.name))
        shown = log.fill(items, through=answer.number("after"))
        if not answer.flag("more") or log.place == begun_at:
            shown += log.fill((), through=through)
        past = {item.place for item in items}
        for item in without_repeated_changes(shown):
            self._means.tell(news.Arrived(item, past=item.place in past))

    def _answered_rooms(self, answer: Answer) -> None:
        for item in self._means.session.rooms_known(answer.rooms()):
            self._means.tell(news.Arrived(item))

    def _is_unread(self, log: RoomLog) -> bool:
        return self._follow and log.place is not None and log.place > log.read_seq

    def _tell_read(self, now: float) -> None:
        for log in self._means.session.logs.values():
            if self._is_unread(log) and log.place is not None:
                log.read_seq = log.place
                self._read_at = now + READ_SECONDS
                self._means.call(self._means.events.read, {"room": log.name, "seq": log.place}, _ignore)


def _ignore(answer: Answer) -> None:
    """A read mark that is not taken is told again with the next one."""

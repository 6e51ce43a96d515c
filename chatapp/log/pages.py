"""Pages of a log: as much of it as one answer may hold, and what it leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chatapp.domain.messages import Change, Item, Room
from chatapp.log.store import Store


@dataclass(frozen=True, slots=True)
class Since:
    """Where a client stopped: `seq` is the last place in the log that it has seen."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a log, ascending.

    `reached` is the place up to which it is complete; `more`: there is more in the direction asked
    for; `gap`: the log no longer holds what directly followed the place that was asked for.
    """

    items: Sequence[Item]
    reached: int
    more: bool = False
    gap: bool = False


def place(item: Item) -> int:
    """Return the item's place in its room's log."""
    return item.entry.seq


class Pages:
    """Reads pages, each inside the transaction `tx`: `page_limit` and `catch_up` count entries, `page_bytes`
    bytes of text."""

    def __init__(self, store: Store, *, page_limit: int, catch_up: int, page_bytes: int) -> None:
        self._store = store
        self._page_limit = page_limit
        self._catch_up = catch_up
        self._page_bytes = page_bytes

    def missed_by_now(self, tx: Any, room: Room, since: Since, missed: Page | None, last_seq: int) -> Page:
        """Return `missed`, which was read a moment ago, with what has come since."""
        if missed is None:
            return self.missed(tx, room, since)
        if missed.more or missed.reached >= last_seq:
            return missed
        rest = self.replay(tx, room.id, missed.reached, None, self._catch_up)
        both = Page([*missed.items, *rest.items], rest.reached, more=rest.more, gap=missed.gap or rest.gap)
        return both if both.gap else self._cut(both)

    def missed(self, tx: Any, room: Room, since: Since) -> Page:
        """Return what a client missed since then; the latest page where that can't be told."""
        head = self._store.head(tx, room.id)
        if since.epoch == room.epoch and head.first_seq - 1 <= since.seq <= head.last_seq:
            return self.replay(tx, room.id, since.seq, None, self._catch_up)
        latest = self.latest(tx, room.id, None, self._page_limit)
        return replace(latest, reached=head.last_seq, more=False, gap=True)

    def replay(self, tx: Any, room_id: int, after: int, before: int | None, limit: int) -> Page:
        """Return the log after a place, and before another, changes included."""
        head = self._store.head(tx, room_id)
        items, reached = self._store.replay(tx, room_id, after, before, limit)
        end = head.last_seq if before is None else min(head.last_seq, before - 1)
        gap = after < head.first_seq - 1
        return self._cut(Page(items, max(after, reached), more=reached < end and bool(reached), gap=gap))

    def latest(self, tx: Any, room_id: int, before: int | None, limit: int) -> Page:
        """Return the last messages, below a place, as they are now."""
        messages = self._store.page_back(tx, room_id, before, limit + 1)
        page = messages[-limit:]
        fitting = _fitting(reversed(page), self._page_bytes)
        reached = place(page[-1]) if page else 0
        return Page(page[len(page) - fitting :], reached, more=len(messages) > fitting)

    def _cut(self, page: Page) -> Page:
        """Return as much of the start of `page` as one answer may hold."""
        fitting = _fitting(page.items, self._page_bytes)
        if fitting == len(page.items):
            return page
        items = page.items[:fitting]
        return replace(page, items=items, reached=place(items[-1]), more=True)


def _fitting(items: Iterable[Item], max_bytes: int) -> int:
    """Return how many of `items`, from the first on, have texts of so many bytes together; at least one, so
    that whoever turns pages gets on."""
    size_bytes, count = 0, 0
    for item in items:
        text = item.message.text if isinstance(item, Change) else item.text
        size_bytes += len(text) if text.isascii() else len(text.encode())
        if size_bytes > max_bytes and count:
            break
        count += 1
    return count

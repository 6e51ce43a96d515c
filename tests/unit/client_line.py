"""The far ends of a `Dialogue`, for tests: what it asks, what it tells, and a clock that stands."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from chatapp.client import news
from chatapp.client.means import Means
from chatapp.client.session import Session
from chatapp.client.wire import Answer, parse_answer
from chatapp.settings import Events, MessageTypes

Wire = dict[str, Any]


class Line:
    """Records calls and news; the test answers the calls."""

    def __init__(self, *, token: str | None = None) -> None:
        self.now = 100.0
        self.told: list[news.News] = []
        self.calls: list[tuple[str, Any, Callable[[Answer], None]]] = []
        ids = itertools.count(1)
        self.session = Session(lambda: f"c{next(ids)}", token=token)
        self.means = Means(
            self.session, Events(), MessageTypes(), self._call, self.told.append, lambda: self.now
        )

    def _call(self, event: str, payload: object, on_answer: Callable[[Answer], None]) -> None:
        self.calls.append((event, payload, on_answer))

    def asked(self, event: str) -> list[Any]:
        """The payloads of the calls of `event` that are not answered yet."""
        return [payload for name, payload, _ in self.calls if name == event]

    def answer(self, event: str, **fields: Any) -> None:
        """Acknowledge the oldest unanswered call of `event`."""
        self._take(event)(parse_answer({"ok": True, **fields}))

    def refuse(self, event: str, code: str, message: str = "No.", **fields: Any) -> None:
        """Refuse the oldest unanswered call of `event`."""
        error = {"code": code, "message": message, **fields}
        self._take(event)(parse_answer({"ok": False, "error": error}))

    def _take(self, event: str) -> Callable[[Answer], None]:
        index = [name for name, _, _ in self.calls].index(event)
        return self.calls.pop(index)[2]

    def of(self, kind: type[Any]) -> list[Any]:
        """The news of one kind."""
        return [told for told in self.told if isinstance(told, kind)]

    def shown(self) -> list[str]:
        """The texts of the items shown, in order."""
        return [told.item.text for told in self.of(news.Arrived)]


def item(seq: int | None, text: str = "", *, room: str = "lobby", **fields: Any) -> Wire:
    """Return a message object."""
    return {
        "room": room,
        "seq": seq,
        "type": "private" if room.startswith("@") else "generic",
        "username": "ann",
        "message": text or f"m{seq}",
        "sent_at": "2026-01-31T12:00:00.000Z",
        **fields,
    }


def change(seq: int, target_seq: int, text: str = "changed", *, kind: str = "edit") -> Wire:
    """Return the object of a change at `seq` of the message at `target_seq`."""
    told = {"seq": seq, "kind": kind, "username": "ann", "sent_at": "2026-01-31T12:00:01.000Z"}
    return item(target_seq, text) | {"change": told}


def joined(last_seq: int, *, room: str = "lobby", epoch: str = "e1", **fields: Any) -> Wire:
    """Return the fields of an acknowledgement of ``join room``."""
    return {
        "room": room,
        "user": {"id": "7", "name": "bob"},
        "members": [{"user_id": "7", "username": "bob"}],
        "online": 1,
        "epoch": epoch,
        "last_seq": last_seq,
        "read_seq": 0,
        **fields,
    }

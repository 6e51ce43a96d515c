"""Somebody at the client's connection, for tests: all that it told, and waits with a deadline."""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import Any

from chatapp.client import news
from chatapp.client.connection import Connection
from chatapp.client.dialogue import Dialogue
from chatapp.client.link import Target
from chatapp.client.session import Session
from chatapp.settings import Events, MessageTypes
from clients import wait_until

TRANSPORTS = {"auto": None, "websocket": ("websocket",), "polling": ("polling",)}


class Person:
    """A connection and what it told."""

    def __init__(
        self,
        url: str,
        *,
        name: str | None = "bob",
        room: str = "lobby",
        follow: bool = False,
        target: Target | None = None,
        **options: Any,
    ) -> None:
        self._passed_seconds = 0.0
        self.told: list[news.News] = []
        transports = TRANSPORTS[options.pop("transport", "auto")]
        ids = itertools.count(1)
        self.session = Session(lambda: f"{name}-{next(ids)}", token=options.pop("token", None))
        self.connection = Connection(
            target or Target(url, transports=transports),
            self.session,
            Events(),
            MessageTypes(),
            self.told.append,
            name=name,
            room=room,
            follow=follow,
            clock=lambda: time.monotonic() + self._passed_seconds,
            **{"first_retry_seconds": 0.02, **options},
        )
        self.connection.start()

    def of(self, kind: type[Any]) -> list[Any]:
        return [told for told in list(self.told) if isinstance(told, kind)]

    def shown(self) -> list[str]:
        return [told.item.text for told in self.of(news.Arrived)]

    def wait_for(self, kind: type[Any], count: int = 1) -> Person:
        wait_until(lambda: len(self.of(kind)) >= count, f"{count} {kind.__name__} among {self.told}")
        return self

    def wait_for_shown(self, *texts: str) -> None:
        wait_until(lambda: len(self.shown()) >= len(texts), f"{texts} in {self.told}")
        assert self.shown() == list(texts)

    def pass_time(self, seconds: float) -> None:
        """Have it be later for the connection."""
        self._passed_seconds += seconds
        self.connection.post(lambda dialogue: None)

    def say(self, text: str, room: str = "lobby") -> None:
        self.connection.post(partial(Dialogue.say, room=room, text=text))

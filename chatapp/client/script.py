"""The client without a terminal: sends lines, waits for their acknowledgements, says only what went wrong."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from chatapp.client import news
from chatapp.client.connection import Connection
from chatapp.client.dialogue import Dialogue
from chatapp.client.render import harmless
from chatapp.client.typed import Mistake, SayPrivately, parse_said

N = TypeVar("N", news.Joined, news.Delivered)


class ScriptError(Exception):
    """Something was not sent; the message is a sentence."""


class Script:
    """Sends texts one after the other; `news` is filled by the connection.

    `wait_seconds` is how long the server may take to let one in, and then for each text to acknowledge it.
    """

    def __init__(
        self,
        connection: Connection,
        told: queue.Queue[news.News],
        *,
        wait_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._told = told
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._delay = ""

    def send(self, texts: Iterable[str], say: Callable[[str], object]) -> None:
        """Send `texts`, the empty ones excepted, and tell `say` how it goes.

        Raises ScriptError at the first that is not taken; those behind it are not sent.
        """
        joined = self._await(news.Joined, "The server did not let anybody in")
        room = joined.room
        say(f"in {harmless(room)} as {harmless(joined.username)}")
        for text in texts:
            if text.strip():
                delivered = self._send(room, text)
                say(f"stored in {harmless(delivered.room)} at {delivered.seq}")

    def _send(self, room: str, text: str) -> news.Delivered:
        said = parse_said(text)
        if isinstance(said, Mistake):
            raise ScriptError(said.message)
        if isinstance(said, SayPrivately):
            room = f"@{said.to}"
        self._connection.post(partial(Dialogue.say, room=room, text=said.text))
        return self._await(news.Delivered, "No acknowledgement came")

    def _await(self, kind: type[N], failure: str) -> N:
        """Wait for news of `kind`; what comes in its place is the reason why not."""
        deadline = self._clock() + self._wait_seconds
        self._delay = ""
        while True:
            try:
                told = self._told.get(timeout=max(0.0, deadline - self._clock()))
            except queue.Empty:
                raise ScriptError(f"{failure} within {self._wait_seconds:g} s.{self._delay}") from None
            if isinstance(told, kind):
                return told
            self._check(told)

    def _check(self, told: news.News) -> None:
        """Remember why it takes long; raise if it will never be."""
        if isinstance(told, news.Undelivered):
            raise ScriptError(f"Not sent: {harmless(told.message)}")
        if isinstance(told, news.Left):
            raise ScriptError(harmless(told.why))
        if isinstance(told, news.Closed):
            raise ScriptError(harmless(told.reason))
        if isinstance(told, (news.Delayed, news.Trouble)):
            self._delay = f" {harmless(told.message)}"
        elif isinstance(told, news.Offline):
            self._delay = f" {harmless(told.reason)}"

"""The connection on which Redis tells what others published, made anew whenever it breaks."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import gevent
from gevent.event import Event
from redis import ConnectionPool

from chatapp.cluster.redis_connection import Failure, pauses

logger = logging.getLogger("chatapp.cluster")

#: How often the server has to show that it lives; it has a second to do so.
_PING_SECONDS = 0.4
_CHANNELS_PER_COMMAND = 1000
#: Messages that are handled before others have their turn.
_PORTION = 200


class Subscription:
    """Hears channels: ``take(channel, message)`` with each message, ``on_whole()`` whenever all channels
    are subscribed to after the connection was made, for what came before that was missed."""

    def __init__(
        self,
        pool: ConnectionPool,
        take: Callable[[str, bytes], None],
        on_whole: Callable[[], None],
        on_change: Callable[[int], None],
    ) -> None:
        self._pool = pool
        self._take = take
        self._on_whole = on_whole
        self._on_change = on_change
        self._wanted: dict[str, Event] = {}  # is set while the server has confirmed it
        self._sent: set[str] = set()
        self._confirmed: set[str] = set()
        self._touched: set[str] = set()  # may differ from what was sent
        self._is_touched = Event()
        self._missing: set[str] = set()  # what makes a new connection whole
        self._is_whole = Event()
        self._greenlet: Any = None

    def start(self, seconds: float) -> None:
        """Begin; wait so long for the server."""
        self._greenlet = gevent.spawn(self._run)
        self._is_whole.wait(seconds)

    def close(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def add(self, channels: Iterable[str], seconds: float) -> bool:
        """Hear these, too; return whether the server has confirmed that in time."""
        deadline = time.monotonic() + seconds
        events = []
        for channel in channels:
            event = self._wanted.get(channel)
            if event is None:
                event = self._wanted[channel] = Event()
                if channel in self._confirmed:
                    event.set()
                else:
                    self._touch(channel)
            if not event.is_set():
                events.append(event)
        if self._greenlet is None:
            return True
        return all(event.wait(max(0.0, deadline - time.monotonic())) for event in events)

    def remove(self, channels: Iterable[str]) -> None:
        """Hear these no more."""
        for channel in channels:
            if self._wanted.pop(channel, None) is not None:
                self._touch(channel)

    def _touch(self, channel: str) -> None:
        self._touched.add(channel)
        self._is_touched.set()

    def _run(self) -> None:
        waits = pauses()
        while True:
            connection: Any = self._pool.make_connection()
            commander: Any = None
            try:
                connection.connect()
                self._sent, self._touched = set(self._wanted), set()
                self._missing = set(self._wanted)
                _send(connection, "SUBSCRIBE", self._wanted)
                commander = gevent.spawn(self._command, connection)
                self._read(connection)
            except Failure as error:
                if self._is_whole.is_set():
                    logger.warning("the bus is not heard (%s)", error)
            finally:
                if commander is not None:
                    commander.kill()
                connection.disconnect()
                if self._is_whole.is_set():
                    waits = pauses()
                    self._is_whole.clear()
                    self._on_change(-1)
                self._sent, self._confirmed = set(), set()
                for event in self._wanted.values():
                    event.clear()
            gevent.sleep(next(waits))

    def _read(self, connection: Any) -> None:
        """Take what comes until something fails. A server that is silent for a second fails."""
        for count in itertools.count():
            reply = connection.read_response(disable_decoding=True)
            if type(reply) is not list or len(reply) < 2:
                continue
            kind = reply[0]
            if kind == b"message":
                self._take(reply[1].decode(), reply[2])
            elif kind == b"subscribe":
                self._confirm(reply[1].decode())
            if count % _PORTION == 0:
                gevent.sleep(0)

    def _confirm(self, channel: str) -> None:
        self._confirmed.add(channel)
        event = self._wanted.get(channel)
        if event is not None:
            event.set()
        elif channel in self._touched:
            self._is_touched.set()  # it can be unsubscribed from now
        if self._missing:
            self._missing.discard(channel)
            if not self._missing:
                self._is_whole.set()
                logger.info("the bus is heard")
                self._on_change(1)
                self._on_whole()

    def _command(self, connection: Any) -> None:
        """Send what changes, and let the server show that it lives. The reader notices what fails here."""
        try:
            while True:
                self._is_touched.wait(_PING_SECONDS)
                self._is_touched.clear()
                touched, self._touched = self._touched, set()
                added = [one for one in touched if one in self._wanted and one not in self._sent]
                dropped = [one for one in touched if one not in self._wanted and one in self._sent]
                # Before an answer is there its channel is not given up: the answer would be taken for
                # that to the next subscription.
                self._touched.update(one for one in dropped if one not in self._confirmed)
                dropped = [one for one in dropped if one in self._confirmed]
                self._sent.update(added)
                self._sent.difference_update(dropped)
                self._confirmed.difference_update(dropped)
                _send(connection, "UNSUBSCRIBE", dropped)
                _send(connection, "SUBSCRIBE", added)
                if not added and not dropped:
                    connection.send_command("PING", check_health=False)
        except Failure as error:
            logger.debug("the bus cannot be told what to hear (%s)", error)


def _send(connection: Any, command: str, channels: Collection[str]) -> None:
    names = list(channels)
    for start in range(0, len(names), _CHANNELS_PER_COMMAND):
        connection.send_command(command, *names[start : start + _CHANNELS_PER_COMMAND], check_health=False)

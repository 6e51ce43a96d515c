"""Several workers in one process, on one SQLite database, with a bus that loses what it is told to."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import gevent

from chatapp.cluster.envelopes import PresenceNews, decode
from chatapp.log.database import Database
from chatapp.log.sql import SqlStore
from chatapp.settings import Limits, Settings
from unit.chat_parts import Parts, put_together


class LoopBus:
    """A `Bus` to the other workers of the same process."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self.topics: set[str] = set()
        self.is_alone = False
        self.on_payload: Callable[[bytes], None] = lambda payload: None
        self.on_doubt: Callable[[], None] = lambda: None

    def start(self, worker_id: str) -> None:
        """Nothing has to be started."""

    def close(self) -> None:
        """Nothing is open."""

    def listen(self, topics: Collection[str]) -> None:
        gevent.sleep(0)  # others have their turn
        self.topics.update(topics)

    def ignore(self, topics: Collection[str]) -> None:
        self.topics.difference_update(topics)

    def publish(self, topics: Collection[str], payload: bytes) -> None:
        for worker in self._town.workers:
            if worker.bus is not self and worker.bus.topics & set(topics):
                if self._town.dice.random() >= self._town.loses:
                    delay = self._town.dice.random() * self._town.delay_seconds
                    gevent.spawn_later(delay, worker.bus.on_payload, payload)


class Worker:
    """One worker: its parts, and its end of the bus."""

    def __init__(self, name: str, parts: Parts, bus: LoopBus) -> None:
        self.name = name
        self.parts = parts
        self.bus = bus
        assert parts.attendance is not None
        self.attendance = parts.attendance
        bus.on_payload, bus.on_doubt = self._receive, parts.housekeeping.doubt
        self.attendance.start(name)

    def _receive(self, payload: bytes) -> None:
        news = decode(payload)
        if isinstance(news, PresenceNews):
            self.attendance.receive(news)
        else:
            self.parts.context.distribution.receive(news)

    def call(self, sid: str, event: str, payload: Any) -> Any:
        """Send an event and return its acknowledgement, which may have to wait for what others commit."""
        answers: list[Any] = []
        self.parts.handlers.dispatch(sid, event, (payload,), answers.append)
        until(lambda: answers, "an acknowledgement")
        return answers[0]

    def say(self, sid: str, message: Any) -> Any:
        """Send a message and return its acknowledgement."""
        return self.call(sid, "new message", message)

    def seqs(self, sid: str) -> list[int]:
        """Return the places of the messages that a connection got, notices left out."""
        return [
            message["seq"] for message in self.parts.outbox.received(sid, "new message") if "seq" in message
        ]

    def members(self, sid: str, room: str) -> list[str]:
        """Return who is in a room, as a client is told."""
        answer = self.parts.call(sid, "members", {"room": room})
        return [member["username"] for member in answer["members"]]

    def presence(self, sid: str) -> list[tuple[str, str]]:
        """Return the changes of presence that a connection was told of: ("joined", name), ("left", name)."""
        self.parts.rooms.tick(self.parts.clock() + 5)
        return [
            (how, user["username"])
            for change in self.parts.outbox.received(sid, "presence")
            for how in ("joined", "left")
            for user in change[how]
        ]


class Town:
    """The workers. `loses` is the share of payloads that get lost, `delay_seconds` how long one may take."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path = path
        self._stack = stack
        self.dice = random.Random(7)
        self.workers: list[Worker] = []
        self.loses = 0.0
        self.delay_seconds = 0.0
        self.settings = Settings(limits=Limits(enabled=False))

    def worker(self) -> Worker:
        """Start another worker."""
        database = Database(f"sqlite:///{self._path}/chat.db", synchronous="normal", busy_seconds=5)
        bus = LoopBus(self)
        store = SqlStore(database, reactions_per_message=20)
        parts = self._stack.enter_context(put_together(self.settings, store=store, bus=bus))
        worker = Worker(f"worker{len(self.workers)}", parts, bus)
        self._stack.callback(worker.attendance.stop)
        self.workers.append(worker)
        return worker

    def kill(self, worker: Worker) -> None:
        """Stop a worker dead: its rows stay, its beat stands still, and it hears nothing."""
        worker.attendance.stop()
        worker.bus.topics.clear()
        self.workers.remove(worker)


@contextmanager
def a_town(path: Path) -> Iterator[Town]:
    with ExitStack() as stack:
        yield Town(path, stack)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, at most 10 seconds."""
    with gevent.Timeout(10, AssertionError(f"not within 10 seconds: {what}")):
        while not condition():
            gevent.sleep(0.002)

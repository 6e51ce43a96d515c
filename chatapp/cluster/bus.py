"""What carries news between workers. It may lose anything: the log is the truth."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

#: How long `Bus.listen` waits for the others to know, and `Bus.start` for the others to answer.
ANSWER_SECONDS = 1.0

#: What every worker hears.
EVERYONE = "*"


def room_topic(room_id: int) -> str:
    """Return the topic of what is said in a room."""
    return f"r{room_id}"


def user_topic(user_id: int) -> str:
    """Return the topic of what goes to a user, conversations included."""
    return f"u{user_id}"


class Bus(Protocol):
    """Carries payloads to the workers that listen to their topics, itself excepted.

    `on_payload` gets each payload, in the order of each sender; it runs in the event loop or a greenlet of
    the bus and does not block. `on_doubt` is called whenever something may have been lost or another worker
    has come: after a reconnect, an overflow, at a greeting. Both are set once, before `start`.
    """

    on_payload: Callable[[bytes], None]
    on_doubt: Callable[[], None]

    def start(self, worker_id: str) -> None:
        """Begin, in the process that serves. Returns when those who are there have answered, or after
        ANSWER_SECONDS. May block its greenlet."""

    def close(self) -> None:
        """Send what waits, briefly, and let go of everything."""

    @property
    def is_alone(self) -> bool:
        """Whether it is certain that nobody else hears or says anything now."""

    def listen(self, topics: Collection[str]) -> None:
        """Hear these from now on. Returns once whatever the others publish later is heard, or after
        ANSWER_SECONDS, with `on_doubt` called. May block its greenlet. No-op for what is heard already."""

    def ignore(self, topics: Collection[str]) -> None:
        """Hear these no more. Does not block."""

    def publish(self, topics: Collection[str], payload: bytes) -> None:
        """Send a payload to whoever hears one of these, preferably once. Never blocks or raises."""


class NoBus:
    """The bus of a process that shares nothing with others."""

    is_alone = True

    def __init__(self) -> None:
        self.on_payload: Callable[[bytes], None] = lambda payload: None
        self.on_doubt: Callable[[], None] = lambda: None

    def start(self, worker_id: str) -> None:
        """Nobody else is there."""

    def close(self) -> None:
        """Nothing is open."""

    def listen(self, topics: Collection[str]) -> None:
        """Nobody will say anything."""

    def ignore(self, topics: Collection[str]) -> None:
        """Nobody said anything."""

    def publish(self, topics: Collection[str], payload: bytes) -> None:
        """Nobody listens."""

"""What every part of the dialogue works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chatapp.client.news import Tell
from chatapp.client.session import Session
from chatapp.client.wire import Answer
from chatapp.settings import Events, MessageTypes

#: How long to wait when the server says "not now" without saying how long.
RETRY_SECONDS = 1.0


class Call(Protocol):
    """Sends an event and hands on its acknowledgement, unless the connection is lost first."""

    def __call__(self, event: str, payload: object, on_answer: Callable[[Answer], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class Means:
    """The memory, the contract's names, the ways to the server and to the person, the time in seconds."""

    session: Session
    events: Events
    types: MessageTypes
    call: Call
    tell: Tell
    clock: Callable[[], float]


def retry_seconds(answer: Answer) -> float:
    """How long to wait after a passing refusal; never so short that it would be a busy loop."""
    return max(answer.retry_after_seconds or RETRY_SECONDS, 0.05)

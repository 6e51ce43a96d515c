"""Real clients for tests: python-socketio's, with what it received, and waits that have a deadline."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import engineio
import requests
import socketio

from servers import PATIENCE_SECONDS

#: The transports as clients ask for them; both together start by polling and upgrade.
TRANSPORTS = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgrade": ["polling", "websocket"],
}

EVENTS = ("new message", "presence", "typing", "read", "message changed", "server notice")


def wait_until(
    condition: Callable[[], Any], what: str = "the condition", *, every_seconds: float = 0.005
) -> Any:
    """Return the condition's value once it is true. Fails after `PATIENCE_SECONDS`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(every_seconds)
    return value


class _InOrder(engineio.Client):
    """python-engineio's client, in order to the end."""

    def _trigger_event(self, event: str, *args: Any, **options: Any) -> Any:
        # It would start a thread for each message, and they may overtake one another.
        return super()._trigger_event(event, *args, **{**options, "run_async": False})

    def _reset(self) -> None:
        # Where the server closes first, it would leave its socket to the garbage collector.
        if self.ws is not None:
            self.ws.shutdown()
        super()._reset()

    def disconnect(self, *args: Any, **options: Any) -> None:
        if self.state == "connected" and self.current_transport == "polling":
            # While a request of its is under way it would leave without a word, and wait for a poll to
            # end that only the next ping ends. Two posts at once are against the protocol.
            deadline = time.monotonic() + PATIENCE_SECONDS
            while self.queue.unfinished_tasks and time.monotonic() < deadline:
                time.sleep(0.001)
            with contextlib.suppress(requests.RequestException):
                requests.post(self.base_url, data="1", timeout=PATIENCE_SECONDS)
        super().disconnect(*args, **options)


class _Client(socketio.Client):
    def __init__(self) -> None:
        super().__init__(reconnection=False, request_timeout=PATIENCE_SECONDS)

    def _engineio_client_class(self) -> type[engineio.Client]:
        return _InOrder


class Chatter:
    """A connected client. `received` holds ``(event, payload)`` in the order of arrival."""

    def __init__(
        self,
        url: str,
        transport: str = "websocket",
        *,
        auth: Any = None,
        headers: dict[str, str] | None = None,
        wait_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.received: list[tuple[str, Any]] = []
        self.token: str | None = None
        self.sio = _Client()
        for event in EVENTS:
            self.sio.on(event, lambda payload, event=event: self.received.append((event, payload)))
        self.sio.connect(
            url,
            transports=TRANSPORTS[transport],
            auth=auth,
            headers=headers or {},
            wait_timeout=wait_seconds,
        )

    def __enter__(self) -> Chatter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; no-op if the connection is gone."""
        self.sio.disconnect()

    def emit(self, event: str, payload: Any) -> None:
        """Send without asking for an acknowledgement."""
        self.sio.emit(event, payload)

    def call(self, event: str, payload: Any = None) -> Any:
        """Send, wait for the acknowledgement and return it."""
        return self.sio.call(event, payload, timeout=PATIENCE_SECONDS)

    def join(self, room: str, name: str | None = None, **fields: Any) -> Any:
        """Join a room and return the acknowledgement, which has to be a success."""
        payload = {"roomname": room, **fields} | ({"username": name} if name else {})
        answer = self.call("join room", payload)
        assert answer["ok"], answer
        self.token = answer.get("token", self.token)
        return answer

    def say(self, text: str, **fields: Any) -> Any:
        """Say something and return the acknowledgement, which has to be a success."""
        answer = self.call("new message", {"message": text, **fields})
        assert answer["ok"], answer
        return answer

    def events(self, event: str) -> list[Any]:
        """Return the payloads of one event, in the order of arrival."""
        return [payload for name, payload in list(self.received) if name == event]

    def messages(self) -> list[Any]:
        """Return the stored messages that arrived live: neither notices nor refusals."""
        return [message for message in self.events("new message") if "seq" in message]

    def texts(self) -> list[str]:
        """Return the texts of `messages`."""
        return [message["message"] for message in self.messages()]

    def notices(self) -> list[str]:
        """Return the texts of the join and leave notices."""
        return [
            message["message"]
            for message in self.events("new message")
            if "seq" not in message and "error" not in message
        ]

    def wait_for_texts(self, texts: Iterable[str]) -> None:
        """Wait until exactly these texts have arrived, in this order."""
        wanted = list(texts)
        wait_until(lambda: len(self.texts()) >= len(wanted), f"{len(wanted)} messages")
        assert self.texts() == wanted


def refused(
    url: str, transport: str = "websocket", *, auth: Any = None, headers: dict[str, str] | None = None
) -> Any:
    """Connect in vain; return what the client is told: ``{message, data: {code, message}}``."""
    told: list[Any] = []
    sio = _Client()
    sio.on("connect_error", told.append)
    try:
        sio.connect(
            url,
            transports=TRANSPORTS[transport],
            auth=auth,
            headers=dict(headers or {}),
            wait_timeout=PATIENCE_SECONDS,
        )
    except socketio.exceptions.ConnectionError:
        (answer,) = told
        return answer
    sio.disconnect()
    raise AssertionError("was let in")

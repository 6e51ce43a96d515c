"""A client that costs next to nothing: one WebSocket, and as much of Socket.IO as a sender needs."""

from __future__ import annotations

import itertools
import json
from types import TracebackType
from typing import Any

import websocket

from servers import PATIENCE_SECONDS

#: What ends a connection that its server does not end in good order.
GONE = (websocket.WebSocketException, OSError)


class RawClient:
    """A connected client. Use it in one thread at a time. `received` holds the live new messages."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.received: list[Any] = []
        self._ids = itertools.count(1)
        self._socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket", timeout=PATIENCE_SECONDS
        )
        try:
            self._expect("0")
            self._socket.send("40" + json.dumps({"token": token}))
            self._expect("40")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._socket.shutdown()

    def send(self, event: str, payload: Any) -> int:
        """Send an event and return the number that its acknowledgement will have."""
        number = next(self._ids)
        self._socket.send(f"42{number}{json.dumps([event, payload])}")
        return number

    def receive(self) -> tuple[int, Any]:
        """Wait for the next acknowledgement; return its number and what it says."""
        while True:
            frame = str(self._socket.recv())
            if not frame:
                raise ConnectionResetError("the server has closed the connection")
            if frame == "2":
                self._socket.send("3")
            elif frame.startswith("42"):
                event, payload = json.loads(frame[2:])
                if event == "new message":
                    self.received.append(payload)
            elif frame.startswith("43"):
                number, bracket, rest = frame[2:].partition("[")
                return int(number), json.loads(bracket + rest)[0]

    def call(self, event: str, payload: Any) -> Any:
        """Send an event, with no other under way, and return its acknowledgement."""
        number = self.send(event, payload)
        answered, answer = self.receive()
        assert answered == number
        return answer

    def _expect(self, start: str) -> None:
        frame = str(self._socket.recv())
        if not frame.startswith(start):
            raise ConnectionResetError(f"the server says {frame[:80]!r}")

"""Real clients of all versions for tests: programs that do what a line tells them, and print lines."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from clients import TRANSPORTS, wait_until
from servers import PATIENCE_SECONDS, ROOT

NODE_SCRIPT = Path(__file__).parent / "node" / "caller.js"

NEWEST = "socket.io-client"
#: The packages of socket.io-client that speak the older protocol; see `node/package.json`.
OLDER = ("socket.io-client-1.7", "socket.io-client-2.0", "socket.io-client-2.5")

PYTHON_SCRIPT = Path(__file__).parent / "older" / "caller.py"
#: What `older/requirements.txt` names, where `make test` puts it.
PYTHON_PACKAGES = ROOT / "build" / "older-python"


class Caller:
    """A program that takes ``[number, event, payload]`` and prints what it is told, a line of JSON each."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        self.lines: list[Any] = []
        self.name = ""
        self._numbers = itertools.count(1)
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            self._process.stdout.close()

    def printed(self, what: str) -> list[Any]:
        return [line[1:] for line in list(self.lines) if line[0] == what]

    def await_connections(self, count: int) -> None:
        """Wait until it has connected so often."""
        wait_until(lambda: len(self.printed("connect")) >= count, f"connection {count}")

    def start(self, event: str, payload: Any = None) -> int:
        """Send, and return the number of the acknowledgement to come."""
        assert self._process.stdin is not None
        number = next(self._numbers)
        self._process.stdin.write(json.dumps([number, event, payload]) + "\n")
        self._process.stdin.flush()
        return number

    def call(self, event: str, payload: Any = None) -> Any:
        """Send, wait for the acknowledgement and return it."""
        number = self.start(event, payload)

        def answers() -> list[Any]:
            return [answer for found, answer in self.printed("answer") if found == number]

        return wait_until(answers, f"the answer to {event}")[0]

    def join(self, room: str, name: str | None = None, **fields: Any) -> Any:
        """Join a room and return the acknowledgement, which has to be a success."""
        answer = self.call("join room", {"roomname": room, **fields} | ({"username": name} if name else {}))
        assert answer["ok"], answer
        self.name = answer["user"]["name"]
        return answer

    def say(self, text: str) -> Any:
        """Say something and return the acknowledgement, which has to be a success."""
        answer = self.call("new message", {"message": text})
        assert answer["ok"], answer
        return answer

    def events(self, event: str) -> list[Any]:
        """Return the payloads of an event, in the order of arrival."""
        return [payload for name, payload in self.printed("event") if name == event]

    def texts(self) -> list[str]:
        """Return the texts of the messages that came, without notices and refusals."""
        return [message["message"] for message in self.events("new message") if "seq" in message]

    def wait_for_texts(self, *texts: str) -> None:
        """Wait until exactly these texts have come, in this order."""
        wait_until(lambda: len(self.texts()) >= len(texts), f"{len(texts)} messages")
        assert self.texts() == [*texts], self.texts()


def node_caller(package: str, url: str, transport: str = "upgrade", **options: Any) -> Caller:
    """A client on this package of socket.io-client."""
    node = shutil.which("node")
    assert node, "there is no Node.js: `make test` brings one"
    settings = json.dumps({"transports": TRANSPORTS[transport], **options})
    return Caller([node, "--no-deprecation", str(NODE_SCRIPT), package, url, settings])


def python_caller(url: str, transport: str = "upgrade") -> Caller:
    """A client on python-socketio 4."""
    assert (PYTHON_PACKAGES / "socketio").is_dir(), "there is no python-socketio 4: `make test` brings one"
    settings = json.dumps({"transports": TRANSPORTS[transport]})
    command = [sys.executable, str(PYTHON_SCRIPT), url, settings]
    return Caller(command, {"PYTHONPATH": str(PYTHON_PACKAGES)})


#: Which clients there are that speak the older protocol.
KINDS = (*OLDER, "python-socketio-4")


def caller(kind: str, url: str, transport: str = "upgrade") -> Caller:
    """A client of one of `KINDS`, or `NEWEST`."""
    return python_caller(url, transport) if kind == KINDS[-1] else node_caller(kind, url, transport)

"""Pages with chatapp.js: the library under Node.js on the real socket.io-client, as processes."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from clients import wait_until
from servers import PATIENCE_SECONDS

SCRIPT = Path(__file__).parent / "node" / "page.js"


class Page:
    """A page of the chat server at `url`; `lines` are what it was told, in order: see ``page.js``."""

    def __init__(self, url: str, **options: Any) -> None:
        node = shutil.which("node")
        assert node, "there is no Node.js: `make test` brings one"
        self.lines: list[list[Any]] = []
        self.faults: list[str] = []
        self._process = subprocess.Popen(
            [node, str(SCRIPT), json.dumps({"url": f"{url}/chat", **options})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_faults, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def _read_faults(self) -> None:
        assert self._process.stderr is not None
        self.faults.extend(self._process.stderr)

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(is_failing=error is not None)

    def close(self, *, is_failing: bool = False) -> None:
        """Close the chat. The process has to end by itself then, for nothing of the chat is left running."""
        assert self._process.stdin and self._process.stdout and self._process.stderr
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            status = self._process.wait(PATIENCE_SECONDS)
            assert is_failing or status == 0, "".join(self.faults)
        finally:
            self._process.kill()
            self._process.wait()
            for reader in self._readers:
                reader.join()
            self._process.stdout.close()
            self._process.stderr.close()

    def do(self, verb: str, *given: Any) -> None:
        """Have the page do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([verb, *given]) + "\n")
        self._process.stdin.flush()

    def ask(self, verb: str, *given: Any) -> Any:
        """Have the page do what has an answer; return it, which has to be a success."""
        error, answer = self.ask_in_vain(verb, *given)
        assert error is None, error
        return answer

    def ask_in_vain(self, verb: str, *given: Any) -> Any:
        """Have the page do what has an answer; return ``[error, answer]``."""
        begin = len(self.lines)
        self.do(verb, *given)

        def found() -> Any:
            answers = [line for line in self.lines[begin:] if line[:2] == ["answer", verb]]
            return answers and answers[0][2:]

        return wait_until(found, f"the answer to {verb}")

    def join(self, room: str, name: str | None = None, **options: Any) -> Any:
        """Join a room and wait until it is caught up; return what the event told."""
        before = len(self.told(room, "joined"))
        self.do("join", room, options | ({"username": name} if name else {}))
        joined = self.wait_told(room, "joined", before + 1)
        self.wait_for("online")
        return joined

    @property
    def states(self) -> list[str]:
        """All states so far."""
        return [line[1] for line in list(self.lines) if line[0] == "state"]

    @property
    def state(self) -> str:
        """The present state."""
        return self.states[-1] if self.states else "connecting"

    def detail(self) -> Any:
        """Return what was said about the present state."""
        return next(line[2] for line in reversed(list(self.lines)) if line[0] == "state")

    def wait_for(self, state: str) -> Any:
        """Wait until it is in this state, and return what is said about it."""
        wait_until(lambda: self.state == state, f"the state {state!r}")
        return self.detail()

    def told(self, room: str, event: str) -> list[Any]:
        """Return the payloads of an event of a room."""
        return [line[2] for line in list(self.lines) if line[:2] == [room, event]]

    def wait_told(self, room: str, event: str, count: int = 1) -> Any:
        """Wait for so many events of a kind, and return the payload of the last."""
        wait_until(lambda: len(self.told(room, event)) >= count, f"{count} {event} in {room}")
        return self.told(room, event)[count - 1]

    def seqs(self, room: str) -> list[int]:
        """Return the places of the messages that were told, in the order in which they were."""
        return [message["seq"] for message in self.told(room, "message")]

    def texts(self, room: str) -> list[str]:
        """Return their texts."""
        return [message["message"] for message in self.told(room, "message")]

    def wait_for_texts(self, room: str, *texts: str) -> None:
        """Wait until exactly these texts were told, in this order."""
        wait_until(lambda: len(self.texts(room)) >= len(texts), f"{len(texts)} messages")
        assert self.texts(room) == [*texts]

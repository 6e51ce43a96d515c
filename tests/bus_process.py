"""Processes with a bus each, for tests: told what to do, asked what they heard, killed and stopped."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from servers import PATIENCE_SECONDS, ROOT


class Later:
    """An answer that is on its way."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._answers: queue.Queue[Any] = queue.Queue()

    def set(self, answer: Any) -> None:
        self._answers.put(answer)

    def get(self) -> Any:
        try:
            return self._answers.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            raise AssertionError(f"no answer to {self._what}") from None


class BusProcess:
    """A process of `bus_peer`. ``process.listen("r1")`` calls its `Peer.listen` and returns the answer."""

    def __init__(self, url: str, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "bus_peer.py"), url, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self._numbers = itertools.count()
        self._waiting: dict[int, Later] = {}
        self.log: list[str] = []
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._answers, self._log)]
        for thread in self._threads:
            thread.start()
        self.worker_id = ""

    def _answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, answer = json.loads(line)
            self._waiting.pop(number).set(answer)

    def _log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line.decode())

    def __enter__(self) -> BusProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def begin(self, command: str, *arguments: Any) -> Later:
        """Have something done, without waiting for it."""
        number = next(self._numbers)
        self._waiting[number] = later = Later(f"{command}: {''.join(self.log)}")
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([number, command, arguments]).encode() + b"\n")
        self._process.stdin.flush()
        return later

    def ask(self, command: str, *arguments: Any) -> Any:
        """Have something done; return the answer."""
        return self.begin(command, *arguments).get()

    def start(self) -> float:
        """Start the bus; return the seconds that it took."""
        answer = self.ask("start")
        self.worker_id = answer["id"]
        return float(answer["seconds"])

    @property
    def got(self) -> list[str]:
        return list(self.ask("heard")["got"])

    @property
    def doubts(self) -> int:
        return int(self.ask("heard")["doubts"])

    def stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """``kill -9``."""
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

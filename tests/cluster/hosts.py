"""Several hosts on one machine: each a network namespace with an address of its own, on one bridge."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cluster.workers import await_workers
from servers import HOSTINGS, ServerProcess, running


class Network:
    """A bridge with an address of this machine, `gateway`, to which hosts are added."""

    def __init__(self) -> None:
        number = os.getpid()  # no other test process has the same name or addresses
        self._name = f"chat{number:x}"
        self._prefix = f"10.{200 + number // 250 % 50}.{number % 250}"
        self._hosts = 0
        self.gateway = f"{self._prefix}.254"
        _ip("link", "add", self._name, "type", "bridge")
        _ip("address", "add", f"{self.gateway}/24", "dev", self._name)
        _ip("link", "set", self._name, "up")

    def add_host(self) -> tuple[str, list[str]]:
        """Return the address of a new host, and the command in front of a command that is to run there."""
        self._hosts += 1
        address, host, link = (
            f"{self._prefix}.{self._hosts}",
            self._host(self._hosts),
            self._link(self._hosts),
        )
        _ip("netns", "add", host)
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", host)
        _ip("link", "set", link, "master", self._name, "up")
        _ip("-n", host, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _ip("-n", host, "link", "set", device, "up")
        return address, ["ip", "netns", "exec", host]

    def close(self) -> None:
        """Take everything away."""
        for number in range(1, self._hosts + 1):
            with contextlib.suppress(OSError):
                _ip("link", "delete", self._link(number))
            with contextlib.suppress(OSError):
                _ip("netns", "delete", self._host(number))
        with contextlib.suppress(OSError):
            _ip("link", "delete", self._name)

    def _host(self, number: int) -> str:
        return f"{self._name}-{number}"

    def _link(self, number: int) -> str:
        return f"{self._name}v{number}"


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Make a network of our own; skip the test where that is not possible."""
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip`: apt-get install iproute2")
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces")
    try:
        made = Network()
    except OSError as error:
        pytest.skip(f"no network can be made here: {error}")
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def hosts(
    count: int,
    directory: Path,
    settings: Mapping[str, str],
    *,
    network: Network | None = None,
    workers: int = 1,
    hosting: str = "conf",
) -> Iterator[list[ServerProcess]]:
    """Run a server on each of so many hosts, with a data directory of its own; without a network all are at
    this machine's own address."""
    with contextlib.ExitStack() as stack:
        servers = []
        for number in range(count):
            command = list(HOSTINGS[hosting])
            if network is not None:
                address, there = network.add_host()
                command = there + [part.replace("127.0.0.1:0", f"{address}:0") for part in command]
            own = directory / f"host-{number}"
            own.mkdir()
            server = running(directory=own, command=command, workers=workers, **settings)
            servers.append(stack.enter_context(server))
            await_workers(servers[-1], workers)
        yield servers

"""What a server has to survive: attacks, made several times while its memory and its loop are watched."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

from clients import wait_until
from protocol_peer import get
from servers import ServerProcess

#: How long the event loop may stand still, and by how much memory may grow.
STALL_SECONDS = 0.02
MEMORY_BYTES = 2 * 1024 * 1024

#: How often an attack is made while memory is watched: what one leaves behind shows after several.
TIMES = 5


def peak_bytes(pid: str) -> int:
    """Return the most memory that a process has had since `forget_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def forget_peak(pid: str) -> None:
    """See proc(5), clear_refs."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def survives(server: ServerProcess, attack: Callable[[ServerProcess], None]) -> None:
    """Make an attack several times; fail if it costs memory or time."""
    for _ in range(3):  # unwatched, for what is loaded and kept by the first of their kind
        attack(server)
    pid = get(server.url, "/pid").text
    get(server.url, "/stall")
    forget_peak(pid)
    before = peak_bytes(pid)
    stalls = []
    for _ in range(TIMES):
        attack(server)
        stalls.append(float(get(server.url, "/stall").body))
    assert peak_bytes(pid) - before <= MEMORY_BYTES
    assert sorted(stalls)[len(stalls) // 2] < STALL_SECONDS, stalls
    wait_until(lambda: get(server.url, "/sessions").body == b"0", "the end of the sessions")


def head_of_post(query: str, line: str) -> bytes:
    """The head of a POST to the Socket.IO endpoint with this line in it."""
    return f"POST /socket.io/?{query} HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode()


def pour(client: socket.socket, data: bytes, times: int) -> None:
    """Send this so many times, or until nobody takes it."""
    client.setblocking(False)
    until = time.monotonic() + 3
    with contextlib.suppress(ConnectionError):
        for _ in range(times):
            rest = memoryview(data)
            while rest and time.monotonic() < until:
                readable, writable, _ = select.select([client], [client], [], 1)
                if readable:
                    return  # an answer has come
                if writable:
                    rest = rest[client.send(rest) :]
    client.settimeout(3)

"""Over how many workers and hosts the cluster's tests run, and which worker has a connection."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import requests

from clients import wait_until
from servers import PATIENCE_SECONDS, ServerProcess

#: How many workers of gunicorn there are at a time.
WORKERS = (1, 2, 4)

#: How many hosts there are at a time, in `test_hosts`.
HOSTS = (1, 2)

#: The ways of hosting that can have several.
HOSTINGS = ("conf", "gevent")

#: How many hexadecimal digits of a session's id say whose it is.
_WORKER_ID_LENGTH = 8


def worker_of(sid: str) -> str:
    """Return the id of the worker that a session is with, by its Engine.IO id."""
    return sid[:_WORKER_ID_LENGTH]


def await_workers(server: ServerProcess, count: int) -> None:
    """Wait until so many workers answer: those that are there first would take all clients."""
    seen: set[str] = set()

    def is_complete() -> bool:
        answer = requests.get(f"{server.url}/socket.io/?EIO=4&transport=polling", timeout=PATIENCE_SECONDS)
        seen.add(worker_of(json.loads(answer.text[1:])["sid"]))
        return len(seen) >= count

    if count > 1:
        wait_until(is_complete, f"{count} workers")


def worker_pids(server: ServerProcess) -> list[int]:
    """Return the pids of gunicorn's workers; there may be none at the moment."""
    return [
        int(pid)
        for task in Path(f"/proc/{server.pid}/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]


def pid_of(server: ServerProcess, worker: str) -> int:
    """Return the pid of the worker with this id: it listens on Unix sockets that are named after it."""
    sockets = {
        f"socket:[{fields[6]}]"
        for fields in map(str.split, Path(f"/proc/{server.pid}/net/unix").read_text().splitlines()[1:])
        if len(fields) > 7 and Path(fields[7]).name.startswith(f"{worker}.")
    }
    for pid in worker_pids(server):
        if any(os.readlink(fd) in sockets for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()):
            return pid
    raise AssertionError(f"no worker has the id {worker}")


def kill_worker(server: ServerProcess, pid: int) -> None:
    """``kill -9`` one worker, and wait until gunicorn has noticed."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in worker_pids(server), "the end of the worker")

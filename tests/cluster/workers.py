"""Over how many workers and hosts the cluster's tests run, and which worker has a connection."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from clients import wait_until
from servers import ServerProcess

#: How many workers of gunicorn there are at a time.
WORKERS = (1,)

#: The ways of hosting that can have several.
HOSTINGS = ("conf", "gevent")

#: How many hexadecimal digits of a session's id say whose it is.
_WORKER_ID_LENGTH = 8


def worker_of(sid: str) -> str:
    """Return the id of the worker that a session is with, by its Engine.IO id."""
    return sid[:_WORKER_ID_LENGTH]


def worker_pids(server: ServerProcess) -> list[int]:
    """Return the pids of gunicorn's workers; there may be none at the moment."""
    return [
        int(pid)
        for task in Path(f"/proc/{server.pid}/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]


def kill_worker(server: ServerProcess, pid: int) -> None:
    """``kill -9`` one worker, and wait until gunicorn has noticed."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in worker_pids(server), "the end of the worker")

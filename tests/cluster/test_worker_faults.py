"""Workers that are killed, replaced or cut off: nothing is lost, doubled or out of order."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import wait_until
from cluster.load import rounds, steady_load
from cluster.swarm import TRANSPORTS
from cluster.workers import WORKERS, await_workers, kill_worker, worker_pids
from servers import ServerProcess, running
from tcp_proxy import TcpProxy

#: How long a fault goes on.
SECONDS = [10, pytest.param(60, marks=pytest.mark.soak)]

SETTINGS = {"LIMITS_ENABLED": "no", "LOG_LEVEL": "error"}


#: With fewer there is less that can go wrong.
MOST = max(WORKERS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running("conf", tmp_path, workers=MOST, **SETTINGS) as server:
        await_workers(server, MOST)
        yield server


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seconds", SECONDS)
def test_workers_may_be_killed_one_after_the_other(
    server: ServerProcess, seconds: int, tmp_path: Path
) -> None:
    """With several, those on other workers do not hear that anybody left."""
    dice = random.Random(11)
    with steady_load([server.url], tmp_path, nobody_leaves=MOST > 1):
        # One alone is killed when it has just begun to serve.
        for _ in rounds(seconds, 1 if MOST > 1 else 2):
            kill_worker(server, dice.choice(wait_until(lambda: worker_pids(server), "a worker")))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seconds", SECONDS)
def test_workers_may_be_replaced_one_after_the_other(
    server: ServerProcess, seconds: int, tmp_path: Path
) -> None:
    """By HUP, as a new release of the site is rolled out."""
    with steady_load([server.url], tmp_path, nobody_leaves=MOST > 1):
        for _ in rounds(seconds, 3):
            os.kill(server.pid, signal.SIGHUP)


@pytest.mark.parametrize("seconds", SECONDS)
def test_what_was_stored_and_not_acknowledged_is_said_again_and_stored_once(
    server: ServerProcess, seconds: int, tmp_path: Path
) -> None:
    """All that the server says is lost for a moment, and then the connections are."""
    options = {"clients": 30, "transports": TRANSPORTS["websocket"]}
    with TcpProxy(server.port) as proxy, steady_load([proxy.url], tmp_path, **options) as load:
        for _ in rounds(seconds, 1):
            proxy.swallow(only_answers=True)
            time.sleep(0.25)  # in which each client says something
            proxy.cut()
    again = [ack for ack in load.records.acks() if ack["tries"] > 1]
    own = {
        (record["client"], record["client_id"])
        for record in load.records.all("message")
        if record["via"] != "live"
    }
    stored_before = [ack for ack in again if (ack["client"], ack["client_id"]) in own]
    print(f"{len(stored_before)} messages came back to those who then said them again")
    assert len(stored_before) >= seconds

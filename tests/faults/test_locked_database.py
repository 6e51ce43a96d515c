"""While another process holds the database, messages wait and the event loop does not."""

from __future__ import annotations

import sqlite3
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

import databases
from faults.raw_client import RawClient
from servers import ServerProcess, running

SERVER = [sys.executable, str(Path(__file__).with_name("watched_server.py"))]

#: The machine may be busy with other tests; what stands still by itself does so each time.
ATTEMPTS = 3
MAX_STALL_SECONDS = 0.05


@pytest.fixture(params=["sqlite", *databases.KINDS])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/chatapp.db"
    else:
        with databases.new_database(request.param) as url:
            yield url


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Hold the database's write lock, or that of its rooms, as a backup or another worker's slow transaction
    does."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.partition(":///")[2], isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("COMMIT")
    else:
        with databases.connected(make_url(url)) as connection:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("SELECT id FROM rooms FOR UPDATE").all()
            yield
            connection.exec_driver_sql("COMMIT")


def stall_seconds(server: ServerProcess) -> float:
    """Return how long the server's event loop stood still at worst since this was asked last."""
    with urllib.request.urlopen(f"{server.url}/stall") as answer:
        return float(answer.read())


@contextmanager
def lobby(directory: Path, *names: str, **settings: str) -> Iterator[tuple[ServerProcess, list[RawClient]]]:
    """Run a server, and clients who are in the lobby and have used what the tests use."""
    with ExitStack() as stack:
        server = stack.enter_context(
            running(directory=directory, command=SERVER, LIMITS_ENABLED="no", **settings)
        )
        clients = [stack.enter_context(RawClient(server.port)) for _ in names]
        for client, name in zip(clients, names, strict=True):
            assert client.call("join room", {"roomname": "lobby", "username": name})["ok"]
            assert client.call("new message", {"message": f"hello from {name}"})["ok"]
            assert client.call("history", {"room": "lobby"})["ok"]
        yield server, clients


def test_while_the_database_is_locked_for_a_second_sends_wait_reads_work_and_the_loop_is_free(
    tmp_path: Path, url: str
) -> None:
    with lobby(tmp_path, "ann", "bob", "cleo", STORAGE_URL=url) as (server, (ann, bob, cleo)):
        stalls = []
        for attempt in range(ATTEMPTS):
            stall_seconds(server)
            with locked(url):
                until = time.monotonic() + 1
                for client in (ann, bob):
                    for number in range(10):
                        client.send("new message", f"message {number} of attempt {attempt}")
                reads = 0
                while time.monotonic() < until:
                    page = cleo.call("history", {"room": "lobby"})
                    assert len(page["messages"]) == 3 + 20 * attempt
                    assert cleo.call("typing", {"room": "lobby", "typing": True})["ok"]
                    reads += 1
            answers: list[Any] = [client.receive()[1] for client in (ann, bob) for _ in range(10)]
            first = 4 + 20 * attempt
            assert sorted(answer["seq"] for answer in answers) == list(range(first, first + 20))
            assert reads > 5
            stalls.append(stall_seconds(server))
            if stalls[-1] < MAX_STALL_SECONDS:
                break
        assert min(stalls) < MAX_STALL_SECONDS, f"the event loop stood still for {stalls} seconds"


def test_who_waits_longer_for_the_database_than_is_allowed_is_refused_and_may_try_again(
    tmp_path: Path, url: str
) -> None:
    with lobby(tmp_path, "ann", "bob", STORAGE_BUSY_SECONDS="0.3", STORAGE_URL=url) as (server, (ann, bob)):
        stalls = []
        for attempt in range(ATTEMPTS):
            stall_seconds(server)
            message = {"message": "hello?", "client_id": f"hello-{attempt}"}
            with locked(url):
                refused = ann.call("new message", message)
                assert bob.call("history", {"room": "lobby"})["ok"]
            assert not refused["ok"]
            assert refused["error"]["code"] == "storage_busy" and refused["error"]["retry_after"] > 0
            assert ann.call("new message", message)["seq"] == 3 + attempt
            stalls.append(stall_seconds(server))
            if stalls[-1] < MAX_STALL_SECONDS:
                break
        assert min(stalls) < MAX_STALL_SECONDS, f"the event loop stood still for {stalls} seconds"

"""A database that may only be read is read, and written again as soon as it may be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients import Chatter
from servers import HOSTINGS, running

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1  # prctl(2), capabilities(7)

#: Runs the rest of the command line as a user for whom files' permissions hold: root's do not without
#: this, and it cannot become another user, who could not read the Python that runs the tests.
UNPRIVILEGED = f"""
import ctypes, os, sys
if os.geteuid() == 0:
    assert ctypes.CDLL(None).prctl({_PR_CAPBSET_DROP}, {_CAP_DAC_OVERRIDE}, 0, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
SERVER = [sys.executable, "-c", UNPRIVILEGED, *HOSTINGS["serve"]]


def allow_writing(directory: Path, allowed: bool) -> None:
    for path in directory.iterdir():
        if path.name.startswith("chatapp.db"):
            path.chmod(0o600 if allowed else 0o400)
    directory.chmod(0o700 if allowed else 0o500)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "data"
    directory.mkdir()
    yield directory
    allow_writing(directory, True)


def test_a_read_only_database_is_read_and_written_again_without_a_restart_once_that_is_allowed(
    directory: Path,
) -> None:
    with running(directory=directory, command=SERVER, LIMITS_ENABLED="no") as server:
        with Chatter(server.url) as ann:
            joined = ann.join("lobby", "ann")
            for number in range(5):
                ann.say(f"message {number}")
        server.kill()  # so that SQLite's files -wal and -shm are there
        allow_writing(directory, False)
        server.restart()
        since = {"epoch": joined["epoch"], "seq": 2}
        with Chatter(server.url, auth={"token": ann.token}) as ann, Chatter(server.url) as stranger:
            for _ in range(3):
                answer = ann.join("lobby", since=since)
                assert [message["seq"] for message in answer["messages"]] == [3, 4, 5]
                check_refused(ann.call("new message", "I cannot write this"))
                check_refused(stranger.call("join room", {"roomname": "lobby", "username": "stranger"}))
                check_refused(ann.call("join room", {"roomname": "another room"}))
                page = ann.call("history", {"room": "lobby"})
                assert [message["message"] for message in page["messages"]] == [
                    f"message {number}" for number in range(5)
                ]
            allow_writing(directory, True)
            # The first may find the connections of before, and closes them.
            answers = [ann.call("new message", "I can write this") for _ in range(2)]
            assert answers[-1]["ok"], answers
            stranger.join("lobby", "stranger")
            assert ann.call("history", {"room": "lobby"})["messages"][-1]["message"] == "I can write this"


def check_refused(answer: Any) -> None:
    assert not answer["ok"]
    assert answer["error"]["code"] == "storage_unavailable"
    assert answer["error"]["retry_after"] > 0

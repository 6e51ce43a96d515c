"""A full disk refuses what is new and loses nothing; room on it is all that is needed to go on."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from clients import Chatter
from servers import ServerProcess, running

#: More than fits on the disk of the test.
MANY = 2000


class Disk(Protocol):
    """The disk that the database is on."""

    directory: Path

    def fill(self, server: ServerProcess) -> None:
        """Leave no room on it."""

    def empty(self, server: ServerProcess) -> None:
        """Make room again."""


class SmallDisk:
    """A file system of its own, of 2 MB."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._filler = directory / "filler"

    def fill(self, server: ServerProcess) -> None:
        with self._filler.open("ab", buffering=0) as filler:
            for size in (4096, 1):
                with contextlib.suppress(OSError):
                    while filler.write(bytes(size)) == size:
                        pass

    def empty(self, server: ServerProcess) -> None:
        self._filler.unlink()


class ForbiddenDisk:
    """Where no file system can be mounted: the server may not let a file grow beyond one byte."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def fill(self, server: ServerProcess) -> None:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def empty(self, server: ServerProcess) -> None:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "chatapp-test", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield ForbiddenDisk(directory)
        return
    try:
        yield SmallDisk(directory)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def say_until_refused(chatter: Chatter) -> tuple[list[Any], Any]:
    """Return the acknowledgements of what was stored, and the first refusal."""
    stored = []
    for number in range(MANY):
        answer = chatter.call("new message", {"message": f"{number} " + "x" * 3000})
        if not answer["ok"]:
            return stored, answer["error"]
        stored.append(answer)
    raise AssertionError("the disk is not full")


def test_on_a_full_disk_sends_are_refused_reads_work_and_room_is_all_it_needs(disk: Disk) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(running("serve", disk.directory, LIMITS_ENABLED="no"))
        ann, bob = (stack.enter_context(Chatter(server.url)) for _ in range(2))
        joined = ann.join("lobby", "ann")
        bob.join("lobby", "bob")
        bob.say("first")
        disk.fill(server)
        stored, error = say_until_refused(ann)
        check_refused(error)
        last_seq = 1 + len(stored)
        for _ in range(3):
            check_refused(bob.call("new message", "still?")["error"])
            check_refused(bob.call("read", {"room": "lobby", "seq": 1})["error"])
            check_reading(server, ann.token, joined, last_seq)
        disk.empty(server)
        assert bob.say("again", client_id="again")["seq"] == last_seq + 1
        check_reading(server, ann.token, joined, last_seq + 1)
        assert ann.texts() == ["first", "again"]
        assert [message["seq"] for message in bob.messages()] == [answer["seq"] for answer in stored]


def test_a_server_killed_on_a_full_disk_starts_again_and_can_be_read(disk: Disk) -> None:
    with running("serve", disk.directory, LIMITS_ENABLED="no") as server:
        with Chatter(server.url) as ann:
            joined = ann.join("lobby", "ann")
            ann.say("first")
            disk.fill(server)
            last_seq = 1 + len(say_until_refused(ann)[0])
            server.kill()
        server.restart()
        check_reading(server, ann.token, joined, last_seq)
        disk.fill(server)
        with Chatter(server.url, auth={"token": ann.token}) as ann:
            ann.join("lobby")
            check_refused(say_until_refused(ann)[1])
            disk.empty(server)
            ann.say("again")


def check_refused(error: Any) -> None:
    assert error["code"] == "storage_unavailable"
    assert error["retry_after"] > 0


def check_reading(server: ServerProcess, token: str | None, joined: Any, last_seq: int) -> None:
    """Check that a member can come back and do everything that stores nothing."""
    since = {"epoch": joined["epoch"], "seq": joined["last_seq"]}
    with Chatter(server.url, auth={"token": token}) as again:
        answer = again.join("lobby", since=since)
        assert [message["seq"] for message in answer["messages"]] == list(range(1, last_seq + 1))
        history = again.call("history", {"room": "lobby", "limit": 5})
        assert history["messages"][-1]["seq"] == last_seq
        [standing] = again.call("rooms")["rooms"]
        assert standing["last_seq"] == last_seq
        assert again.call("members", {"room": "lobby"})["ok"]
        assert again.call("typing", {"room": "lobby", "typing": True})["ok"]

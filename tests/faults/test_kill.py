"""``kill -9``: what is acknowledged is stored, and what is sent again is not stored again."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from clients import wait_until
from faults.phoenix import Phoenix
from faults.raw_client import GONE, RawClient
from servers import PATIENCE_SECONDS, running

KILLS = 50
SENDERS = 6
#: Messages that a sender has on their way at a time, so that a commit holds several.
WINDOW = 4
#: Between two kills all senders together get at least so many acknowledgements.
ACKNOWLEDGED_AT_LEAST = 60


class Sender(threading.Thread):
    """Sends messages as fast as they are acknowledged. When the server is gone it comes back with its
    token and sends again, in order, what is not acknowledged yet."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.acknowledged: dict[str, Any] = {}
        self.sent = 0
        self.faults: list[BaseException] = []
        self._port = port
        self._token: str | None = None
        self._pending: dict[str, None] = {}
        self._enough = threading.Event()

    def run(self) -> None:
        try:
            while not self._enough.is_set() or self._pending:
                try:
                    with RawClient(self._port, self._token) as client:
                        self._talk(client)
                except GONE:
                    self._enough.wait(0.005)
        except BaseException as fault:
            self.faults.append(fault)
            raise

    def finish(self) -> None:
        """Send nothing new, and end when all is acknowledged."""
        self._enough.set()
        self.join(PATIENCE_SECONDS)
        assert not self.is_alive() and not self.faults

    def _talk(self, client: RawClient) -> None:
        who = {} if self._token else {"username": self.name}
        answer = client.call("join room", {"roomname": "lobby", **who})
        assert answer["ok"], answer
        self._token = answer["token"]
        numbers = {self._send(client, client_id): client_id for client_id in self._pending}
        while True:
            while len(self._pending) < WINDOW and not self._enough.is_set():
                self.sent += 1
                client_id = f"{self.name}-{self.sent}"
                self._pending[client_id] = None
                numbers[self._send(client, client_id)] = client_id
            if not self._pending:
                return
            number, answer = client.receive()
            assert answer["ok"], answer
            client_id = numbers.pop(number)
            self.acknowledged[client_id] = answer
            del self._pending[client_id]

    @staticmethod
    def _send(client: RawClient, client_id: str) -> int:
        return client.send("new message", {"message": f"I am {client_id}", "client_id": client_id})


class Reader:
    """Follows the room: after each restart it asks for what it has missed. `log` is all of it."""

    def __init__(self, port: int) -> None:
        self.log: list[Any] = []
        self._port = port
        self._token: str | None = None
        self._epoch = ""

    def catch_up(self) -> None:
        """Join, and check that what is new follows directly on what is known."""
        request: dict[str, Any] = {"roomname": "lobby"}
        if self._token is None:
            request["username"] = "reader"
        else:
            request["since"] = {"epoch": self._epoch, "seq": len(self.log)}
        with RawClient(self._port, self._token) as client:
            answer = client.call("join room", request)
        assert answer["ok"] and not answer.get("gap") and not answer.get("more"), answer
        self._token, self._epoch = answer["token"], answer["epoch"]
        self.log += answer.get("messages", [])
        assert [message["seq"] for message in self.log] == list(range(1, answer["last_seq"] + 1))

    def check(self, acknowledged: dict[str, Any]) -> None:
        """Check that every acknowledged message is in its place, and no message is there twice."""
        for client_id, answer in acknowledged.items():
            message = self.log[answer["seq"] - 1]
            assert message["client_id"] == client_id
            assert message["message"] == f"I am {client_id}"
            assert [message[key] for key in ("id", "sent_at")] == [answer[key] for key in ("id", "sent_at")]
        client_ids = [message["client_id"] for message in self.log]
        assert len(set(client_ids)) == len(client_ids)


def acknowledged_by(senders: list[Sender]) -> dict[str, Any]:
    assert not any(sender.faults for sender in senders)
    return {key: answer for sender in senders for key, answer in sender.acknowledged.copy().items()}


def kill_at_any_moment(server: Phoenix, senders: list[Sender], dice: random.Random) -> None:
    """Kill the server under load, and start it again."""
    enough = len(acknowledged_by(senders)) + ACKNOWLEDGED_AT_LEAST
    wait_until(lambda: len(acknowledged_by(senders)) >= enough, "acknowledgements")
    time.sleep(dice.uniform(0, 0.1))  # waits for nothing: the kill comes at any moment
    server.kill()
    server.start()


@pytest.mark.timeout(300)
def test_what_is_acknowledged_survives_fifty_kills_exactly_once_and_in_order(tmp_path: Path) -> None:
    dice = random.Random(20)
    with Phoenix(tmp_path, LIMITS_ENABLED="no", HISTORY_CATCH_UP="100000") as server:
        reader = Reader(server.port)
        reader.catch_up()
        senders = [Sender(server.port, f"sender-{number}") for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        for _ in range(KILLS):
            kill_at_any_moment(server, senders, dice)
            promised = acknowledged_by(senders)
            reader.catch_up()
            reader.check(promised)
        for sender in senders:
            sender.finish()
        reader.catch_up()
        reader.check(acknowledged_by(senders))
    for sender in senders:
        said = [message["client_id"] for message in reader.log if message["username"] == sender.name]
        assert said == [f"{sender.name}-{number}" for number in range(1, sender.sent + 1)]
    with closing(sqlite3.connect(tmp_path / "chatapp.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    print(f"{len(reader.log)} messages were acknowledged and are there, after {KILLS} kills")
    assert len(reader.log) >= KILLS * ACKNOWLEDGED_AT_LEAST


def test_when_gunicorns_worker_is_killed_the_next_one_has_everything_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    with running("gevent", tmp_path, LIMITS_ENABLED="no", HISTORY_CATCH_UP="100000") as server:
        reader, sender = Reader(server.port), Sender(server.port, "sender")
        reader.catch_up()
        sender.start()
        wait_until(lambda: len(acknowledged_by([sender])) > ACKNOWLEDGED_AT_LEAST, "acknowledgements")
        [worker] = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        promised = len(acknowledged_by([sender]))
        wait_until(
            lambda: len(acknowledged_by([sender])) > promised + ACKNOWLEDGED_AT_LEAST, "the next worker"
        )
        sender.finish()
        reader.catch_up()
        reader.check(acknowledged_by([sender]))
        assert len(reader.log) == sender.sent
